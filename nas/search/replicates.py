"""Decides which of the best configurations is trained again with a fresh seed, and when."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nas.run.posterior import posterior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.posterior import Belief, Posterior
    from nas.run.state import SearchState, Trial

REPLICATE = "replicate"  # origin of such a training
_FEWEST = 8  # configurations at the highest rung before any is repeated
_WORTH = 0.02  # least expected gain of a further seed, in standard deviations of the noise: docs/quality.md


def due(state: SearchState, epochs: int, share: float) -> Trial | None:
    """Returns the trial to repeat now, None if a new one is worth more.

    That is so when noise is as large as the differences: when a further seed of one of the best is expected
    to change which of them is the best, with a gain that is worth the training.

    Args:
        state: The search so far.
        epochs: The highest rung.
        share: Largest share of all epochs that repeats may take. Epochs, not seconds, since times differ
            between two searches with equal seeds.
    """
    if not share or _after(state, epochs) > share:
        return None
    known = posterior(state, epochs)
    if len(known.beliefs) < _FEWEST:
        return None
    worth, trial = most_telling(known)
    return trial if worth > _WORTH * known.noise else None


def next_best(state: SearchState, epochs: int) -> Trial | None:
    """Returns the trial to repeat when there is nothing else to do, None if there is nothing to compare."""
    known = posterior(state, epochs)
    return most_telling(known)[1] if len(known.beliefs) > 1 else None


def most_telling(known: Posterior) -> tuple[float, Trial]:
    """Returns the trial whose further seed is worth most, and its worth: the knowledge gradient.

    That is the expected decrease of the least expected error once that seed has been seen (Frazier, Powell
    and Dayanik 2008, independent beliefs). Pending seeds count as seen.
    """
    chances = [one for one in known.beliefs if not one.crashed] or list(known.beliefs)
    ranked = sorted(one.mean for one in chances)
    found = [(_gradient(one, known, ranked), -len(one.errors) - one.pending, one) for one in chances]
    worth, _, best = max(found, key=lambda item: (item[:2], -item[2].trial.trial))
    return worth, best.trial


def _gradient(one: Belief, known: Posterior, ranked: Sequence[float]) -> float:
    other = ranked[1] if one.mean == ranked[0] and len(ranked) > 1 else ranked[0]
    if not known.noise or not known.spread:
        return 0.0
    seeds = len(one.errors) + one.pending
    before = 1 / (1 / known.spread**2 + seeds / known.noise**2)
    after = 1 / (1 / known.spread**2 + (seeds + 1) / known.noise**2)
    step = math.sqrt(before - after)
    z = -abs(one.mean - other) / step
    return step * (z * 0.5 * math.erfc(-z / math.sqrt(2)) + math.exp(-z * z / 2) / math.sqrt(2 * math.pi))


def _after(state: SearchState, epochs: int) -> float:
    """Returns the share of epochs that repeats would take with one more; asked trials count as trained."""
    reached: dict[str, int] = {}
    repeats = total = epochs
    for trial in state.trials.values():
        if trial.cached:
            continue
        new = max(trial.epochs - reached.get(trial.key, 0), 0)
        reached[trial.key] = max(trial.epochs, reached.get(trial.key, 0))
        total += new
        repeats += new if trial.repeat else 0
    return repeats / total
