"""Views of a confirmation: a line for each training, and the table."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from nas.run.events import Ended, Epoch
from nas.util import tables
from nas.util.quantities import counted, format_count, format_duration
from nas.view.lines import percent
from nas.view.panel import word
from nas.view.redrawn import Bar
from search_spaces.hyperparameters import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from rich.table import Table

    from nas.confirm.loop import Confirmation, Task
    from nas.run.confirmed_file import ConfirmedConfig, ConfirmedFile
    from nas.run.events import Event
    from nas.run.state import SearchState, Trial
    from nas.search.listener import Listener

STOPPED = {
    "budget": "the time is used; a longer --budget continues",
    "interrupted": "interrupted; the same command continues",
    "terminated": "terminated; the same command continues",
}


class Lines:
    """Listener that prints a line for each ended training, with a progress bar of epochs on a terminal."""

    def __init__(self, work: Confirmation, task: Task, progress: Bar) -> None:
        """Takes the confirmation and the bar to move."""
        self._work = work
        self._progress = progress
        self._names = {
            one.config_id: "baseline" if one.baseline else f"trial {one.trial}" for one in task.chosen
        }
        self._seeds = task.seeds
        self._bar = progress.add_task("epochs", total=work.left * task.epochs)

    def event(self, event: Event, state: SearchState) -> None:
        """Prints a line for a training that ended."""
        if isinstance(event, Epoch):
            self._progress.advance(self._bar)
        elif isinstance(event, Ended):
            self.note(self._ended(state.trials[event.trial]))

    def note(self, text: str) -> None:
        """Says something."""
        self._progress.console.print(Text(text), soft_wrap=True)

    def tick(self) -> None:
        """Does nothing; the bar redraws itself."""

    def _ended(self, trial: Trial) -> str:
        seed = f"seed {trial.repeat} of {self._seeds}"
        outcome = f"crashed, {trial.reason}" if trial.error is None else f"top-1 {percent(trial.error)}"
        return f"{seed}, {self._names[trial.config_id]}: {outcome} ({format_duration(trial.seconds)})"


def choose(*, quiet: bool) -> Callable[[Confirmation, Task], AbstractContextManager[Listener]]:
    """Returns the suitable view."""

    @contextlib.contextmanager
    def shown(work: Confirmation, task: Task) -> Iterator[Listener]:
        known = work.predict()
        about = f", at most about {format_duration(known)}" if known else ""
        columns = (TextColumn("epochs"), BarColumn(), TextColumn("{task.completed:.0f} of {task.total:.0f}"))
        bar = Bar(*columns, TimeRemainingColumn(), transient=True, shown=not quiet)
        said = f"{counted(work.left, 'training')} of {counted(task.epochs, 'epoch')} to do{about}"
        bar.console.print(said, highlight=False)
        with bar:
            yield Lines(work, task, bar)

    return shown


def show(found: ConfirmedFile, reason: str, default: Mapping[str, Any], console: Console) -> None:
    """Prints the comparison.

    Args:
        found: Content of ``confirmed.json``.
        reason: Why it ended.
        default: The base architecture's configuration.
        console: Console to print to.
    """
    if reason in STOPPED:
        console.print(f"\n{STOPPED[reason]}")
    compared = len(found.compared)
    if not compared:
        console.print("no seed has been trained for all configurations yet: nothing to compare")
        return
    console.print(table(found))
    console.print(Text(verdict(found)))
    best = found.best
    if best is not None and not best.baseline:
        changes = [f"{name} {word(value)}" for name, _, value in differences(best.config, default)]
        console.print(Text(f"it is {', '.join(changes)}"))


def table(found: ConfirmedFile) -> Table:
    """Draws a table of mean ± standard deviation over seeds beside the search's results."""
    compared, seeds = len(found.compared), found.seeds
    of = f"{compared} of " if compared < seeds else ""
    fresh = f"{of}{counted(seeds, 'fresh seed')}"
    title = f"top-1 after {counted(found.epochs, 'epoch')}, {fresh} (validation; mean ± sd)"
    made = tables.table(title, "", "searched", "confirmed", "on the baseline", "params", "MACs")
    for row in found.configurations:
        best = row.config_id == found.winner
        made.add_row(
            Text(_name(row), "bold" if best else ""),
            percent(row.searched_error),
            Text(spread(row.mean_error, row.sd_error), "bold green" if best else ""),
            gain_over_baseline(row),
            *("–" if size is None else format_count(size) for size in (row.params, row.macs)),
        )
        for reason in row.crashes:
            made.add_row(Text(f"  crashed: {reason}", "yellow"))
    return made


def verdict(found: ConfirmedFile) -> str:
    """States the conclusion in one sentence."""
    best = found.best
    if best is None:
        return "every configuration crashed at least once: none is confirmed"
    if best.baseline:
        return "the base architecture has the lowest mean error: no configuration is confirmed to be better"
    text = f"{_name(best)}, {spread(best.mean_error, best.sd_error)}"
    if best.mean_gain is None:
        return f"best: {text}; the baseline crashed, so nothing is said about a gain"
    text += f", {gain_over_baseline(best)} points on the baseline"
    if best.sd_gain is None:
        return f"best: {text}; one seed says nothing of the spread, take more"
    low, high = interval(best.mean_gain, best.sd_gain, len(found.compared))
    text += f" (95 % interval {100 * low:+.2f} to {100 * high:+.2f})"
    return f"confirmed: {text}" if low > 0 else f"best: {text}; the gain may be chance, more seeds would tell"


def interval(mean: float, sd: float, seeds: int) -> tuple[float, float]:
    """Computes the 95 % confidence interval of a mean over seeds by Student's t."""
    from scipy.stats import t

    half = float(t.ppf(0.975, seeds - 1)) * sd / seeds**0.5
    return mean - half, mean + half


def spread(mean: float | None, sd: float | None) -> str:
    """Formats the top-1 of a mean error with its standard deviation over seeds, percent."""
    if mean is None:
        return "–"
    return f"{100 * (1 - mean):.2f}%" if sd is None else f"{100 * (1 - mean):.2f} ± {100 * sd:.2f}%"


def gain_over_baseline(row: ConfirmedConfig) -> str:
    """Formats the gain in top-1 on the baseline, seed by seed, mean and deviation, percentage points."""
    if row.mean_gain is None:
        return "–"
    text = f"{100 * row.mean_gain:+.2f}"
    return text if row.sd_gain is None else f"{text} ± {100 * row.sd_gain:.2f}"


def _name(row: ConfirmedConfig) -> str:
    return "baseline" if row.baseline else f"trial {row.searched_trial}"
