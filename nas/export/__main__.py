"""Build a found network at full size: ``python -m nas.export runs/NAME --geometry t -o DIR``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nas.export.settings import ExportSettings
from nas.util import cli, flag_help, output
from nas.util.commands import typed

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.export"

_DESCRIPTION = """Build a found network at full size and write it as a folder that timm loads.

The folder holds config.json, model.safetensors (initial weights; with --geometry reduced those that
the search trained), a model card and the recipe that nas.train follows. It appears whole or not at
all."""


@dataclass(frozen=True)
class Command:
    """The command line."""

    settings: Annotated[ExportSettings, flag_help.group("Export")]
    quiet: flag_help.Switch = False
    """Print nothing but errors."""


@cli.flags(Command, output="-o")
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=_DESCRIPTION, args=args)

    output.doing("loading PyTorch")
    from nas.export import summary
    from nas.export.build import export
    from nas.run.folder import Run
    from nas.tracking.follower import made

    exported = export(command.settings)
    source, target = Run(Path(command.settings.source)), command.settings.output
    made(source, target) if command.quiet else made(source, target, partial(print, file=sys.stderr))
    if not command.quiet:
        if exported.note:
            print(exported.note)
        summary.show(exported.rows, exported.totals)
        for form in exported.forms:
            print(form.description)
        folder = command.settings.output
        trained = folder.with_name(f"{folder.name}-trained")
        print(f"written to {folder}")
        if exported.url is not None:
            print(f"pushed to {exported.url}")
        # Code that came with the weights runs only if the user names it.
        space = [] if exported.space is None else ["--space", exported.space]
        if exported.searched:
            own = f"run:{command.settings.source}"
            print(f"next\n  {typed('nas.evaluate', folder, '--data', own, *space)}")
            print(f"  {typed('nas.train', folder, '--data', own, '-o', trained, *space)}")
            return 0
        print("next (DIR: train/ and test/, with one folder per class)")
        if command.settings.weights is None and not exported.again:
            print(f"  {typed('nas.train', folder, '--data', 'folder:DIR', '-o', trained, *space)}")
        else:
            print(f"  {typed('nas.evaluate', folder, '--data', 'folder:DIR', *space)}")
    return 0


if __name__ == "__main__":
    cli.run(main, PROG)
