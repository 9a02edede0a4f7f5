"""The fault campaign: ``python -m tests.faults.campaign --kills 100`` harms searches in every way we know.

Every search trains real networks on real images; what is harmed and resumed must end with the ledger of
an unharmed search of the same seed, to the last digit. The table is written into docs/reliability.md.
"""

from __future__ import annotations

import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from nas.util import cli
from nas.util.files import replacing
from tests.faults import disks, folders_shared, kills, lab, outside, trials
from tests.faults.folders import SEARCH
from tests.faults.lab import Lab, Row

PROG = "python -m tests.faults.campaign"
PAGE = Path("docs/reliability.md")
BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"


@dataclass(frozen=True)
class Command:
    """How much to harm."""

    kills: int = 100
    """Searches killed at random moments; a tenth of them as separate commands."""
    writes: int | None = None
    """Writes, fsyncs and renames of each kind to kill in the middle of; by default every one."""
    breaks: int = 24
    """Places where the disk gets full, and as many where it turns read-only."""
    page: Path | None = PAGE
    """Page that takes the table; none for no page."""
    seed: int = 0
    """Of the random moments."""


def chapters(here: Lab, command: Command) -> Iterator[Row]:
    """Tries everything; gives one row after another."""
    yield kills.at_random(here, command.kills, command.seed)
    yield whole_commands(here, max(command.kills // 10, 1), command.seed)
    yield from kills.in_writes(here, command.writes)
    yield kills.in_export(here, command.writes)
    for number in (signal.SIGTERM, signal.SIGINT):
        for times in (1, 2):
            yield kills.by_signal(here, number, times)
    yield from trials.failing(here)
    for harm in ("truncated", "emptied", "overwritten"):
        yield disks.corrupted_checkpoints(here, harm)
    yield disks.breaking(here, "full", command.breaks)
    yield disks.breaking(here, "readonly", command.breaks)
    for kilobytes in (40, 100, 400):
        yield disks.small_tmpfs(here, kilobytes)
    yield disks.slow(here)
    yield disks.truncated(here, 10, command.seed)
    yield disks.damaged(here, 0, 20, command.seed)
    yield disks.damaged(here, 64, 10, command.seed)
    yield disks.damaged(here, 1500, 10, command.seed)
    yield folders_shared.second_search(here)
    yield folders_shared.array_tasks(here, 5)
    yield folders_shared.jumping_clock(here)
    yield folders_shared.moved(here)
    yield folders_shared.other_device(here)
    for whom in ("both", "the search alone", "the trial alone"):
        yield outside.suspended(here, whom)
    yield outside.nohup(here)
    yield outside.hung_up(here)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        yield outside.told_to_all(here, number)
    yield outside.without_locks(here)


def whole_commands(here: Lab, times: int, seed: int) -> Row:
    """Kills ``python -m nas.search`` itself, imports and all, at random moments of its life."""
    row = Row("SIGKILL at a random moment of the command's life", "resumes to the unharmed ledger")
    draw = random.Random(seed)
    run = here.folder / "command"
    python = [sys.executable, "-m", "nas.search"]
    begin = [*SEARCH, "--runs-dir", str(here.folder), "--name", run.name, "--resume", "auto", "--quiet"]
    begun = time.monotonic()
    subprocess.run([*python, *begin], check=True, capture_output=True)
    lifetime = time.monotonic() - begun
    shutil.rmtree(run)
    for _ in range(times):
        process = subprocess.Popen([*python, *begin], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0, lifetime))
        process.kill()
        process.wait()
        row.add([])
    done = subprocess.run([*python, *begin], capture_output=True, text=True)
    problems, lost = here.compare(run)
    row.problems += problems if done.returncode == 0 else [done.stderr[-200:]]
    row.survived = row.tried if not row.problems else 0
    row.lost = lost
    return row


def table(rows: list[Row], minutes: float) -> str:
    """The rows as a Markdown table, with where and when they were measured."""
    lines = ["| fault | what must happen | tried | survived | lost trials |", "|---|---|--:|--:|--:|"]
    lines += [f"| {r.fault} | {r.expected} | {r.tried} | {r.survived} | {r.lost} |" for r in rows]
    tried, survived, lost = (sum(getattr(r, key) for r in rows) for key in ("tried", "survived", "lost"))
    lines.append(f"| **all** | | **{tried}** | **{survived}** | **{lost}** |")
    where = f"{processor()}, Python {platform.python_version()}, {date.today()}, {minutes:.0f} minutes"
    return "\n".join([*lines, "", f"Written by `{PROG} {' '.join(sys.argv[1:])}`".rstrip() + f"; {where}."])


def processor() -> str:
    """The machine in words."""
    from nas.util.machine import cpu_name

    return cpu_name()


def write(page: Path, text: str) -> None:
    """Puts the table between the page's marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    with replacing(page) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def main() -> int:
    """Runs the campaign; its exit code is 0 only if everything survived."""
    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=sys.argv[1:])
    begun, rows = time.monotonic(), []
    with lab.opened() as here:
        for row in chapters(here, command):
            rows.append(row)
            print(
                f"{row.survived:4} of {row.tried:4} survived, {row.lost} trials lost: {row.fault}", flush=True
            )
            for problem in dict.fromkeys(row.problems):
                print(f"     {problem}", flush=True)
    if command.page is not None:
        write(command.page, table(rows, (time.monotonic() - begun) / 60))
    return 0 if all(row.survived == row.tried and not row.lost for row in rows) else 1


if __name__ == "__main__":
    cli.run(main, PROG)
