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
from nas.train.settings import OWN, Options
from nas.util import cli, output
from nas.util.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.train"

_DESCRIPTION = """Train a network: at full size as the NEXcepTion paper does (Table 1), or a run's best one,
at the size that was searched, longer and on all its training images.

The best epoch is chosen on images held out from the training part; the test part is looked at once,
at the end. Killed at any moment, the same command goes on from the last checkpoint. Several GPUs:
torchrun --nproc-per-node N -m nas.train ..., or accelerate launch."""


@dataclass(frozen=True)
class Command:
    """Everything the command line says."""

    model: Annotated[str, tyro.conf.Positional]
    """A folder that nas.export wrote, a run folder (its best network, at the size that was searched), or a
    model that timm knows, such as nexception_t or nexception_tp."""
    options: Options
    which: Annotated[str, tyro.conf.arg(name="recipe")] = fit.AUTO
    """search: by which the search trained its networks; paper: Table 1's; or a YAML file of settings; auto:
    the one that fits. The flags below change single settings of it."""
    recipe_file: Path | None = None
    """The same as --recipe FILE."""
    recipe: Recipe = field(default_factory=Recipe)


@cli.flags(Command, output="-o", dataset="--data")
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = sys.argv[1:] if args is None else args
    first = cli.parse(Command, prog=PROG, description=_DESCRIPTION, args=args)
    run = fit.is_run(first.model)
    if first.options.data == OWN and not run:
        raise SettingError(
            "data", None, "must be given, such as folder:DIR; only a run folder has images of its own"
        )
    # What the command line does not say comes from the recipe of the network it names.
    found = fit.choose(first.model, _wanted(first))
    options = Options(tyro.MISSING, val_fraction=0.0) if run else tyro.MISSING_NONPROP
    default = Command(tyro.MISSING, options, first.which, first.recipe_file, found.recipe)
    command = cli.parse(Command, prog=PROG, description=_DESCRIPTION, default=default, args=args)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # reading processes share the cores

    output.doing("loading PyTorch")
    from nas.train import session

    loud = not command.options.quiet and int(os.environ.get("RANK", "0")) == 0
    if loud:
        print(f"recipe: {found.why}")
    summary = session.train(command.model, command.options, command.recipe)
    if loud:
        session.show(summary, command.options.output)
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
