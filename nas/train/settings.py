"""Data, output and hardware of a full-size training: all settings except the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from nas.tracking.settings import NONE, Log
from nas.util import flag_help
from nas.util.device import refuse_unknown_device
from nas.util.errors import SettingError
from nas.util.ranges import at_least

OWN = "own"


@dataclass(frozen=True)
class TrainCommandSettings:
    """Images, output and hardware: everything but the recipe."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the results; the same command continues from its last checkpoint."""
    data: str = OWN
    """folder:DIR (train/ and test/ or val/, one folder per class), cifar100, cifar10, digits, npz:FILE or
    run:DIR (all training images of that run); own: the images of the run that MODEL names."""
    space: Annotated[str | None, flag_help.default("none")] = None
    """Code of the custom search space of a run or folder, such as DIR/my_space.py; it is not run
    otherwise."""
    data_dir: Path = Path("data")
    """Where downloads are kept."""
    max_images: Annotated[int | None, flag_help.default("all")] = None
    """Train on a stratified sample of this many images."""
    val_fraction: float = 0.05
    """Share of the training images held out to choose the best epoch; 0 (as for a run folder): train on all
    and keep the last epoch."""
    input_size: Annotated[int | None, flag_help.default("the network's")] = None
    """Image size in pixels (images are square)."""
    init: Literal["auto", "weights", "scratch"] = "auto"
    """weights: start from those of the folder or run; scratch: start from random ones; auto: weights if
    nas.train made them."""
    new_head: flag_help.Switch = False
    """Replace the classifier of an exported folder whose number of classes differs."""
    seeds: int = 1
    """How many times to train, with seeds --seed, --seed + 1, ...; mean and spread are reported and drawn."""
    beside: Annotated[tuple[Path, ...], flag_help.default("none")] = ()
    """Output folders of earlier trainings to draw in the same plot of learning curves."""
    seed: int = 0
    """The first seed; for all seeds, it also determines which images are held out."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """auto: bfloat16 on GPUs that support it, float16 on others, float32 on the CPU."""
    accumulate: Annotated[int, tyro.conf.arg(name="grad-accum-steps")] = 1
    """Forward passes that a batch is split into, to save memory."""
    grad_checkpointing: flag_help.Switch = False
    """Recompute activations in the backward pass, to save memory."""
    compile: flag_help.Switch = False
    """Compile the network with torch.compile; if that fails, a note says why and it is trained as it is."""
    sync_bn: flag_help.Switch = False
    """With several GPUs, let batch norms take their statistics over the images of all of them."""
    device: str = "auto"
    """auto (a GPU if there is one; with torchrun one per process), cpu, cuda or cuda:N."""
    workers: Annotated[int | None, flag_help.default("cores - 1, at most 32")] = None
    """Processes that load images for each GPU; the default shares the cores among the GPUs; 0: this process
    loads them."""
    checkpoint_steps: int = 1000
    """Updates between checkpoints; there is always one after each epoch."""
    log: Log = NONE
    """Where else to log; tensorboard writes into the output folder."""
    license: Annotated[
        str | None, flag_help.default("that of the weights it starts from, else apache-2.0")
    ] = None
    """Licence of the weights, for the model card."""
    quiet: flag_help.Switch = False
    """Print nothing but errors."""

    def __post_init__(self) -> None:
        refuse_unknown_device(self.device)
        if not 0 <= self.val_fraction < 1:
            raise SettingError("val_fraction", self.val_fraction, "must be at least 0 and below 1")
        at_least(self, seeds=1, accumulate=1, workers=0, checkpoint_steps=1, input_size=8)
        if not 0 <= self.seed < 2**31 - self.seeds:
            raise SettingError("seed", self.seed, "must be at least 0 and below 2^31")
