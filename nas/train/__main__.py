"""Train a network at full size: ``python -m nas.train DIR_OR_MODEL --data folder:DIR -o OUT``."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nas.export import recipe as recipes
from nas.export.recipe import Recipe
from nas.train.settings import Options
from nas.util import cli, output

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.train"

_DESCRIPTION = """Train a network at full size, by default as the NEXcepTion paper does (Table 1).

The best epoch is chosen on images held out from the training part; the test part is looked at once,
at the end. Killed at any moment, the same command goes on from the last checkpoint. Several GPUs:
torchrun --nproc-per-node N -m nas.train ..., or accelerate launch."""


@dataclass(frozen=True)
class Command:
    """Everything the command line says."""

    model: Annotated[str, tyro.conf.Positional]
    """A folder that nas.export wrote, or a model that timm knows, such as nexception_t or nexception_tp."""
    options: Options
    recipe_file: Path | None = None
    """YAML of recipe settings, instead of the folder's recipe.yaml."""
    recipe: Recipe = field(default_factory=Recipe)


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = sys.argv[1:] if args is None else args
    first = cli.parse(Command, prog=PROG, description=_DESCRIPTION, args=args)
    # What the command line does not say comes from the recipe of the network it names.
    default = Command(tyro.MISSING, tyro.MISSING_NONPROP, first.recipe_file, _recipe(first))
    command = cli.parse(Command, prog=PROG, description=_DESCRIPTION, default=default, args=args)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # reading processes share the cores

    output.doing("loading PyTorch")
    from nas.train import session

    summary = session.train(command.model, command.options, command.recipe)
    if not command.options.quiet and int(os.environ.get("RANK", "0")) == 0:
        session.show(summary, command.options.output)
    return 0


def _recipe(command: Command) -> Recipe:
    if command.recipe_file is not None:
        return recipes.read(command.recipe_file)
    own = Path(command.model).expanduser() / "recipe.yaml"
    return recipes.read(own) if own.is_file() else recipes.published(command.model)


if __name__ == "__main__":
    cli.run(main, PROG)
