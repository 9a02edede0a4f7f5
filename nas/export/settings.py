"""What a user asks ``nas.export`` for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from nas.util.errors import SettingError, setting


@dataclass(frozen=True)
class Order:
    """What to export, where to and in which forms."""

    source: Annotated[str, tyro.conf.Positional]
    """A run folder (its winner: the confirmed one, else the incumbent), a JSON file of a configuration, or a
    point: xception, nexception."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The folder to write."""
    geometry: str = "t"
    """t, s, tp, xception, reduced (the search's own network) or a JSON or YAML file of widths and depths."""
    trial: int | None = None
    """Take this trial of the run instead of its winner."""
    config: Path | None = None
    """Take this file's configuration instead of the run's winner."""
    num_classes: int | None = None
    """Classes (1000; those of the search's data with --geometry reduced)."""
    input_size: int | None = None
    """Side of the images in pixels, instead of the geometry's own."""
    in_chans: int | None = None
    """Channels of an image, 1 or 3 for nas.train and nas.evaluate (3; the data's with --geometry reduced)."""
    match_macs: str | None = None
    """Scale all widths until the network costs so many multiply-accumulates: 4.5G, 600M."""
    onnx: bool = False
    """Write model.onnx as well, checked with onnxruntime."""
    torch_export: bool = False
    """Write model.pt2 (torch.export) as well, checked."""
    weights: Path | None = None
    """Weights that NEXcepTion's authors released, for `nexception` at --geometry t, s or tp: a .pth file."""
    seed: int = 0
    """Decides the initial weights."""
    license: str | None = None
    """Licence of the weights, for the model card (apache-2.0; unknown with --weights, which came without)."""

    def __post_init__(self) -> None:
        if self.output.exists():
            raise SettingError("output", self.output, "exists already; must be a new folder")
        for field, value in (("num_classes", self.num_classes), ("in_chans", self.in_chans)):
            if value is not None and value < 1:
                raise SettingError(field, value, "must be at least 1")
        if not 0 <= self.seed < 2**31:
            raise SettingError("seed", self.seed, "must be at least 0 and below 2^31")
        if self.license is not None and not re.fullmatch(r"[\w.-]+", self.license):
            raise SettingError(
                "license", self.license, "must be one word, such as apache-2.0", repr(self.license)
            )
        if self.weights is not None and self.match_macs is not None:
            raise SettingError(
                "match_macs", self.match_macs, f"{setting('weights')} fit one width only; leave one out"
            )
        if self.weights is not None and self.in_chans not in (None, 3):
            raise SettingError(
                "in_chans", self.in_chans, f"{setting('weights')} are for 3 channels; leave one out"
            )

    @property
    def licence(self) -> str:
        """The weights' licence in Hugging Face's words; released weights came without any."""
        return self.license or ("apache-2.0" if self.weights is None else "unknown")
