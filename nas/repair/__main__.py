"""Repair a run whose journal is damaged: ``python -m nas.repair runs/<name>``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nas.run.commands import RunCommands
from nas.util import cli, flag_help
from nas.util.errors import UserError
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.events import Salvaged
    from nas.run.folder import Run
    from nas.run.repair import Repaired

PROG = "python -m nas.repair"

_DESCRIPTION = """Repair a run whose journal is damaged, keeping every trial that can still be read.

A flipped bit is corrected. A line that no result depends on is dropped. If a result itself is lost, the
journal is cut before it; the trials after it are kept in salvaged.jsonl, and --resume takes them from there
instead of training them again. The damaged file is kept next to the repaired one."""


@dataclass(frozen=True)
class Command:
    """What to repair."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    dry_run: flag_help.Switch = False
    """Say what would be done, and do nothing."""


@cli.flags(Command)
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=_DESCRIPTION, args=args)
    from nas.run import repair
    from nas.run.folder import Run

    run = Run.open(command.run)
    with run.lock():
        data = run.journal.read_bytes()
        repaired = repair.repair(data)
        if not repaired.changed:
            print(f"{run.journal}: nothing is damaged")
            return 0
        results = repair.finished(repair.events(repaired.salvaged), repair.events(repaired.lines))
        print("\n".join(_findings(repaired, len(results))))
        if command.dry_run:
            print("nothing was changed (--dry-run)")
            return 0
        try:
            backup = _write(run, data, repaired, results)
        except OSError as error:
            raise UserError(
                f"{run.path}: cannot be written ({error.strerror}); nothing was changed"
            ) from None
    print(f"the damaged journal is kept as {backup}")
    print(f"next: {RunCommands.of(command.run, run.read_search()).resume('')}")
    return 0


def _write(run: Run, data: bytes, repaired: Repaired, results: list[Salvaged]) -> Path:
    """Writes backup, salvage and journal in this order, so that a kill in between loses nothing."""
    from nas.run import journal
    from nas.util import records
    from nas.util.files import overwrite

    number = 1
    while (backup := run.path / f"trials.damaged-{number}.jsonl").exists():
        number += 1
    salvaged = [journal.sealed(records.write(result))[:-1] for result in results]
    if run.salvaged.exists():
        salvaged = [*run.salvaged.read_bytes().split(b"\n")[:-1], *salvaged]
    contents = {backup: data, run.journal: b"".join(line + b"\n" for line in repaired.lines)}
    if salvaged:
        contents = {run.salvaged: b"".join(line + b"\n" for line in salvaged), **contents}
    for path, new in contents.items():
        overwrite(path, new)
    return backup


def _findings(repaired: Repaired, results: int) -> list[str]:
    found = [f"line {number}: one bit was wrong; corrected" for number in repaired.healed]
    found += [
        f"line {number}: cannot be read and is dropped; no trial's result was in it"
        for number in repaired.dropped
    ]
    if repaired.cut is not None:
        found.append(
            f"line {repaired.cut}: cannot be read, and later lines depend on it; the journal is cut there; "
            f"salvaged.jsonl keeps {counted(results, 'finished trial')} after it"
        )
    ended = sum(b'"event":"ended"' in line for line in repaired.lines)
    return [*found, f"{counted(ended + results, 'finished trial')} kept"]


if __name__ == "__main__":
    cli.run(main, PROG)
