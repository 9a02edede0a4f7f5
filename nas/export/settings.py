"""The settings of ``nas.export``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from nas.export import hub
from nas.util import flag_help
from nas.util.errors import SettingError, setting
from nas.util.ranges import refuse_outside

OPSET = 18  # the lowest that PyTorch's exporter writes without converting: most programs read it
NEWEST_OPSET = 23  # that it writes


@dataclass(frozen=True)
class ExportSettings:
    """What to export, where to, and in which formats."""

    source: Annotated[str, tyro.conf.Positional]
    """A run folder (for its winner: confirmed if there is one, else the incumbent), a JSON file with a
    configuration, a named point of the space, such as xception or nexception, or a folder written by
    nas.train or nas.export (its network with its weights, in other forms)."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The folder to write."""
    geometry: Annotated[str | None, flag_help.default("the first of the space; t for nexception")] = None
    """A full size of the space (t, s, tp or xception for nexception), reduced (the network that the search
    trained) or, if the space reads them, a JSON or YAML file of widths and depths."""
    space: Annotated[str | None, flag_help.default("the run's; nexception")] = None
    """The search space of a JSON file or named point; for a run of a custom space, its code, which is not run
    otherwise."""
    trial: Annotated[int | None, flag_help.default("the winner")] = None
    """The trial of the run to export."""
    pick: Annotated[str | None, flag_help.default("the winner")] = None
    """Network of a run's front to export: error, knee, trial=N, or the most accurate one within a limit:
    max-macs=600M, max-params=5M, max-latency=4ms, ..."""
    config: Annotated[Path | None, flag_help.default("the winner's")] = None
    """A JSON file with the configuration to export."""
    num_classes: Annotated[
        int | None, flag_help.default("1000; with --geometry reduced those of the search's data")
    ] = None
    """Number of classes."""
    input_size: Annotated[int | None, flag_help.default("the geometry's")] = None
    """Image size in pixels (images are square)."""
    in_chans: Annotated[int | None, flag_help.default("3; with --geometry reduced those of the data")] = None
    """Input channels; nas.train and nas.evaluate need 1 or 3."""
    match_macs: Annotated[str | None, flag_help.default("widths are kept")] = None
    """Scale all widths until the network has this many multiply-accumulates, such as 4.5G or 600M."""
    onnx: flag_help.Switch = False
    """Also write model.onnx, checked with onnxruntime."""
    opset: int = OPSET
    """Version of ONNX's operators, 18 to 23."""
    int8: flag_help.Switch = False
    """Also write model_int8.onnx, quantised by onnxruntime, besides model.onnx; validation images show what
    it costs in accuracy."""
    data: Annotated[str | None, flag_help.default("those that the network was trained on")] = None
    """Images for --int8 (their training part): folder:DIR, cifar100, cifar10, digits, npz:FILE or run:DIR."""
    data_dir: Path = Path("data")
    """Where downloads are kept."""
    torch_export: flag_help.Switch = False
    """Also write model.pt2 (torch.export), checked."""
    torchscript: flag_help.Switch = False
    """Also write model.torchscript, checked."""
    weights: Annotated[Path | None, flag_help.default("random initial weights")] = None
    """A .pth file of the weights that NEXcepTion's authors released, for `nexception` at --geometry t, s or
    tp."""
    seed: int = 0
    """Seed of the initial weights."""
    license: Annotated[
        str | None, flag_help.default("apache-2.0; unknown with --weights, which were released without one")
    ] = None
    """Licence of the weights, for the model card."""
    push_to_hub: Annotated[str | None, flag_help.default("nothing leaves this machine")] = None
    """Also upload the folder to the Hugging Face Hub, as USER/NAME; needs a token (hf auth login, or
    HF_TOKEN)."""
    private: flag_help.Switch = False
    """Let only you and your organisation see the repository that --push-to-hub makes."""

    def __post_init__(self) -> None:
        if self.output.exists():
            raise SettingError("output", self.output, "exists already; must be a new folder")
        for field, value in (("num_classes", self.num_classes), ("in_chans", self.in_chans)):
            if value is not None and value < 1:
                raise SettingError(field, value, "must be at least 1")
        if self.pick is not None and (self.trial is not None or self.config is not None):
            other = "trial" if self.config is None else "config"
            raise SettingError("pick", self.pick, f"{setting(other)} names one too; leave one of them out")
        if not 0 <= self.seed < 2**31:
            raise SettingError("seed", self.seed, "must be at least 0 and below 2^31")
        if self.license is not None and not re.fullmatch(r"[\w.-]+", self.license):
            raise SettingError(
                "license", self.license, "must be one word, such as apache-2.0", repr(self.license)
            )
        refuse_outside(self, {"opset": (OPSET, NEWEST_OPSET)})
        if self.private and self.push_to_hub is None:
            raise SettingError("private", None, f"goes with {setting('push_to_hub', 'USER/NAME')}")
        if self.data is not None and not self.int8:
            raise SettingError("data", self.data, f"goes with {setting('int8')}; leave it out")
        if self.push_to_hub is not None:
            hub.require_name(self.push_to_hub)
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
        """Licence of the weights by Hugging Face's identifiers; released weights came without one."""
        return self.license or ("apache-2.0" if self.weights is None else "unknown")
