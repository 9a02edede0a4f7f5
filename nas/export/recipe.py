"""The recipe of a full-size training: each value of Table 1 of the NEXcepTion paper as a setting."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

import search_spaces
from nas.util.documents import read_yaml
from nas.util.errors import SettingError, UserError, first_line, setting
from nas.util.ranges import refuse_outside

if TYPE_CHECKING:
    from pathlib import Path

    from nas.run.search_file import SearchFile


@dataclass(frozen=True)
class Recipe:
    """Training settings.

    The defaults are those of NEXcepTion-T (arXiv 2212.08448, Table 1). The warm-up learning rate, the
    threshold of the loss and the repeated augmentation are not in the table; they come from the released
    command lines.
    """

    epochs: int = 300
    """Epochs, warm-up included."""
    batch_size: int = 256
    """Images per update, over all devices and accumulation steps."""
    opt: str = "lamb"
    """Optimizer of the weights, any of timm's: lamb, adamw, sgd, ..."""
    lr: float = 2e-3
    """Peak learning rate."""
    weight_decay: float = 0.02
    """Weight decay, not applied to biases and normalisation layers."""
    momentum: float = 0.9
    """Momentum of sgd; other optimizers ignore it."""
    warmup_epochs: float = 5.0
    """Epochs of linear warm-up, at most half of --epochs."""
    warmup_lr: float = 1e-4
    """Learning rate at the start of the warm-up."""
    schedule: Annotated[Literal["cosine", "constant"], tyro.conf.arg(name="sched")] = "cosine"
    """After the warm-up, cosine: decays to --min-lr; constant: stays at the peak (with --average)."""
    min_lr: float = 1e-6
    """Learning rate at the end of the cosine schedule."""
    cooldown_epochs: int = 0
    """Additional epochs at --min-lr (the released command lines use 10)."""
    auto_augment: Annotated[str, tyro.conf.arg(name="aa")] = "rand-m7-mstd0.5-inc1"
    """RandAugment or AutoAugment in timm's notation; none switches it off."""
    min_scale: float = 0.08
    """Smallest area of a random crop, as a share of the image; 1: whole images."""
    crop_padding: float = 0.0
    """Crop randomly from the image padded by this share of its side, as a search does; 0: use --min-scale."""
    flip: Annotated[float, tyro.conf.arg(name="hflip")] = 0.5
    """Probability of a horizontal flip; never used where it would change the meaning, as with digits."""
    mixup: float = 0.1
    """Alpha of Mixup; 0 switches it off."""
    cutmix: float = 1.0
    """Alpha of CutMix; 0 switches it off."""
    mix_switch: Annotated[float, tyro.conf.arg(name="mixup-switch-prob")] = 0.5
    """Probability of CutMix instead of Mixup where both are on."""
    erasing: Annotated[float, tyro.conf.arg(name="reprob")] = 0.0
    """Probability of random erasing."""
    smoothing: float = 0.0
    """Label smoothing."""
    loss: Literal["bce", "ce"] = "bce"
    """bce: binary cross-entropy for each class; ce: softmax cross-entropy."""
    bce_threshold: Annotated[float, tyro.conf.arg(name="bce-target-thresh")] = 0.2
    """With bce, soft targets above this become 1, others 0; 0 leaves them soft."""
    drop_path_rate: float = 0.05
    """Rate of stochastic depth."""
    drop_rate: float = 0.0
    """Dropout rate before the classifier."""
    repeats: Annotated[int, tyro.conf.arg(name="aug-repeats")] = 3
    """Augmented views of each image per epoch; an epoch then sees that many times fewer images."""
    clip_grad: float = 0.0
    """Maximum gradient norm; 0 switches clipping off. lamb always clips at 1."""
    ema: Annotated[float, tyro.conf.arg(name="model-ema-decay")] = 0.0
    """Decay of the exponential moving average of the weights, which is then validated and kept; 0: none."""
    average: float = 0.0
    """Validate and keep an average of the weights over about this share of the updates so far, as a search
    does; 0: none."""

    def __post_init__(self) -> None:
        refuse_outside(self, _RANGES)
        if self.loss not in ("bce", "ce"):
            raise SettingError("loss", self.loss, "must be bce or ce")
        if self.schedule not in ("cosine", "constant"):
            raise SettingError("schedule", self.schedule, "must be cosine or constant")
        if self.ema and self.average:
            raise SettingError(
                "average",
                f"{self.average:g}",
                f"must be 0 beside {setting('ema', f'{self.ema:g}')}; choose one",
            )

    def to_yaml(self) -> str:
        """Formats the recipe as YAML; :func:`read` is the inverse."""
        import yaml

        return yaml.safe_dump(asdict(self), sort_keys=False)


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 100_000),
    "batch_size": (2, 1_000_000),
    "lr": (1e-12, 100),
    "weight_decay": (0, 1),
    "momentum": (0, 0.999),
    "warmup_epochs": (0, 10_000),
    "warmup_lr": (0, 100),
    "min_lr": (0, 100),
    "cooldown_epochs": (0, 100_000),
    "min_scale": (0.01, 1),
    "crop_padding": (0, 0.5),
    "flip": (0, 1),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "mix_switch": (0, 1),
    "erasing": (0, 1),
    "smoothing": (0, 0.9),
    "bce_threshold": (0, 0.99),
    "drop_path_rate": (0, 0.9),
    "drop_rate": (0, 0.9),
    "repeats": (1, 100),
    "clip_grad": (0, 1e6),
    "ema": (0, 0.999_999),
    "average": (0, 1),
}


