"""Draws a snapshot for a terminal with rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from nas.run.liveness import AWAY, COPIED, DEAD, RUNNING, STOPPED
from nas.util.quantities import counted, format_count, format_duration
from nas.util.timestamps import moment
from nas.view import front
from nas.view.fitting import Bar, Figures, Indented
from nas.view.lines import STOP_REASONS, over_seeds, percent
from nas.view.spark import spark

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nas.view.snapshot import IncumbentSummary, RunningTrial, Snapshot

_MOST_TRIALS = 8  # running trials that fit a terminal
_MOST_CURVES = 3  # up to this many running trials there is room for their curves
STATUS_STYLE = {RUNNING: "green", STOPPED: "cyan", DEAD: "red", COPIED: "yellow", AWAY: "yellow"}


def draw(snapshot: Snapshot) -> RenderableType:
    """Draws the panel."""
    parts: list[RenderableType] = [_head(snapshot), _time(snapshot)]
    for trial in snapshot.running[:_MOST_TRIALS]:
        parts.append(_trial(trial))
        if len(snapshot.running) <= _MOST_CURVES and len(trial.curve) > 1:
            parts.append(_curve(trial, snapshot.incumbent))
    hidden = len(snapshot.running) - _MOST_TRIALS
    if hidden > 0:
        parts.append(Text(f"and {counted(hidden, 'trial')} more", style="dim"))
    parts += [Text(), _rungs(snapshot)]
    if snapshot.misleading:
        parts.append(Indented([Text(snapshot.misleading, style="dim")]))
    parts += [Text(), _incumbent(snapshot)]
    if snapshot.front is not None:
        parts.append(Text(front.words(snapshot.front), style="magenta"))
    parts += [
        Text(f"crashed  {reason}", style="yellow", overflow="ellipsis", no_wrap=True)
        for reason in snapshot.crash_reasons
    ]
    style = STATUS_STYLE[snapshot.status]
    title = f"[bold]{escape(snapshot.name)}[/] [{style}]{escape(standing(snapshot))}[/]"
    return Panel(Group(*parts), title=title, title_align="left", border_style=style, box=box.ROUNDED)


def standing(snapshot: Snapshot) -> str:
    """Describes whether the search runs, and if not, why."""
    age = format_duration(snapshot.silent_seconds)
    return {
        RUNNING: "running",
        STOPPED: f"stopped: {STOP_REASONS.get(snapshot.stop_reason, snapshot.stop_reason)}",
        DEAD: "dead: it was killed; --resume continues it",
        COPIED: "a copy, made before its search ended; --resume goes on here by itself",
        AWAY: f"last heard of on {snapshot.host} {age} ago; if it does not run there, --resume continues it",
    }[snapshot.status]


def _head(snapshot: Snapshot) -> Text:
    at = f" at width {snapshot.width}" if snapshot.width else ""  # a space need not have widths
    return Text(
        f"{snapshot.space}{at} on {snapshot.dataset}, {snapshot.device}, "
        f"{snapshot.optimizer}; {_trainers(snapshot.workers)} {100 * snapshot.training_share:.0f}% of the "
        f"time, the optimiser takes {100 * snapshot.optimizer_share:.1f}%",
        style="dim",
    )


def _trainers(workers: int) -> str:
    return "the device trains" if workers == 1 else f"{workers} workers train"


def _time(snapshot: Snapshot) -> Bar:
    """Draws the limit that will be reached first, and the progress towards it."""
    by_time = snapshot.used_seconds / snapshot.budget_seconds
    by_trials = snapshot.finished / snapshot.trial_limit if snapshot.trial_limit else 0.0
    of = "" if snapshot.trial_limit is None else f"{snapshot.finished:,} of "
    trials = of + counted(snapshot.trial_limit or snapshot.finished, "trial")
    crashes = f", [yellow]{snapshot.crashed} crashed[/]" if snapshot.crashed else ""
    left = ""
    if snapshot.status == RUNNING and 0 < by_trials < 1 and by_trials > by_time:
        seconds = snapshot.used_seconds * (1 / by_trials - 1)
        left = f", about {format_duration(seconds)} to go ({moment(seconds)})"
    elif snapshot.status == RUNNING and by_time < 1:
        left = f", ends by {moment(snapshot.budget_seconds - snapshot.kept_seconds - snapshot.used_seconds)}"
    if snapshot.status == RUNNING and snapshot.then:
        left += f", then {escape(' '.join(snapshot.then))}"
    return Bar(
        "trials" if by_trials > by_time else "time",
        max(by_time, by_trials),
        f"{format_duration(snapshot.used_seconds)} of {format_duration(snapshot.budget_seconds)}"
        f"  [bold]{trials}[/]{crashes}{left}",
    )


def progress(trial: RunningTrial) -> str:
    """Describes the progress of a running trial."""
    eta = "" if trial.eta_seconds is None else f", {format_duration(trial.eta_seconds)} to go"
    accuracy = "" if trial.top1 is None else f", top-1 {100 * trial.top1:.2f}%"
    return f"epoch {trial.epochs_done} of {trial.epochs}{eta}{accuracy}"


def _trial(trial: RunningTrial) -> Bar:
    return Bar(
        f"trial {trial.trial}",
        trial.epochs_done / trial.epochs,
        progress(trial),
        aside=f"  [dim]{trial.config_id} {trial.origin}[/]",
    )


def _curve(trial: RunningTrial, incumbent: IncumbentSummary | None) -> Indented:
    """Draws top-1 by epoch; a full block is the incumbent's top-1, or the trial's if that is higher."""
    leading = None if incumbent is None else 1 - incumbent.error
    text = Text(f"{spark(trial.curve, leading)}  {100 * trial.curve[0]:.2f}% to {100 * trial.curve[-1]:.2f}%")
    if leading is not None:
        text.append(f"; the incumbent has {100 * leading:.2f}%", style="dim")
    return Indented([text])


def _rungs(snapshot: Snapshot) -> Figures:
    heads = [("epochs", False), ("trials", False), ("crashed", True)]
    heads += [("best top-1", False), ("median top-1", False), ("baseline top-1", False)]
    rows = [
        (
            str(rung.epochs),
            f"{rung.finished}" + (f" +{rung.running}" if rung.running else ""),
            str(rung.crashed) if rung.crashed else "–",
            percent(rung.best_error),
            percent(rung.median_error),
            percent(rung.baseline_error),
        )
        for rung in snapshot.rungs
    ]
    return Figures(heads, rows)


def _incumbent(snapshot: Snapshot) -> RenderableType:
    incumbent = snapshot.incumbent
    if incumbent is None:
        top = snapshot.rungs[-1].epochs if snapshot.rungs else 0
        return Text(f"no incumbent yet: no trial has been trained for {counted(top, 'epoch')}", style="dim")
    line = Text.assemble(
        ("incumbent  ", "bold"),
        f"trial {incumbent.trial} ({incumbent.config_id}), top-1 ",
        (percent(incumbent.error), "bold green"),
        over_seeds(incumbent.seeds, incumbent.error_interval),
        f" at {counted(incumbent.epochs, 'epoch')}, {_against_baseline(incumbent)}",
        f"; found after {format_duration(incumbent.found_after_seconds)}",
    )
    below = [Text(_size(incumbent), style="dim")]
    changes = ", ".join(f"{name} {word(old)} → {word(new)}" for name, old, new in incumbent.changes)
    if changes:
        below.append(Text(changes, style="cyan"))
    return Group(line, Indented(below))


def _against_baseline(incumbent: IncumbentSummary) -> str:
    if incumbent.baseline_error is None:
        return "no baseline to compare with"
    if not incumbent.changes:
        return "the baseline itself"
    return f"{100 * (incumbent.baseline_error - incumbent.error):+.2f} points on the baseline"


def _size(incumbent: IncumbentSummary) -> str:
    own = f"{format_count(incumbent.params)} params, {format_count(incumbent.macs)} MACs"
    params, macs = incumbent.baseline_params, incumbent.baseline_macs
    if params is None or macs is None or not incumbent.changes:
        return own
    return f"{own}; baseline {format_count(params)}, {format_count(macs)}"


def word(value: object) -> str:
    """Formats the value of a choice."""
    if value is None:
        return "inactive"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
