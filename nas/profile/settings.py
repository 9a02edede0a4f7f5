"""What a user asks ``nas.profile`` for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from nas.util.errors import SettingError, setting


@dataclass(frozen=True)
class ProfileSettings:
    """Which networks, and how they are timed."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Exported folders, or models that timm knows."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for profile.csv, profile.md, profile.json and the plots; not given: print only."""
    batch_size: int | None = None
    """Images at once for throughput and memory (256 on a GPU, 16 on the CPU)."""
    input_size: int | None = None
    """Side of the images in pixels, instead of each network's own."""
    warm_up: int = 10
    """Forward passes before the clock starts, at most."""
    repeats: int = 30
    """Timed forward passes of each network, taken in turns, at most."""
    seconds: float | None = None
    """Time for each network's passes (4 on a GPU, 30 on the CPU); fewer are made if they do not fit."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """auto: bfloat16 on GPUs that have it, float16 on others, float32 on the CPU."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    threads: int | None = None
    """CPU threads."""
    top1: tuple[str, ...] = ()
    """Accuracies for the plots: NAME=PERCENT, such as nexception_t=81.5; trained folders bring their own."""
    published: bool = False
    """Take accuracies that are still missing from Table 3 of the NEXcepTion paper, at its image sizes."""
    stages: bool = False
    """Measure nothing: show kernels, widths and strides stage by stage (the paper's Tables 4 to 6)."""

    def __post_init__(self) -> None:
        if not self.models:
            raise SettingError("models", None, "must name at least one network")
        lowest = {"batch_size": 1, "input_size": 8, "warm_up": 0, "repeats": 2, "threads": 1}
        for name, low in lowest.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise SettingError(name, value, f"must be at least {low}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise SettingError("seconds", self.seconds, "must be above 0")
        if self.published and self.input_size is not None:
            raise SettingError(
                "published",
                None,
                f"those accuracies belong to the networks' own {setting('input_size')}; leave it out",
            )
        _ = self.accuracies

    @property
    def accuracies(self) -> dict[str, float]:
        """``--top1`` by name, percent."""
        given = {}
        for text in self.top1:
            name, _, percent = text.rpartition("=")
            try:
                value = float(percent)
            except ValueError:
                value = -1.0
            if not name or not 0 <= value <= 100:
                raise SettingError("top1", text, "must be NAME=PERCENT, such as nexception_t=81.5")
            given[name] = value
        return given
