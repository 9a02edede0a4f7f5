"""Decides which of the best configurations is trained again with a fresh seed, and when."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.run.posterior import posterior
from nas.run.rungs import best_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.objectives import Objectives
    from nas.run.posterior import ErrorEstimate, Posterior
    from nas.run.state import SearchState, Trial

REPLICATE = "replicate"  # origin of such a training
# Before any is repeated: configurations at the highest rung, and trainings to it that all epochs are worth.
_FEWEST, _EARLIEST = 8, 16


def due(state: SearchState, epochs: int, share: float, objectives: Objectives | None = None) -> Trial | None:
    """Returns the trial to repeat now, None if a new one is worth more.

    That is so when noise is as large as the differences: when a further seed of one of the best promises
    more, by changing which of them is the best, than one more configuration like those so far would.

    Args:
        state: The search so far.
        epochs: The highest rung.
        share: Largest share of all epochs that repeats may take. Epochs, not seconds, since times differ
            between two searches with equal seeds.
        objectives: What is weighed beside the error: then what changes the front within the limits counts.
    """
    if not share or _after(state, epochs) > share or state.asked_epochs.total < _EARLIEST * epochs:
        return None
    known = _within(posterior(state, epochs), objectives)
    if len(known.estimates) < _FEWEST:
        return None
    worth, trial = most_valuable(known, objectives)
    return trial if worth > gain_of_another(known) else None


def gain_of_another(known: Posterior) -> float:
    """Returns by how much another configuration at the highest rung is expected to lower the least error.

    By as much as each of the latter half did, or if that is more, as one drawn like the others would.
    """
    means = [one.mean for one in known.estimates]
    half = len(means) // 2
    lately = (min(means[:half]) - min(means)) / (len(means) - half)
    return max(lately, known.spread * (best_of(len(means) + 1) - best_of(len(means))))


def next_best(state: SearchState, epochs: int, objectives: Objectives | None = None) -> Trial | None:
    """Returns the trial to repeat when there is nothing else to do, None if there is nothing to compare."""
    known = _within(posterior(state, epochs), objectives)
    return most_valuable(known, objectives)[1] if len(known.estimates) > 1 else None


def most_valuable(known: Posterior, objectives: Objectives | None = None) -> tuple[float, Trial]:
    """Returns the trial whose further seed is worth most, and its worth: the knowledge gradient.

    That is the expected decrease of the least expected error once that seed has been seen (Frazier, Powell
    and Dayanik 2008, independent beliefs). Pending seeds count as seen. For a front, a network is compared
    with the one that it would have to beat, or that it may beat, to change it.
    """
    chances = [one for one in known.estimates if not one.crashed] or list(known.estimates)
    if objectives is None or not objectives.costs:
        ranked = sorted(one.mean for one in chances)
        others = [ranked[1] if one.mean == ranked[0] and len(ranked) > 1 else ranked[0] for one in chances]
    else:
        others = _rivals(chances, objectives)
    found = [
        (_gradient(one, known, other), -len(one.errors) - one.pending, one)
        for one, other in zip(chances, others, strict=True)
    ]
    worth, _, best = max(found, key=lambda item: (item[:2], -item[2].trial.trial))
    return worth, best.trial


def _within(known: Posterior, objectives: Objectives | None) -> Posterior:
    """What is known of those that can be chosen: within the limits, with costs that are known."""
    if objectives is None:
        return known
    found = [
        one
        for one in known.estimates
        if objectives.fits(one.trial) and all(map(math.isfinite, objectives.point(one.trial)))
    ]
    return replace(known, estimates=tuple(found))


def _rivals(chances: Sequence[ErrorEstimate], objectives: Objectives) -> list[float]:
    """For each the nearest expected error at which it would enter the front, leave it or beat another.

    Of the front's members those count that cost no more, which it has to beat, and those that cost no less,
    which it may. Infinite where there is none.
    """
    costs = [objectives.point(one.trial)[1:] for one in chances]
    front: list[int] = []
    for place in sorted(range(len(chances)), key=lambda i: (chances[i].mean, costs[i])):
        if not any(_no_more(costs[other], costs[place]) for other in front):
            front.append(place)
    found = []
    for place, one in enumerate(chances):
        others = [other for other in front if other != place]
        bars = [chances[i].mean for i in others if _no_more(costs[i], costs[place])]
        below = [chances[i].mean for i in others if place in front and _no_more(costs[place], costs[i])]
        rivals = [*([min(bars)] if bars else []), *below]
        found.append(min(rivals, key=lambda mean: abs(mean - one.mean), default=math.inf))
    return found


def _no_more(these: Sequence[float], those: Sequence[float]) -> bool:
    """Whether no cost exceeds the other's."""
    return all(a <= b for a, b in zip(these, those, strict=True))


def _gradient(one: ErrorEstimate, known: Posterior, other: float) -> float:
    """What a further seed is worth where a change of order with another expected error counts."""
    if not known.noise or not known.spread or math.isinf(other):
        return 0.0
    seeds = len(one.errors) + one.pending
    before = 1 / (1 / known.spread**2 + seeds / known.noise**2)
    after = 1 / (1 / known.spread**2 + (seeds + 1) / known.noise**2)
    step = math.sqrt(before - after)
    z = -abs(one.mean - other) / step
    return step * (z * 0.5 * math.erfc(-z / math.sqrt(2)) + math.exp(-z * z / 2) / math.sqrt(2 * math.pi))


def _after(state: SearchState, epochs: int) -> float:
    """Returns the share of epochs that repeats would take with one more; asked trials count as trained."""
    return (state.asked_epochs.repeats + epochs) / (state.asked_epochs.total + epochs)
