"""One call for the owner of a GPU: its tests, then its half of ``docs/performance.md``.

Runs the tests marked ``gpu`` and the speed benchmarks, each in a process and a time of its own, within
``--minutes`` in all. The page is written after every stage, so that a run that is cut off leaves what it
measured, and says what it did not. Ends with 0 if all went well, 1 if not, 2 without a GPU.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_page import page
from benchmarks.gpu_stages import FULL, QUICK, Outcome, Stage, run, stages
from benchmarks.workload import replaced
from nas.util import cli
from nas.util.device import refuse_unknown_device
from nas.util.errors import UserError
from nas.util.files import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m benchmarks.gpu"
_PAGE = Path("docs/performance.md")


@dataclass(frozen=True)
class GpuSettings:
    """How long, and where to."""

    device: str = "cuda:0"
    """cuda:N; cpu, with --quick and --docs, to see that all stages run."""
    minutes: float = 12.0
    """Longest time in all; every stage has its share, and what an earlier one left."""
    quick: bool = False
    """Tiny sizes: whether it runs, not how fast."""
    docs: Path = _PAGE
    """The page to write into."""
    results: Path = Path("runs/make-gpu")
    """Folder for all figures."""

    def __post_init__(self) -> None:
        if self.minutes <= 0:
            raise UserError(f"--minutes {self.minutes:g}: must be above 0")
        refuse_unknown_device(self.device)
        if self.device == "auto":
            raise UserError("--device auto: name the GPU, such as cuda:0")
        if self.device == "cpu" and not self.quick:
            raise UserError("--device cpu: needs --quick, whose sizes a CPU can do")
        if self.quick and self.docs.resolve() == _PAGE.resolve():
            raise UserError(f"--docs {self.docs}: with --quick it must be a copy of that page")


def main(args: Sequence[str] | None = None) -> int:
    """Runs all stages; returns the exit code.

    Args:
        args: The command line; the process's own if None.

    Raises:
        UserError: Without a GPU, or if there is no page to write into.
    """
    options = cli.parse(GpuSettings, prog=PROG, description=__doc__ or "", args=args)
    refuse_without_gpu(options.device)
    try:
        replaced(options.docs.read_text(), "cuda", "")
    except (OSError, ValueError) as error:
        raise UserError(f"--docs {options.docs}: {error}") from None
    sizes = QUICK if options.quick else FULL
    left = stages(options.device, sizes)
    scale = 60 * options.minutes / sum(stage.seconds for stage in left)
    began, ends = time.monotonic(), 0.0
    done: dict[str, tuple[Stage, Outcome]] = {}
    found: dict[str, Any] = {}
    while left:
        stage = left.pop(0)
        ends += scale * stage.seconds
        figures = options.results / f"{stage.name}.json"
        figures.unlink(missing_ok=True)
        limit = ends - (time.monotonic() - began)
        print(f"\n== {stage.title}: {limit:.0f} s at most", flush=True)
        done[stage.name] = stage, run(stage, figures, limit)
        if figures.exists():
            found[stage.name] = json.loads(figures.read_text())
        write(options.docs, page(done, found, sizes, left))
    bad = [stage.title for stage, outcome in done.values() if outcome.code != 0]
    print(f"\n{options.docs}: written after {time.monotonic() - began:.0f} s")
    if bad:
        print(f"{PROG}: did not end well: {', '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


def refuse_without_gpu(device: str) -> None:
    """Stops at once where there is nothing to measure.

    Raises:
        UserError: If the GPU asked for is not there.
    """
    import torch

    count = torch.cuda.device_count()
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= count:
        there = "none that torch sees" if count == 0 else f"only {count}"
        raise UserError(f"--device {device}: needs a GPU, and this machine has {there}; nothing was run")


def write(docs: Path, text: str) -> None:
    """Puts the half into the page; a reader sees the old page or the new one."""
    with replacing(docs) as temporary:
        temporary.write_text(replaced(docs.read_text(), "cuda", text))


if __name__ == "__main__":
    cli.run(main, PROG)
