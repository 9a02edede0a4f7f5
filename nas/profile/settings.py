"""The settings of ``nas.profile``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from nas.util import flag_help
from nas.util.errors import SettingError, setting
from nas.util.ranges import at_least


@dataclass(frozen=True)
class ProfileSettings:
    """The networks to measure, and how they are timed."""

    models: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[MODEL...]", help_behavior_hint=lambda _: "(default: none)"),
    ] = ()
    """Exported folders, or models that timm knows; needed unless --front names networks."""
    front: Annotated[Path | None, flag_help.default("none")] = None
    """Run whose front to measure, at the size whose costs it minimised (at most five of its networks), beside
    timm's models of the nearest cost."""
    output: Annotated[
        Path | None, flag_help.default("print only; with --front RUN/profile", aliases=["-o"])
    ] = None
    """Folder for profile.csv, profile.md, profile.json and the plots."""
    space: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], flag_help.default("none")] = ()
    """Code of an exported folder's custom search space, such as DIR/my_space.py, which is not run otherwise;
    once for each."""
    batch_size: Annotated[int | None, flag_help.default("256 on a GPU, 16 on the CPU")] = None
    """Batch size for throughput and memory."""
    input_size: Annotated[int | None, flag_help.default("each network's")] = None
    """Image size in pixels (images are square)."""
    warm_up: int = 10
    """Maximum number of untimed forward passes before measuring."""
    repeats: int = 30
    """Maximum number of timed forward passes per network, taken in turns."""
    seconds: Annotated[float | None, flag_help.default("4 on a GPU, 30 on the CPU")] = None
    """Time limit for each network's passes; if they do not fit, fewer are made."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """auto: bfloat16 on GPUs that support it, float16 on others, float32 on the CPU."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    threads: Annotated[int | None, flag_help.default("PyTorch's choice")] = None
    """CPU threads."""
    top1: Annotated[tuple[str, ...], flag_help.default("those in trained folders")] = ()
    """Accuracies for the plots: NAME=PERCENT, such as nexception_t=81.5."""
    published: flag_help.Switch = False
    """Fill in missing accuracies from Table 3 of the NEXcepTion paper, at its image sizes."""
    stages: flag_help.Switch = False
    """Do not measure: show kernels, widths and strides stage by stage (the paper's Tables 4 to 6)."""

    def __post_init__(self) -> None:
        if not self.models and self.front is None:
            raise SettingError("models", None, f"must name at least one network, or {setting('front')} a run")
        if self.stages and self.front is not None:
            raise SettingError(
                "front", self.front, f"{setting('stages')} takes networks by name; leave it out"
            )
        at_least(self, batch_size=1, input_size=8, warm_up=0, repeats=2, threads=1)
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
    def folder(self) -> Path | None:
        """Where files go, None for nowhere: a front's table belongs to its run, whose report shows it."""
        return self.front / "profile" if self.output is None and self.front is not None else self.output

    @property
    def accuracies(self) -> dict[str, float]:
        """Returns the accuracies given by the user by name, percent."""
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
