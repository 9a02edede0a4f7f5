"""A configuration's trainings as one trial of Optuna."""

from __future__ import annotations

import math
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from analysis.studies.distributions import params
from nas.run.objectives import COST, cost
from nas.util.errors import UserError
from nas.util.timestamps import from_iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.studies.study import Study
    from nas.run.state import Trial

_METRICS = ("top1", "top5", "val_loss", "train_loss", "params", "macs", "peak_memory", "train_seconds")


def frozen(
    trainings: Sequence[Trial], study: Study, *, number: int, trial_id: int, alive: bool
) -> FrozenTrial:
    """Puts trainings together.

    A trial is ``RUNNING`` while one of them trains, ``WAITING`` while one is due, and otherwise what its
    training for the most epochs has come to: ``COMPLETE`` at the highest rung, ``PRUNED`` below it, ``FAIL``
    if it crashed. Intermediate values are errors by epoch.

    Args:
        trainings: Trainings of one configuration with one seed, in order.
        study: What they belong to.
        number: Number of the trial in its study, from 0.
        trial_id: Id of the trial in its storage.
        alive: Whether the search runs.

    Raises:
        UserError: If the configuration is none of the study's space.
    """
    last = max(trainings, key=lambda one: (one.finished, one.epochs, one.trial))
    state = _state(trainings, last, study.rungs[-1], alive)
    config = _params(last, study)
    system: dict[str, Any] = {}
    if last.error is not None and study.limits:
        system["constraints"] = [_excess(last, name, limit) for name, limit in study.limits.items()]
    if state == TrialState.WAITING:
        system["fixed_params"] = config  # what the page shows of one that waits
    started = [one.started or one.ended for one in trainings if one.started or one.ended]
    return FrozenTrial(
        number=number,
        trial_id=trial_id,
        state=state,
        value=None,
        values=_values(last, state, study),
        datetime_start=_moment(started[0]) if started else None,
        datetime_complete=_moment(last.ended) if state.is_finished() else None,
        params=config,
        distributions={name: study.distributions[name] for name in config},
        user_attrs=_attributes(trainings, last, study),
        system_attrs=system,
        intermediate_values=_curve(trainings),
    )


def _state(trainings: Sequence[Trial], last: Trial, epochs: int, alive: bool) -> TrialState:
    reached = max((one.epochs for one in trainings if one.error is not None), default=0)
    # What was reached before is answered from the record; the next rung may be due before this one has ended.
    due = [one.status for one in trainings if not one.finished and one.epochs > reached]
    if due:
        return TrialState.RUNNING if alive and "running" in due else TrialState.WAITING
    if last.error is None:
        return TrialState.FAIL
    return TrialState.COMPLETE if last.epochs >= epochs else TrialState.PRUNED


def _values(last: Trial, state: TrialState, study: Study) -> list[float] | None:
    """Objectives; those of a pruned trial are what Optuna's own would have, the last intermediate value."""
    if last.error is None or state not in (TrialState.COMPLETE, TrialState.PRUNED):
        return None
    if state == TrialState.PRUNED and study.costs:  # Optuna prunes for one objective only
        return None
    return [last.error, *(cost(last, name) for name in study.costs)]


def _excess(trial: Trial, name: str, limit: float) -> float:
    """By how much a cost exceeds its limit; finite, since a browser reads no other numbers."""
    return min(cost(trial, name) - limit, sys.float_info.max)


def _params(trial: Trial, study: Study) -> dict[str, Any]:
    try:
        return params(trial.config, study.distributions)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"trials.jsonl: trial {trial.trial} does not fit configspace.json ({error}); "
            "the journal is of another space"
        ) from None


def _curve(trainings: Sequence[Trial]) -> dict[int, float]:
    found: dict[int, float] = {}
    for one in trainings:
        errors = {epoch: 1 - metrics["top1"] for epoch, metrics in one.curve.items() if "top1" in metrics}
        if one.error is not None:
            errors[one.epochs] = one.error
        found |= errors
    return dict(sorted(found.items()))


def _attributes(trainings: Sequence[Trial], last: Trial, study: Study) -> dict[str, Any]:
    own: dict[str, Any] = {
        "config_id": last.config_id,
        "origin": trainings[0].origin,
        "seed": study.seed + last.repeat,
        "replicate": last.repeat,
        "trials": [one.trial for one in trainings],
    }
    if last.finished:
        own |= {"epochs": last.epochs, "seconds": round(sum(one.seconds for one in trainings), 3)}
    known = {name: last.metrics[name] for name in _METRICS if name in last.metrics}
    costs = {name: value for name, value in last.metrics.items() if name.startswith(COST)}
    own |= {name: value for name, value in {**known, **costs}.items() if math.isfinite(value)}
    return own | ({"reason": last.reason} if last.reason else {})


def _moment(text: str) -> datetime:
    """Optuna's times are local and say no zone."""
    return datetime.fromtimestamp(from_iso(text))
