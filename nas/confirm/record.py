"""The state of a confirmation: a fold of ``confirm.jsonl``, from which ``confirmed.json`` is made."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.run.confirmed_file import VERSION, ConfirmedConfig, ConfirmedFile
from nas.run.events import RepeatAsked
from nas.run.objectives import KNEE, knee_place
from nas.run.state import SearchState, seed_key
from nas.search.crashes import CHECK
from nas.search.replicates import REPLICATE
from nas.trial.weights import file_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nas.confirm.candidates import Candidate
    from nas.run.events import Event
    from nas.run.objectives import Objectives
    from nas.run.state import Trial
    from nas.trial.weights import WeightStore


@dataclass
class Record:
    """The confirmation so far.

    Attributes:
        state: The state of the journal, as for a search.
        searched: Repeats that the search has already trained, by configuration and repeat; their seeds are
            the same, so they are not trained again.
    """

    state: SearchState = field(default_factory=SearchState)
    searched: dict[tuple[str, int], Trial] = field(default_factory=dict)
    _latest: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event], searched: SearchState | None = None, epochs: int = 0) -> Record:
        """Folds events into a record.

        Args:
            events: Events of ``confirm.jsonl``.
            searched: State of the search, if its repeats count.
            epochs: Number of epochs of the confirmation.
        """
        known = [] if searched is None else searched.repeats(epochs)
        record = cls(searched={(one.config_id, one.repeat): one for one in known if one.error is not None})
        for event in events:
            record.apply(event)
        return record

    def apply(self, event: Event) -> None:
        """Applies one event."""
        self.state.apply(event)
        if isinstance(event, RepeatAsked):
            self._latest[event.config_id, event.repeat] = event.trial

    def trial(self, config_id: str, repeat: int) -> Trial | None:
        """Returns the latest trial of a configuration's repeat, the search's if any; None without one."""
        own = self.state.trials.get(self._latest.get((config_id, repeat), 0))
        return (
            own if own is not None and own.error is not None else self.searched.get((config_id, repeat), own)
        )

    def missing(self, chosen: Sequence[Candidate], seeds: int) -> list[tuple[Candidate, int]]:
        """Returns configurations and repeats without a result, including crashes, seed by seed."""
        return [
            (one, repeat)
            for repeat in range(1, seeds + 1)
            for one in chosen
            if (trial := self.trial(one.config_id, repeat)) is None or trial.error is None
        ]


def summarise(
    record: Record,
    chosen: Sequence[Candidate],
    *,
    epochs: int,
    seeds: int,
    objectives: Objectives | None = None,
) -> ConfirmedFile:
    """Builds the content of ``confirmed.json``.

    Configurations are compared on the repeats that all of them have ended, so that an unfinished confirmation
    compares like with like. Only one without a crash among these can win.

    Args:
        record: The confirmation so far.
        chosen: The configurations.
        epochs: Number of epochs of every training.
        seeds: Number of repeats of each.
        objectives: Objectives and limits of the search; a configuration beyond a limit cannot win.
    """
    trials = {
        one.config_id: [record.trial(one.config_id, repeat) for repeat in range(1, seeds + 1)]
        for one in chosen
    }
    compared = [
        place
        for place in range(seeds)
        if all((trial := own[place]) is not None and trial.finished for own in trials.values())
    ]
    base = next(one.config_id for one in chosen if one.baseline)
    rows = [_row(one, trials[one.config_id], trials[base], compared) for one in chosen]
    rows.sort(key=lambda row: (row.mean_error is None, row.mean_error, row.macs or 0))
    whole = [row for row in rows if len(compared) and not row.crashes]
    return ConfirmedFile(
        format=VERSION,
        epochs=epochs,
        top=len(chosen) - 1,
        seeds=seeds,
        compared=[place + 1 for place in compared],
        complete=len(compared) == seeds,
        winner=_winner(whole, objectives),
        configurations=rows,
    )


def _winner(rows: Sequence[ConfirmedConfig], objectives: Objectives | None) -> str | None:
    """Returns the config id of the best row; rows are sorted by error."""
    if objectives is not None:
        rows = [row for row in rows if _keeps(row.costs or {}, objectives.limits)]
    if rows and objectives is not None and objectives.prefer == KNEE:
        names = objectives.costs
        known = [row for row in rows if all(name in (row.costs or {}) for name in names)]
        points = [
            (row.mean_error or 0.0, *((row.costs or {})[name] for name in names), place)
            for place, row in enumerate(known)
        ]
        rows = [known[knee_place(points)]] if points else []
    return rows[0].config_id if rows else None


def _keeps(costs: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    return all(costs.get(name, math.inf) <= limit for name, limit in limits.items())


def _row(
    one: Candidate, own: Sequence[Trial | None], base: Sequence[Trial | None], compared: Sequence[int]
) -> ConfirmedConfig:
    ended = [trial for place in compared if (trial := own[place]) is not None]
    errors = [trial.error for trial in ended if trial.error is not None]
    gains = [
        theirs.error - ours.error
        for place in compared
        if (ours := own[place]) is not None
        and (theirs := base[place]) is not None
        and ours.error is not None
        and theirs.error is not None
    ]
    metrics: dict[str, float] = next((trial.metrics for trial in ended if trial.error is not None), {})
    return ConfirmedConfig(
        config_id=one.config_id,
        config=one.config,
        baseline=one.baseline,
        searched_trial=one.trial,
        searched_error=one.error,
        trials=[None if trial is None or _is_searched(trial) else trial.trial for trial in own],
        repeated_trials=_searched(own),
        errors=[None if trial is None else trial.error for trial in own],
        mean_error=statistics.fmean(errors) if errors else None,
        sd_error=_sd(errors),
        mean_gain=None if one.baseline or not gains else statistics.fmean(gains),
        sd_gain=None if one.baseline else _sd(gains),
        params=metrics.get("params"),
        macs=metrics.get("macs"),
        crashes=[trial.reason for trial in ended if trial.error is None],
        costs=dict(one.costs) or None,
    )


def _searched(own: Sequence[Trial | None]) -> list[int | None] | None:
    """Returns the numbers in ``trials.jsonl`` of repeats that the search trained; None if it trained none."""
    found = [trial.trial if trial is not None and _is_searched(trial) else None for trial in own]
    return found if any(found) else None


def _is_searched(trial: Trial) -> bool:
    return trial.origin in (REPLICATE, CHECK)


def _sd(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def tidy(store: WeightStore, record: Record, found: ConfirmedFile) -> None:
    """Keeps the weights of each configuration's best repeat and removes the others.

    Args:
        store: The store of weights.
        record: The confirmation so far.
        found: Present content of ``confirmed.json``.
    """
    epochs = found.epochs
    best = []
    for row in found.configurations:
        keys = [seed_key(row.config_id, repeat) for repeat in row.best_repeats]
        best += [file_name(key, epochs) for key in keys if store.path(key, epochs).is_file()][:1]
    trials = record.state.trials.values()
    ended = {file_name(trial.key, trial.epochs) for trial in trials if trial.finished}
    store.prune(sorted(ended - set(best)), best)
