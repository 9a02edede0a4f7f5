"""All speed benchmarks of a CPU in one call; writes its part of ``docs/performance.md``.

Takes about half an hour on two cores, which must have nothing else to do. Replaces what stands between
``<!-- cpu -->`` and ``<!-- /cpu -->`` by the table of measured figures and by what each benchmark printed.
At ``paper`` width a CPU trains small batches only: full ones take a minute per step. A GPU's part is
written by ``benchmarks.gpu``.
"""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import (
    configurations,
    optimizer_ask,
    search_utilisation,
    soak,
    train_throughput,
    trial_overhead,
)
from benchmarks.workload import SPACE, command, machine, replaced

if TYPE_CHECKING:
    from collections.abc import Callable

_ASK_TRIALS = 3000
_SMALL_BATCH = 16


@dataclass(frozen=True)
class PerformanceSettings:
    """What to measure."""

    soak_trials: int = 1000
    """Trials of the soak; 0 leaves it out."""
    soak_minutes: float = 12.0
    """Longest soak."""
    docs: Path = Path("docs/performance.md")
    """The page to write into."""


def measure(options: PerformanceSettings) -> tuple[dict[str, str], str]:
    """Runs everything.

    Returns:
        The measured figures by name, and all that was printed.
    """
    printed = io.StringIO()
    figures: dict[str, str] = {}

    def section(title: str, run: Callable[[], Any]) -> Any:
        print(f"\n### {title}\n", file=printed)
        with contextlib.redirect_stdout(_Tee(printed)):
            return run()

    for title, wanted in trainings().items():
        speed = section(title, partial(train_throughput.main, wanted))
        figures |= speeds(speed["results"])
    drawn = section(
        "Random configurations", lambda: configurations.main(configurations.ConfigurationsSettings(count=16))
    )
    figures["harmonic mean over 16 random configurations, `tiny` width"] = f"{drawn['rate']:,.0f} images/s"
    figures["a new configuration, before its first epoch, in a warm process"] = (
        f"{drawn['before_median']:.2f} s, at most {drawn['before_max']:.2f} s"
    )
    cost = section("Overhead of a trial", lambda: trial_overhead.main(trial_overhead.TrialOverheadSettings()))
    fixed = cost["parts"]["later trials, beyond their epoch"][0]
    figures["fixed cost of a trial in a warm process"] = f"{fixed:.2f} s"
    use = section(
        "A whole search",
        lambda: search_utilisation.main(
            search_utilisation.SearchUtilisationSettings(trials=12, at_once=(1, 2))
        ),
    )
    alone = use["results"][0]
    figures["device idle in a whole search (no trial under way)"] = f"{100 * (1 - alone['trial']):.1f} %"
    figures["device not in a step (short trials)"] = f"{100 * (1 - alone['steps']):.1f} %"
    figures["validation and norm estimation, share of the steps' time"] = f"{100 * alone['validation']:.1f} %"
    for case, median in section("Optimiser", asks).items():
        figures[f"optimiser ask, {_ASK_TRIALS:,} trials, {case}"] = f"median {1e3 * median:.0f} ms"
    if options.soak_trials:
        long = soak.SoakSettings(trials=options.soak_trials, minutes=options.soak_minutes)
        memory = section("Memory", lambda: soak.main(long))
        for who in ("search", "trial process"):
            slope, low, high = memory[f"{who}, MB a thousand trials"]
            name = f"memory of the {who}, growth over {memory['samples'][-1]['trials']:,.0f} trials"
            figures[name] = f"{slope:+.1f} MB a thousand ({low:+.1f} to {high:+.1f})"
    return figures, printed.getvalue()


def trainings() -> dict[str, train_throughput.TrainThroughputSettings]:
    """Returns what is trained, by title: all widths, and ``paper`` width with a batch that suits a CPU."""
    tiny, small, paper = (SPACE.presets[name] for name in ("tiny", "small", "paper"))
    return {
        "Training": train_throughput.TrainThroughputSettings(widths=(tiny, small), turns=3, seconds=1.0),
        f"Training, batch {_SMALL_BATCH}": train_throughput.TrainThroughputSettings(
            widths=(paper,), batch_size=_SMALL_BATCH, turns=2, seconds=0.5
        ),
    }


def speeds(results: list[dict[str, Any]]) -> dict[str, str]:
    """Returns training's speed at each width and batch, from the slowest to the fastest network."""
    figures = {}
    for preset, width in SPACE.presets.items():
        found = [result for result in results if result["width"] == width]
        if not found:
            continue
        where = f"`{preset}` width, batch {found[0]['batch_size']}"
        for key, name in (("against_plain", "(a)"), ("against_no_data", "(b)")):
            ratios = [result[key] for result in found]
            figures[f"against the plain loop {name}, {where}"] = (
                f"{min(ratios):.1f} to {max(ratios):.1f} times"
            )
        for result in found:
            if result["point"] == "nexception":
                share = f"share of the tighter roofline, NEXcepTion, {where}"
                figures[share] = f"{100 * result['share']:.0f} %"
    return figures


def asks() -> dict[str, float]:
    """Median seconds of an ask after 3,000 trials, with rungs and without."""
    found = {}
    for name, fidelity in optimizer_ask.CASES.items():
        history = optimizer_ask.random_history(SPACE, fidelity, _ASK_TRIALS)
        _, found[name], *_ = optimizer_ask.measure(SPACE, fidelity, history, 40)
        print(f"{name}: median {1e3 * found[name]:.0f} ms")
    return found


class _Tee(io.TextIOBase):
    """Also writes to the terminal."""

    def __init__(self, copy: io.StringIO) -> None:
        self._copy = copy
        self._terminal = sys.stdout

    def write(self, text: str) -> int:
        """Writes to both."""
        self._terminal.write(text)
        self._terminal.flush()
        return self._copy.write(text)


def report(figures: dict[str, str], printed: str) -> str:
    """The CPU's part of the page."""
    facts = machine(torch.device("cpu"))
    where = ", ".join(str(facts[key]) for key in ("device", "cpu", "cores") if key in facts)
    lines = [
        f"`python -m benchmarks.performance`, {where} cores, torch {facts['torch']}, {facts['date']}",
        "",
    ]
    lines += [
        "| figure | measured |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in figures.items()),
    ]
    return "\n".join(lines) + "\n" + printed


def main(options: PerformanceSettings) -> None:
    """Measures, and writes the page."""
    replaced(options.docs.read_text(), "cpu", "")  # marks are looked for before half an hour is spent
    text = report(*measure(options))
    options.docs.write_text(replaced(options.docs.read_text(), "cpu", text))


if __name__ == "__main__":
    command(main, PerformanceSettings, __doc__)