def published(model: str) -> Recipe:
    """Returns the recipe that a space publishes for a network, by its name; else that of Table 1."""
    known = [search_spaces.get(name).exporting.recipes for name in search_spaces.names()]
    differences = (own for recipes in known for name, own in recipes.items() if model.startswith(name))
    return replace(Recipe(), **next(differences, {}))


def of_search(search: SearchFile) -> Recipe:
    """Returns the recipe of a search's trials, for one rung above its highest.

    Args:
        search: Content of ``search.json``.

    Raises:
        UserError: If it holds no such recipe.
    """
    try:
        train = search.train or {}
        steps = (search.data.train_images or 0) // train["batch_size"]
        return Recipe(
            epochs=int(search.rungs[-1] * search.settings.fidelity.eta),
            batch_size=train["batch_size"],
            # timm's "sgd" uses Nesterov momentum, which PyTorch refuses with a momentum of 0.
            opt="momentum" if train["optimizer"] == "sgd" and not train["momentum"] else train["optimizer"],
            lr=train["lr"],
            weight_decay=train["weight_decay"],
            momentum=train["momentum"],
            warmup_epochs=float(train["warmup_epochs"]),
            warmup_lr=train["lr"] / (round(train["warmup_epochs"] * steps) + 1),
            schedule=train["schedule"],
            min_lr=train["min_lr"],
            auto_augment="none",
            min_scale=1.0,
            crop_padding=float(train["crop"]),
            flip=0.5 if train["flip"] else 0.0,
            mixup=float(train["mixup"]),
            cutmix=float(train["cutmix"]),
            smoothing=float(train["smoothing"]),
            loss=train["loss"],
            bce_threshold=float(train["bce_threshold"]),
            drop_path_rate=float(train["drop_path_rate"]),
            repeats=1,
            clip_grad=float(train["clip_grad"]),
            average=float(train["average"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise UserError(f"search.json: holds no recipe ({first_line(error)})") from error


def read(path: Path) -> Recipe:
    """Reads a YAML file; missing keys keep their defaults.

    Raises:
        UserError: If the file is not a recipe; it names the key.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: must be a mapping with keys such as epochs, lr and batch_size")
    return Recipe(**{key: _value(path, key, value) for key, value in values.items()})


def _value(path: Path, key: Any, value: Any) -> Any:
    kinds = {field.name: type(field.default) for field in fields(Recipe)}
    kind = kinds.get(key)
    if kind is None:
        raise UserError(f"{path}: {key}: no such setting; there are {', '.join(kinds)}")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UserError(f"{path}: {key}: must be {_ARTICLES[kind]}, got {value!r}")
    return value


_ARTICLES = {int: "an integer", float: "a number such as 0.002 or 2.0e-3", str: "a word"}
