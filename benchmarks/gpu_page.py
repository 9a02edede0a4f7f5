"""The GPU's half of ``docs/performance.md``: targets, and what ``make gpu`` measured."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.gpu_stages import Outcome, Sizes, Stage

_OPEN = "not measured"
_BEFORE = (
    "Before: one-off scripts, steps only, without faster layers and whole recorded steps; torch 2.11.\n"
    "Second and third figure: share of the floor by bytes, ratio to the plain loop in fp16 without data."
)
_COMMAND = "`make gpu` (`python -m benchmarks.gpu`)"
# (point, before, wanted) at the paper's width; measured before on an H200 with one-off scripts.
_POINTS = (
    ("costliest", "1,450 img/s, 1.9 %, 1.0x", ">= 20,000 img/s"),
    ("nexception", "16,300 img/s, 20 %, 1.7x", ">= 33,000 img/s, 40 %, 3.3x"),
    ("xception", "36,300 img/s, 35 %, 2.1x", ">= 52,000 img/s, 50 %"),
    ("cheapest", "48,200 img/s, 31 %, 2.4x", ">= 77,000 img/s, 50 %"),
)


@dataclass(frozen=True)
class Row:
    """A row of the table; cells that are empty were not measured."""

    figure: str
    before: str
    wanted: str
    measured: str = ""
    against_plain: str = ""
    share: str = ""

    def __str__(self) -> str:
        cells = (
            self.figure,
            self.before,
            self.wanted,
            self.measured or _OPEN,
            self.against_plain,
            self.share,
        )
        return "| " + " | ".join(cells) + " |"


def rows(found: Mapping[str, Any], sizes: Sizes) -> list[Row]:
    """Returns the table: one row for each target, measured or not.

    Args:
        found: Figures of the stages, by name; stages without any are missing.
        sizes: Of the stages.
    """
    return [
        *_points(found.get("train"), sizes),
        *_drawn(found, sizes),
        *_search(found),
        *_loops(found, sizes),
    ]


def _points(train: Any, sizes: Sizes) -> Iterable[Row]:
    results = {} if train is None else {result["point"]: result for result in train["results"]}
    for point, before, wanted in _POINTS:
        figure = f"{point}, width {sizes.wide}"
        result = results.get(point)
        if result is None or not result["best"]:
            yield Row(figure, before, wanted)
            continue
        rate = result["most"] * result["share"]
        yield Row(
            f"{figure}, batch {result['batch_size']}",
            before,
            wanted,
            f"{rate:,.0f} img/s",
            _times(result["against_no_data"]),
            _share(result["share"]),
        )


def _drawn(found: Mapping[str, Any], sizes: Sizes) -> Iterable[Row]:
    drawn, narrow = found.get("random"), found.get("narrow")
    together = found.get("together", {}).get("results", [{}])[0]
    figure = f"harmonic mean over random configurations of the space, width {sizes.wide}"
    before = "4,500 img/s by estimate"
    measured = against = share = ""
    if drawn is not None and drawn.get("configurations"):
        measured = f"{drawn['rate']:,.0f} img/s ({drawn['configurations']} of {drawn['wanted']})"
        against, share = _times(drawn["against_no_data"]), _share(drawn["share"])
    yield Row(figure, before, ">= 25,000 img/s over 64", measured, against, share)
    measured = against = ""
    if together:
        measured = f"{together['images_a_second']:,.0f} img/s ({together['trials']:.0f} trials)"
        if narrow is not None and narrow.get("configurations"):
            against = _times(together["images_a_second"] / narrow["plain"])
    yield Row(
        f"the same, width {sizes.narrow}, a whole search with all trials on the card together",
        "41,000 img/s (NEXcepTion)",
        ">= 160,000 img/s",
        measured,
        against,
    )
    measured = ""
    if drawn is not None and not math.isnan(drawn.get("before_median", math.nan)):
        measured = f"{drawn['before_median']:.2f} s (median), {drawn['before_max']:.2f} s (most)"
    yield Row(
        "a new configuration, before its first epoch, in a warm process", "4 to 8 s", "< 1.0 s", measured
    )


def _search(found: Mapping[str, Any]) -> Iterable[Row]:
    result = found.get("search", {}).get("results", [{}])[0]
    validation = idle = ""
    if result:
        validation = f"{100 * result['validation']:.1f} %"
        idle = f"{100 * (1 - result['steps']):.1f} % outside steps"
        if not math.isnan(result["idle"]):
            idle = f"{100 * result['idle']:.1f} % by the driver, {idle}"
    yield Row("validation and batch-norm estimation, share of a trial's steps", _OPEN, "< 5 %", validation)
    yield Row("device idle over a whole search of short trials", _OPEN, "< 2 %", idle)
    parts = found.get("overhead", {}).get("parts")
    fixed = f"{parts['later trials, beyond their epoch'][0]:.2f} s" if parts else ""
    yield Row("fixed cost of a trial in a warm process", _OPEN, "< 1.5 s", fixed)


def _loops(found: Mapping[str, Any], sizes: Sizes) -> Iterable[Row]:
    results = {result["width"]: result for result in found.get("loops", {}).get("results", [])}
    for width, wanted in {sizes.wide: ">= 10x", sizes.narrow: ">= 20x"}.items():
        result = results.get(width)
        figure = f"NEXcepTion against the plain loop with DataLoader workers, width {width}"
        if result is None or math.isnan(result["against_plain"]):
            yield Row(figure, _OPEN, wanted)
        else:
            rate = result["most"] * result["share"]
            yield Row(figure, _OPEN, wanted, f"{rate:,.0f} img/s", _times(result["against_plain"]))


def tests_line(outcome: Outcome | None) -> str:
    """Returns the result of the tests, in one line."""
    if outcome is None:
        return f"Tests: {_OPEN}."
    verdicts = outcome.verdicts
    bad = sorted(name for name, verdict in verdicts.items() if verdict != "PASSED")
    text = f"Tests: {len(verdicts) - len(bad)} passed, {len(bad)} failed"
    text += ", cut off" if outcome.code is None else ""
    return f"{text} ({outcome.seconds:.0f} s)." + "".join(f" `{name}`" for name in bad)


def page(
    done: Mapping[str, tuple[Stage, Outcome]], found: Mapping[str, Any], sizes: Sizes, left: Iterable[Stage]
) -> str:
    """Returns the GPU's half of the page.

    Args:
        done: Stages that ran, by name.
        found: Their figures, by name.
        sizes: Of the stages.
        left: Stages that did not run yet.
    """
    facts: dict[str, Any] = next((one for one in found.values() if "device" in one), {})
    lines = [f"{_COMMAND}: never run on a GPU yet, all rows are open."]
    if facts:
        where = f"{facts['device']}, {facts['cpu']}, {facts['cores']} cores"
        lines = [f"{_COMMAND}, {where}, torch {facts['torch']}, {facts['date']}"]
    lines += ["", _BEFORE]
    tests = done.get("tests")
    lines += ["", tests_line(None if tests is None else tests[1]), ""]
    lines += ["| figure | before, H200, 2026-11-26 | wanted, H200 | measured | against the plain loop |"]
    lines[-1] += " share of the tighter floor |"
    lines += ["|---|---|---|---|---|---|", *map(str, rows(found, sizes))]
    for name, (stage, outcome) in done.items():
        if name == "tests":
            continue
        ended = "its time was over" if outcome.code is None else f"ended with {outcome.code}"
        notes = "" if outcome.code == 0 else f" ({ended})"
        lines += ["", f"### {stage.title}{notes}", "", f"`python -m {shlex.join(stage.words)}`", ""]
        lines += outcome.printed
    waiting = [stage.title for stage in left]
    if waiting and done:
        lines += ["", f"Not run: {', '.join(waiting)}."]
    return "\n".join(lines) + "\n"


def _times(ratio: float) -> str:
    return "" if math.isnan(ratio) else f"{ratio:.1f}x"


def _share(part: float) -> str:
    return "" if math.isnan(part) else f"{100 * part:.1f} %"
