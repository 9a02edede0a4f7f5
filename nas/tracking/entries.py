"""A search and its trials in a form that suits every tracker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nas.run.causes import diverged
from nas.run.state import BASELINE
from nas.util import records
from nas.util.timestamps import from_iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState, Trial

    Value = str | int | float | bool

SEARCH = "search"  # key of the search's own entry
RUNNING, PAUSED, KILLED, SUCCESS, CRASH, NAN = "running", "paused", "killed", "success", "crash", "nan"
_ENDED = (SUCCESS, CRASH, NAN)
_OWN = "smacnas"  # before our own facts, which a space's hyperparameters may share names with
RESULT = "result"  # before what a trial came to: learning curves have metrics of the same names


@dataclass(frozen=True)
class Point:
    """Metrics at one time, in seconds since 1970."""

    time: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Entry:
    """A search or a trial as far as it has come.

    Attributes:
        key: Names it within the run.
        name: Its name for people.
        kind: ``search``, ``trial``, ``baseline``, ``replicate``, ``check`` or ``confirmation``.
        began: Seconds since 1970.
        settings: The configuration, or the search's settings; facts that are known from the start.
        curve: Metrics by step: of a trial its epochs, of the search its finished trials.
        state: ``running``, ``paused``, ``killed``, ``success``, ``crash``, ``nan``; of a search also why it
            stopped.
        reason: Why it crashed.
        ended: Seconds since 1970, None before.
        results: Its final metrics.
    """

    key: str
    name: str
    kind: str
    began: float
    settings: Mapping[str, Value]
    curve: Mapping[int, Point]
    state: str = RUNNING
    reason: str = ""
    ended: float | None = None
    results: Mapping[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether nothing more will come; a search may always be resumed."""
        return self.key != SEARCH and self.state in _ENDED


def of_trial(
    trial: Trial, times: Mapping[int, float], *, confirmation: bool, running: bool, searched: int | None
) -> Entry:
    """Returns a trial's entry.

    Args:
        trial: The trial.
        times: When each of its epochs ended, seconds since 1970.
        confirmation: Whether ``nas.confirm`` trains it.
        running: Whether the process that trains it is alive.
        searched: The trial that it repeats with another seed; None if it repeats none.
    """
    kind = "trial" if not trial.repeat and trial.origin != BASELINE else trial.origin
    began = from_iso(trial.started or trial.ended)
    facts: dict[str, Value | None] = {
        "trial": trial.trial,
        "kind": kind,
        "origin": trial.origin,
        "config_id": trial.config_id,
        "epochs": trial.epochs,
        "repeat": trial.repeat,
        "searched_trial": searched,
        "cached": trial.cached,
    }
    number = f"{trial.trial:04}"
    return Entry(
        key=f"confirmation-{number}" if confirmation else f"trial-{number}",
        name=_name(trial, searched, confirmation=confirmation),
        kind=kind,
        began=began,
        settings={**_plain(trial.config), **_plain(facts, f"{_OWN}.")},
        curve={
            epoch: Point(times.get(epoch, began), values) for epoch, values in sorted(trial.curve.items())
        },
        state=_state(trial, running=running),
        reason=trial.reason,
        ended=from_iso(trial.ended) if trial.ended else None,
        results=_results(trial),
    )


def _name(trial: Trial, searched: int | None, *, confirmation: bool) -> str:
    name = f"confirmation {trial.trial}" if confirmation else f"trial {trial.trial}"
    if trial.repeat:
        of = f" of trial {searched}" if searched is not None else ""
        return f"{name} (further seed {trial.repeat}{of})"
    return f"{name} (baseline)" if trial.origin == BASELINE else name


def _state(trial: Trial, *, running: bool) -> str:
    if trial.status == SUCCESS:
        return SUCCESS
    if trial.finished:
        return NAN if diverged(trial.reason) else CRASH
    if trial.status == RUNNING:
        return RUNNING if running else KILLED
    return PAUSED


def _results(trial: Trial) -> dict[str, float]:
    if not trial.finished:
        return {}
    found = {} if trial.error is None else {"error": trial.error}
    found |= {"seconds": trial.seconds, **trial.metrics}
    return {f"{RESULT}/{name}": float(value) for name, value in found.items() if value is not None}


def of_search(
    name: str, search: SearchFile, state: SearchState, curve: Mapping[int, Point], *, running: bool
) -> Entry:
    """Returns the search's own entry.

    Args:
        name: The run's name.
        search: What ``search.json`` holds.
        state: The journal's fold.
        curve: Its metrics by number of finished trials.
        running: Whether it goes on.
    """
    facts = {
        "program": search.program,
        "space": search.named_space,
        "dataset": search.data.name,
        "device": search.hardware.device,
        "host": state.sessions[-1].host if state.sessions else "",
        "budget_seconds": search.limits.seconds,
    }
    reached = RUNNING if running else KILLED
    last = max((point.time for point in curve.values()), default=0.0)
    began = from_iso(state.sessions[0].time) if state.sessions else last
    return Entry(
        key=SEARCH,
        name=name,
        kind=SEARCH,
        began=began,
        settings={**_plain(records.write(search.settings)), **_plain(facts, f"{_OWN}.")},
        curve=curve,
        state=state.stopped or reached,
        ended=None if running else max(last, began),
    )


def _plain(values: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Flattens nested values to dotted names; leaves out None."""
    found: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _plain(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float | bool):
            found[f"{prefix}{name}"] = value
        elif value is not None:
            found[f"{prefix}{name}"] = (
                " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            )
    return found
