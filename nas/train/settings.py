"""Where and on what a full-size network is trained: everything but the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from nas.util.errors import SettingError, UserError

OWN = "own"


@dataclass(frozen=True)
class Options:
    """Images, output, hardware."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the results; the same command again goes on from its last checkpoint."""
    data: str = OWN
    """folder:DIR (train/ and test/ or val/, one folder a class), cifar100, cifar10, digits, npz:FILE or
    run:DIR (the training images of that run's set, all of them); own: those of the run that is trained."""
    data_dir: Path = Path("data")
    """Where downloads are kept."""
    max_images: int | None = None
    """Train on a stratified part of so many images."""
    val_fraction: float = 0.05
    """Share of the training images held out to choose the best epoch; 0: train on all, keep the last (0 for a
    run folder)."""
    input_size: int | None = None
    """Side of the images in pixels, instead of the network's own."""
    init: Literal["auto", "weights", "scratch"] = "auto"
    """weights: begin with the folder's, or those that a run keeps; scratch: with random ones; auto: weights
    if nas.train made them."""
    new_head: bool = False
    """Give an exported folder of another number of classes a fresh classifier."""
    seeds: int = 1
    """Train so many times, with seeds --seed, --seed + 1, ..., and report and draw mean and spread."""
    beside: tuple[Path, ...] = ()
    """Output folders of earlier trainings, whose learning curves are drawn beside this one's."""
    seed: int = 0
    """The first seed; it also chooses the images held out, for all of them."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """auto: bfloat16 on GPUs that have it, float16 on others, float32 on the CPU."""
    accumulate: int = 1
    """Split each batch into so many forward passes, where memory is short."""
    grad_checkpointing: bool = False
    """Compute activations twice instead of keeping them, where memory is short."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU (of each process) if there is one."""
    workers: int | None = None
    """Processes that read images (as many as there are cores, at most 8, fewer one)."""
    checkpoint_steps: int = 1000
    """Updates between checkpoints, besides the one after every epoch."""
    log: Literal["none", "tensorboard", "wandb", "mlflow"] = "none"
    """Also log there; tensorboard writes into the output folder."""
    license: str | None = None
    """Licence of the weights, for the model card (of the weights it began with, else apache-2.0)."""
    quiet: bool = False
    """Print nothing but errors."""

    def __post_init__(self) -> None:
        if not 0 <= self.val_fraction < 1:
            raise SettingError("val_fraction", self.val_fraction, "must be at least 0 and below 1")
        lowest = {"seeds": 1, "accumulate": 1, "workers": 0, "checkpoint_steps": 1, "input_size": 8}
        for name, low in lowest.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise UserError(f"--{name.replace('_', '-')} {value}: must be at least {low}")
        if not 0 <= self.seed < 2**31 - self.seeds:
            raise SettingError("seed", self.seed, "must be at least 0 and below 2^31")
