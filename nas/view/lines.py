"""One line for each event worth showing, the same in the log file and the plain view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.run.events import Ended, NewIncumbent, SessionStarted, SessionStopped
from nas.run.state import BASELINE
from nas.util.errors import one_line
from nas.util.quantities import counted, format_count, format_duration, format_size
from nas.view import front

if TYPE_CHECKING:
    from nas.run.events import Event
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState, Trial

STOP_REASONS = {
    "budget": "the time is used",
    "trials": "the number of trials is reached",
    "exhausted": "every configuration has been trained to the end",
    "interrupted": "interrupted; nothing finished is lost",
    "terminated": "terminated; nothing finished is lost",
    "crashes": "the same crash five times in a row",
    "error": "an error",
}


def percent(error: float | None) -> str:
    """Formats the top-1 accuracy of an error, or a dash."""
    return "–" if error is None else f"{100 * (1 - error):.2f}%"


def describe(event: Event, state: SearchState, objectives: Objectives | None = None) -> str | None:
    """Describes an event in one line, None if it is not worth showing.

    Args:
        event: The event.
        state: The search, including the event.
        objectives: Objectives and limits besides the error, None for none.
    """
    match event:
        case SessionStarted() | SessionStopped():
            return _session(event, state)
        case Ended(cached=False):
            trial = state.trials[event.trial]
            return _ended(trial) + front.standing(trial, state, objectives)
        case NewIncumbent():
            return _incumbent(event, state.trials[event.trial], state)
    return None


def over_seeds(seeds: int, interval: tuple[float, float] | None) -> str:
    """Formats the number of seeds behind an error and its interval; "" before there are further seeds.

    Args:
        seeds: Number of seeds.
        interval: 95 % interval of the error.
    """
    if interval is None:
        return ""
    low, high = (100 * (1 - bound) for bound in reversed(interval))
    return f" ({counted(seeds, 'seed')}, {low:.2f} to {high:.2f}%)"


def _incumbent(event: NewIncumbent, trial: Trial, state: SearchState) -> str:
    baseline = state.baseline(trial.epochs)
    head = f"incumbent: trial {trial.trial}, top-1 {percent(event.error)}"
    head += over_seeds(event.seeds, event.interval)
    if trial.origin == BASELINE or baseline is None:
        return f"{head} (the baseline)"
    gain = 100 * ((baseline.error or 0.0) - (event.error or 0.0))
    return f"{head}, {gain:+.2f} points on the baseline"


def _session(event: SessionStarted | SessionStopped, state: SearchState) -> str:
    if isinstance(event, SessionStarted):
        why = event.sharing.get("reason") if isinstance(event.sharing, dict) else ""
        head = f"session {len(state.sessions)} starts, {format_duration(state.clock)} used so far"
        return f"{head}; {one_line(why)}" if isinstance(why, str) and why else head
    words = STOP_REASONS.get(event.reason, event.reason)
    return f"search stops: {words}" + (f" ({event.message})" if event.message else "")


def _ended(trial: Trial) -> str:
    origin = f"{trial.origin}, further seed {trial.repeat}" if trial.repeat else trial.origin
    head = f"trial {trial.trial} {trial.config_id} {counted(trial.epochs, 'epoch')} ({origin}), "
    head += format_duration(trial.seconds)
    if trial.status == "crashed":
        return f"{head}: crashed, {one_line(trial.reason)}"
    m = trial.metrics
    return (
        f"{head}: top-1 {percent(trial.error)}, {format_count(m['params'])} params, "
        f"{format_count(m['macs'])} MACs, peak {format_size(m['peak_memory'])}"
    )
