"""The expected errors of configurations over all seeds, estimated from those seen."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.run.causes import from_outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.state import Rung, SearchState, Trial

_GUESS = 0.25  # assumed share of noise in the variance before there are repeats
_NOTHING = 1e-18  # least variance of errors; smaller ones underflow
_LEAST = 0.1  # least share of the variance between configurations, however large the noise seems
_SURE = 1.96  # standard deviations: 95 %


@dataclass(frozen=True)
class ErrorEstimate:
    """The estimate for one configuration.

    Attributes:
        trial: Its first trial.
        errors: Error of each seed, that of ``trial`` first.
        pending: Number of seeds that are being trained or are queued.
        mean: Expected error over all seeds.
        sd: Standard deviation of that expectation.
        crashed: Whether the network itself made one of its seeds crash.
    """

    trial: Trial
    errors: tuple[float, ...]
    pending: int
    mean: float
    sd: float
    crashed: bool

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of its error over all seeds."""
        return self.mean - _SURE * self.sd, self.mean + _SURE * self.sd


@dataclass(frozen=True)
class Posterior:
    """The estimates for all configurations.

    Attributes:
        estimates: One estimate for each configuration, in the order of their first trials.
        noise: Standard deviation between seeds of one configuration.
        spread: Standard deviation between configurations.
        repeated: Whether any configuration has a second seed; before that, the noise is a guess.
    """

    estimates: tuple[ErrorEstimate, ...]
    noise: float
    spread: float
    repeated: bool


def posterior(state: SearchState, epochs: int) -> Posterior:
    """Estimates the error over all seeds of every configuration that was trained for ``epochs`` epochs.

    The model is normal with two levels, and both variances are estimated from the data (empirical Bayes,
    Efron and Morris 1975): the errors of configurations vary about a mean, those of seeds about their
    configuration's. So a lucky first seed is shrunk towards the others, and less so the more seeds confirm
    it. The variance between configurations is estimated from the better half alone, since the worse half has
    a long tail.

    Args:
        state: The search so far.
        epochs: The rung.
    """
    rung = state.rung(epochs)
    known: Posterior | None = rung.posterior
    if known is None:
        known = rung.posterior = _estimated(rung)
    return known


def _estimated(rung: Rung) -> Posterior:
    firsts = {one.config_id: one for one in rung.own}
    errors = {name: [first.error or 0.0] for name, first in firsts.items()}
    pending, crashed = dict.fromkeys(errors, 0), set()
    for trial in rung.repeats:
        if trial.config_id not in errors:  # its first trial is missing from the journal
            continue
        if trial.error is not None:
            errors[trial.config_id].append(trial.error)
        elif not trial.finished:
            pending[trial.config_id] += 1
        elif not from_outside(trial.reason):
            crashed.add(trial.config_id)
    found = list(errors.values())
    noise, spread, middle = _variances(found)
    estimates = []
    for name, seen in errors.items():
        mean, sd = _shrunk(seen, noise, spread, middle)
        estimates.append(ErrorEstimate(firsts[name], tuple(seen), pending[name], mean, sd, name in crashed))
    repeated = any(len(seen) > 1 for seen in found)
    return Posterior(tuple(estimates), math.sqrt(noise), math.sqrt(spread), repeated)


def _variances(errors: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Estimates the variances of seeds and of configurations, and the centre of the configurations."""
    if not errors:
        return 0.0, 0.0, 0.0
    means = [statistics.fmean(seen) for seen in errors]
    middle = statistics.median(means)
    better = [(mean, seen) for mean, seen in zip(means, errors, strict=True) if mean <= middle]
    total = statistics.fmean([(middle - mean) ** 2 for mean, _ in better])
    within = sum((error - mean) ** 2 for mean, seen in zip(means, errors, strict=True) for error in seen)
    seeds = sum(len(seen) - 1 for seen in errors)
    guessed = (
        1 / (1 + seeds) ** 2
    )  # the weight of the guess, in seeds; it vanishes soon, so that absence of noise is recognised
    noise = (guessed * _GUESS * total + within) / (guessed + seeds)
    left = total - noise * statistics.fmean([1 / len(seen) for _, seen in better])
    return noise, max(left, _LEAST * total), middle


def _shrunk(seen: Sequence[float], noise: float, spread: float, middle: float) -> tuple[float, float]:
    """Returns mean and standard deviation of a configuration's error over all seeds."""
    mean = statistics.fmean(seen)
    if noise < _NOTHING or spread < _NOTHING:
        return mean, 0.0
    weight = len(seen) / noise
    precision = weight + 1 / spread
    return (weight * mean + middle / spread) / precision, precision**-0.5
