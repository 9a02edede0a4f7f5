"""How a network is trained: the user's settings, and the recipe that follows from them."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Literal

from nas.util import flag_help
from nas.util.errors import SettingError
from nas.util.ranges import refuse_outside

OptimizerName = Literal["lamb", "sgd", "adamw"]
ScheduleName = Literal["constant", "cosine"]
LossName = Literal["ce", "bce"]
Amp = Literal["auto", "off", "bf16"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training besides network, data, epochs and seed.

    Made by :meth:`TrainSettings.resolve`; :class:`TrainSettings` documents the fields.
    """

    optimizer: OptimizerName
    lr: float
    weight_decay: float
    momentum: float
    batch_size: int
    schedule: ScheduleName
    warmup_epochs: float
    min_lr: float
    loss: LossName
    bce_threshold: float
    smoothing: float
    mixup: float
    cutmix: float
    crop: float
    flip: bool
    drop_path_rate: float
    clip_grad: float
    average: float
    amp: Amp

    @property
    def digest(self) -> str:
        """Hash that identifies the recipe, 12 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class TrainSettings:
    """How trials are trained. Defaults depend on the width of the network and the number of images."""

    optimizer: Annotated[OptimizerName | None, flag_help.default("lamb", name="opt")] = None
    """Optimizer of the weights: lamb (as in the NEXcepTion paper), sgd (with Nesterov momentum) or adamw."""
    lr: Annotated[float | None, flag_help.default("follows from --opt, the width and --batch-size")] = None
    """Peak learning rate."""
    weight_decay: Annotated[float | None, flag_help.default("0.02")] = None
    """Weight decay, not applied to biases and normalisation layers."""
    momentum: Annotated[float | None, flag_help.default("0.9")] = None
    """Momentum of sgd; other optimizers ignore it."""
    batch_size: Annotated[
        int | None,
        flag_help.default("follows from the width: 64, 128 or 256; less for few images"),
    ] = None
    """Images per step, at most as many as there are for training."""
    schedule: Annotated[ScheduleName | None, flag_help.default("constant", name="sched")] = None
    """constant: stays at the peak after the warm-up, and weights are averaged instead; cosine: decays to
    --min-lr."""
    warmup_epochs: Annotated[float | None, flag_help.default("1; 2 above width 128")] = None
    """Epochs of linear warm-up."""
    min_lr: Annotated[float | None, flag_help.default("1e-06")] = None
    """Learning rate of the cosine schedule after --max-epochs."""
    loss: Annotated[LossName | None, flag_help.default("ce; bce above width 128")] = None
    """ce: softmax cross-entropy; bce: binary cross-entropy for each class, as in the paper's release."""
    bce_threshold: Annotated[float | None, flag_help.default("0.2", name="bce-target-thresh")] = None
    """With bce, soft targets above this become 1, others 0."""
    smoothing: Annotated[float | None, flag_help.default("0.1; 0 above width 128")] = None
    """Label smoothing."""
    mixup: Annotated[float | None, flag_help.default("0; 0.1 above width 128")] = None
    """Alpha of Mixup; 0 switches it off."""
    cutmix: Annotated[float | None, flag_help.default("0; 1 above width 128")] = None
    """Alpha of CutMix; 0 switches it off."""
    crop: Annotated[float | None, flag_help.default("0.125")] = None
    """Padding of the random crop, as a share of the image's side; 0 switches it off."""
    flip: Annotated[bool | None, flag_help.default("if the data set allows it")] = None
    """Flip images horizontally, each with a probability of one half."""
    drop_path_rate: Annotated[float | None, flag_help.default("0; 0.05 above width 128")] = None
    """Rate of stochastic depth."""
    clip_grad: Annotated[float | None, flag_help.default("1")] = None
    """Maximum gradient norm for sgd and adamw; 0 switches clipping off. lamb always clips at 1."""
    average: Annotated[float | None, flag_help.default("0.2")] = None
    """Validate an average of the weights over about this share of the steps so far; 0: the last weights."""
    amp: Annotated[Amp | None, flag_help.default("auto")] = None
    """auto: bfloat16 on GPUs that support it, float32 elsewhere; off: float32; bf16: bfloat16."""

    def __post_init__(self) -> None:
        refuse_outside(self, _RANGES)
        if self.lr is not None and not (0 < self.lr < math.inf):
            raise SettingError("lr", self.lr, "must be above 0")

    def resolve(self, width: int, n_train: int, *, flip: bool = True) -> Recipe:
        """Fills in unset fields from the preset of the width: tiny, small or paper.

        Args:
            width: Width of the reduced network.
            n_train: Number of training images.
            flip: Whether the data allow horizontal flips.
        """
        given = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        optimizer = self.optimizer or _preset(width, "lamb").optimizer
        preset = replace(_preset(width, optimizer), flip=flip)
        batch_size = min(self.batch_size or _batch_size(preset.batch_size, n_train), n_train)
        lr = preset.lr * math.sqrt(batch_size / preset.batch_size)
        return replace(preset, **{"lr": lr, **given, "batch_size": batch_size})


_RANGES: dict[str, tuple[float, float]] = {
    "weight_decay": (0, 1),
    "momentum": (0, 0.999),
    "batch_size": (2, 65536),
    "warmup_epochs": (0, 1000),
    "min_lr": (0, 1),
    "bce_threshold": (0, 0.99),
    "smoothing": (0, 0.9),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "crop": (0, 0.5),
    "drop_path_rate": (0, 0.9),
    "clip_grad": (0, 1e6),
    "average": (0, 1),
}


def _preset(width: int, optimizer: OptimizerName) -> Recipe:
    """Returns the defaults of a width for one optimizer."""
    if width <= 32:
        return replace(_TINY, optimizer=optimizer, lr=_TINY_LR[optimizer])
    if width <= 128:
        return replace(_SMALL, optimizer=optimizer, lr=_SMALL_LR[optimizer])
    return replace(_PAPER, optimizer=optimizer, lr=_PAPER_LR[optimizer])


def _batch_size(largest: int, n_train: int) -> int:
    """Returns the largest power of two with at least 30 steps per epoch, from 16 to the preset's."""
    return max(16, min(largest, 1 << (n_train // 30).bit_length() - 1 if n_train >= 30 else 16))


_TINY = Recipe(
    optimizer="lamb",
    lr=0.0,
    weight_decay=0.02,
    momentum=0.9,
    batch_size=64,
    schedule="constant",
    warmup_epochs=1,
    min_lr=1e-6,
    loss="ce",
    bce_threshold=0.2,
    smoothing=0.1,
    mixup=0.0,
    cutmix=0.0,
    crop=0.125,
    flip=True,
    drop_path_rate=0.0,
    clip_grad=1.0,
    average=0.2,
    amp="auto",
)
_TINY_LR: dict[OptimizerName, float] = {"lamb": 0.01, "sgd": 0.03, "adamw": 0.003}
_SMALL = replace(_TINY, batch_size=128)
_SMALL_LR: dict[OptimizerName, float] = {"lamb": 0.014, "sgd": 0.14, "adamw": 0.004}
_PAPER = replace(
    _TINY,
    batch_size=256,
    warmup_epochs=2,
    loss="bce",
    smoothing=0.0,
    mixup=0.1,
    cutmix=1.0,
    drop_path_rate=0.05,
)
_PAPER_LR: dict[OptimizerName, float] = {"lamb": 0.005, "sgd": 0.05, "adamw": 0.002}
