"""Train a network at full size: ``python -m nas.train DIR_OR_MODEL --data folder:DIR -o OUT``."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nas.export.recipe import Recipe
from nas.train import fit
from nas.train.settings import OWN, TrainCommandSettings
from nas.util import cli, flag_help, output
from nas.util.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.train"

_DESCRIPTION = """Train a network: at full size as the NEXcepTion paper does (Table 1), or a run's best one,
at the size that was searched, longer and on all its training images.

The best epoch is chosen on images held out from the training set; the test set is used once, at the
end. If it is killed, the same command continues from the last checkpoint. On several GPUs:
torchrun --nproc-per-node N -m nas.train ..., or accelerate launch."""


# Spellings of earlier versions, and the search's for the images.
RENAMED = {
    "--dataset": "--data",
    "--accumulate": "--grad-accum-steps",
    "--auto-augment": "--aa",
    "--flip": "--hflip",
    "--schedule": "--sched",
    "--mix-switch": "--mixup-switch-prob",
    "--erasing": "--reprob",
    "--bce-threshold": "--bce-target-thresh",
    "--repeats": "--aug-repeats",
    "--ema": "--model-ema-decay",
}


@dataclass(frozen=True)
class Command:
    """The command line."""

    model: Annotated[str, tyro.conf.Positional]
    """A folder that nas.export wrote, a run folder (for its best network, at the size searched), or a model
    that timm knows, such as nexception_t or nexception_tp."""
    settings: Annotated[TrainCommandSettings, flag_help.group("Training")]
    which: Annotated[str, tyro.conf.arg(name="recipe")] = fit.AUTO
    """search: the recipe of the search's trials; paper: that of Table 1; or a YAML file; auto: what suits the
    network. The flags below change single settings of it."""
    recipe_file: Annotated[Path | None, flag_help.default("none")] = None
    """The same as --recipe FILE."""
    recipe: Annotated[Recipe, flag_help.group("Recipe")] = field(default_factory=Recipe)


@cli.flags(Command, output="-o", dataset="--data")
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = sys.argv[1:] if args is None else args
    first = cli.parse(Command, prog=PROG, description=_DESCRIPTION, args=args, renamed=RENAMED)
    run = fit.is_run(first.model)
    if first.settings.data == OWN and not run:
        raise SettingError(
            "data", None, "must be given, such as folder:DIR; only a run folder has images of its own"
        )
    # Settings that are not on the command line come from the recipe of the network.
    found = fit.choose(first.model, _wanted(first), first.settings.space, first.settings.output)
    settings = TrainCommandSettings(tyro.MISSING, val_fraction=0.0) if run else tyro.MISSING_NONPROP
    default = Command(tyro.MISSING, settings, first.which, first.recipe_file, found.recipe)
    command = cli.parse(
        Command, prog=PROG, description=_DESCRIPTION, default=default, args=args, renamed=RENAMED
    )
    from nas.export import loading

    if not run:
        loading.refuse_folders([first.model], first.settings.space)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # reading processes share the cores

    output.doing("loading PyTorch")
    from nas.train import session

    loud = not command.settings.quiet and int(os.environ.get("RANK", "0")) == 0
    if loud:
        print(f"recipe: {found.why}")
    summary = session.train(command.model, command.settings, command.recipe)
    if loud:
        session.show(summary, command.settings.output)
    return 0


def _wanted(command: Command) -> str:
    if command.recipe_file is None:
        return command.which
    if command.which != fit.AUTO:
        raise SettingError(
            "recipe_file", command.recipe_file, "goes without --recipe, which takes a file too"
        )
    return str(command.recipe_file)


if __name__ == "__main__":
    cli.run(main, PROG)
