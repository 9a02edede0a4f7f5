"""Estimates how much a rung predicts the highest, and at which rung configurations should begin."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING

from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nas.run.state import SearchState, Trial

_CORRELATIONS = tuple(-0.975 + 0.05 * step for step in range(40))
# Prior of the correlation, (1 + r)^3 (1 - r)^0.5: its mean is 0.45, since low rungs usually tell something.
_AGREES, _DIFFERS = 3.0, 0.5
# Prior of the errors' spread at the highest rung, as a share of that at the lower: log-normal.
_SHARE_MEAN, _SHARE_SD = -0.2, 0.4
_SHARES = tuple(-2.5 + 5 * step / 14 for step in range(15))  # standard deviations
_OUTLIER = 2.5  # standard deviations
_MANY = 8  # number of values from which quartiles are more robust than a standard deviation
_QUARTILES = 1.349  # standard deviations that a normal distribution's quartiles are apart
_REPEATABLE = 0.8  # of the errors' variance at the highest rung, what another seed would show again
_FEWEST = 3  # configurations known at both rungs before a rung may be left out
LATEST = 500  # configurations that count: what tells the best apart may be other than what did at first
_NOTHING = 0.15  # correlations up to here are called none: the rung is of no use to the model either


@dataclass(frozen=True)
class Judgement:
    """The assessment of the rungs by the results so far.

    Attributes:
        rungs: Epochs of the rungs, ascending.
        correlations: What is believed of the correlation of a rung's errors with those of the highest, by
            rung but for the highest.
        pairs: Configurations known at both, likewise.
        first: The number of the lowest rung that tells enough of the highest for its price.
        telling: The number of the lowest rung that tells anything at all: what is known of it is of use.
    """

    rungs: tuple[int, ...]
    correlations: tuple[float, ...]
    pairs: tuple[int, ...]
    first: int
    telling: int

    def summary(self) -> str:
        """Describes the consequence for the search in a sentence."""
        top, begin = self.rungs[-1], self.rungs[self.first]
        below = [self._worth(number) for number in range(self.first)]
        said = " and ".join(below) or f"{_tells(begin)} enough of {top}"
        return f"{said} here: configurations begin at {counted(begin, 'epoch')}"

    def _worth(self, number: int) -> str:
        r, top = self.correlations[number], self.rungs[-1]
        much = "too little of" if r > _NOTHING else "nothing about" if r > -_NOTHING else "the opposite of"
        seen = f"correlation about {r:.1f}, {counted(self.pairs[number], 'configuration')}"
        return f"{_tells(self.rungs[number])} {much} {top} ({seen})"


def _tells(epochs: int) -> str:
    return f"{counted(epochs, 'epoch')} {'tells' if epochs == 1 else 'tell'}"


def judge(rungs: Sequence[int], curves: Iterable[Sequence[float]]) -> Judgement:
    """Assesses the rungs by the configurations' errors.

    Args:
        rungs: Epochs, rising, each as many times the one below.
        curves: By configuration its errors by rung, not finite where there is none; the last 500 count.
    """
    known = list(curves)[-LATEST:]
    correlations, pairs = [], []
    for rung in range(len(rungs) - 1):
        seen = [(c[rung], c[-1]) for c in known if math.isfinite(c[rung])]
        both = [pair for pair in seen if math.isfinite(pair[1])]
        correlations.append(correlation([low for low, _ in seen], both))
        pairs.append(len(both))
    least = least_worthwhile(rungs)
    first = _lowest(correlations, pairs, least)
    telling = _lowest(correlations, pairs, [min(_NOTHING, needed) for needed in least])
    return Judgement(tuple(rungs), tuple(correlations), tuple(pairs), first, telling)


def _lowest(correlations: Sequence[float], pairs: Sequence[int], least: Sequence[float]) -> int:
    enough = (k for k, r in enumerate(correlations) if r >= least[k] or pairs[k] < _FEWEST)
    return next(enough, len(correlations))


def correlation(population: Sequence[float], pairs: Sequence[tuple[float, float]]) -> float:
    """Computes the posterior mean of the correlation between errors at a rung and at the highest.

    Who was trained at the highest rung may have been chosen by the error at the lower: what is judged is
    how likely the errors at the highest rung are, given those below. But for a constant and a scale, the
    error at the highest rung is taken for ``r z`` and noise of variance ``1 - r^2``, ``z`` being that at the
    lower in standard deviations of the population.

    Args:
        population: All errors at the lower rung, of those too that went no further.
        pairs: Errors at the lower and the highest rung of those that are known at both.
    """
    zz = zy = yy = 0.0
    ordered = sorted(population)
    scale = _spread(ordered)
    if scale > 0 and len(pairs) > 1:
        low, high = zip(*pairs, strict=True)
        z = _centred([value / scale for value in _within(low, ordered)])
        y = _centred([value / scale for value in _within(high, sorted(high))])
        zz, zy, yy = (_product(a, b) for a, b in ((z, z), (z, y), (y, y)))
    freedom = max(len(pairs) - 1, 0)
    log_shares = [_SHARE_MEAN + _SHARE_SD * deviation for deviation in _SHARES]
    shares = [(math.exp(log), freedom * log, d**2) for log, d in zip(log_shares, _SHARES, strict=True)]
    logs = []
    for r in _CORRELATIONS:
        left = 1 - r * r
        prior = _AGREES * math.log1p(r) + _DIFFERS * math.log1p(-r) - 0.5 * freedom * math.log(left)
        across, own = 2 * r * zy, r * r * zz
        for share, free, off in shares:
            squares = yy / share**2 - across / share + own
            logs.append(prior - free - 0.5 * (squares / left + off))
    most = max(logs)
    weights = [math.exp(log - most) for log in logs]
    total = sum(r * w for r, w in zip((r for r in _CORRELATIONS for _ in _SHARES), weights, strict=True))
    return total / sum(weights)


def _product(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _within(values: Sequence[float], population: Sequence[float]) -> list[float]:
    """Values, those far out taken for less far: a network that learns nothing says little of the others."""
    middle, reach = statistics.median(population), _OUTLIER * _spread(population)
    least, most = middle - reach, middle + reach
    return [min(max(value, least), most) for value in values]


def _spread(values: Sequence[float]) -> float:
    """Computes the standard deviation; with many values from their quartiles."""
    if len(values) < _MANY:
        return statistics.pstdev(values) if values else 0.0
    first, _, third = statistics.quantiles(values)
    return (third - first) / _QUARTILES


def _centred(values: Sequence[float]) -> list[float]:
    mean = statistics.fmean(values)
    return [value - mean for value in values]


def least_worthwhile(rungs: Sequence[int]) -> list[float]:
    """By rung but for the highest, the correlation from which on it is worth to begin there.

    Of a bracket that begins at a rung the best one by its error reaches the highest. For the same epochs a
    few configurations can be trained to the end at once, and the best of those few taken: this is the
    correlation at which one gains as much as the other, errors being normally distributed.

    Args:
        rungs: Epochs, rising, each as many times the one below.
    """
    return [_break_even(rungs[k:]) for k in range(len(rungs) - 1)]


def _break_even(rungs: Sequence[int]) -> float:
    counts = [rungs[-1] // epochs for epochs in rungs]
    new = [above - below for below, above in pairwise((0, *rungs))]
    fulls = _product(new, counts) / rungs[-1]
    return _REPEATABLE * best_of(fulls) / best_of(counts[0])


def best_of(n: float) -> float:
    """Returns by how many standard deviations the best of ``n`` exceeds the mean (Blom 1958)."""
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25))


def below(state: SearchState, trial: Trial, rungs: Iterable[int]) -> dict[int, float]:
    """Returns the errors of a trial's training at the rungs below, whichever trial trained them."""
    found = {}
    for epochs in rungs:
        known = state.answered(trial.config_id, epochs)
        if epochs >= trial.epochs:
            break
        if known is not None and known.error is not None:
            found[epochs] = known.error
        elif "top1" in (metrics := trial.curve.get(epochs, {})):
            found[epochs] = 1.0 - metrics["top1"]
    return found


def judged(state: SearchState, rungs: Sequence[int]) -> Judgement:
    """Assesses the rungs of a run by its results."""
    curves: dict[str, dict[int, float]] = {}
    for trial in state.trials.values():
        if trial.error is not None and not trial.repeat:
            curve = curves.setdefault(trial.config_id, {})
            curve |= {**below(state, trial, rungs), trial.epochs: trial.error}
    return judge(rungs, [[curve.get(epochs, math.nan) for epochs in rungs] for curve in curves.values()])
