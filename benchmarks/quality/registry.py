"""All problems by name: ``python -m benchmarks.quality.registry`` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.quality.race import Problem
    from benchmarks.quality.surrogate import Curves, Model
    from nas.optimizers.protocol import Fidelity

Kind = Literal["rungs", "one rung", "misleading", "small", "huge", "noisy", "crashing", "continuous"]


@dataclass(frozen=True)
class Entry:
    """A problem.

    Attributes:
        kind: What is hard about it.
        make: Makes it for a race's seed, on which drawn functions depend.
        meaning: One line for people.
        aside: Whether it is kept aside: no setting may be chosen by it, so that it can test claims.
    """

    kind: Kind
    make: Callable[[int], Problem]
    meaning: str
    aside: bool = False


def load(name: str, seed: int = 0, fidelity: Fidelity | None = None) -> Any:
    """A problem by its name.

    Args:
        name: Of the registry.
        seed: Which of the functions, where they are drawn.
        fidelity: Other rungs, for those that can answer at any.

    Raises:
        UserError: If there is none of this name, or it has no other rungs.
    """
    if name not in PROBLEMS:
        raise UserError(f"--problem {name}: must be of {', '.join(PROBLEMS)}")
    if fidelity is None or name == "nasbench201":
        return PROBLEMS[name].make(seed)
    if name != "nexception":
        raise UserError(f"--rungs: {name} has rungs of its own")
    return _nexception("pairs", fidelity)


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The problems of these names; ``all`` and ``aside`` stand for several."""
    groups = {
        "all": tuple(PROBLEMS),
        "aside": tuple(name for name, entry in PROBLEMS.items() if entry.aside),
    }
    return tuple(dict.fromkeys(one for name in names for one in groups.get(name, (name,))))


@lru_cache(maxsize=2)
def _curves(model: Model) -> Curves:
    import pandas as pd

    from benchmarks.quality import surrogate

    return surrogate.fit(surrogate.trainings(pd.read_parquet(surrogate.TABLE)), model)


@lru_cache(maxsize=2)
def _nexception(model: Model, fidelity: Fidelity | None = None) -> Problem:
    from benchmarks.quality.problems import NexceptionSurrogate

    return NexceptionSurrogate(_curves(model), fidelity)


@lru_cache(maxsize=2)
def _nasbench(dataset: str) -> Problem:
    from benchmarks.quality.problems import NASBench201

    return NASBench201(dataset)


@lru_cache(maxsize=2)
def _hpobench(dataset: str) -> Problem:
    from benchmarks.quality.hpobench import HPOBench

    return HPOBench(dataset)


@lru_cache(maxsize=1)
def _perceptron() -> Problem:
    from benchmarks.quality.perceptron import Perceptron

    return Perceptron()


def _drawn(seed: int, **shape: Any) -> Problem:
    from benchmarks.quality.drawn import DrawnFunction, Shape

    return DrawnFunction(seed, shape=Shape(**shape))


def _shaped(first: int, **shape: Any) -> Callable[[int], Problem]:
    """Functions from the ``first`` on: were two problems to share one, full trainings would answer alike."""
    return lambda seed: _drawn(first + seed, **shape)


def _flat(seed: int) -> Problem:
    from benchmarks.quality.drawn import DrawnFunction
    from nas.optimizers.protocol import Fidelity

    return DrawnFunction(1000 + seed, Fidelity(18, 18))


def _crashing(seed: int) -> Problem:
    from benchmarks.quality.crashing import CrashingFunction

    return CrashingFunction(7000 + seed)


def _chain(space: str, seed: int) -> Problem:
    from benchmarks.quality.chains import ChainFunction, HugeSpace, SmallSpace

    return ChainFunction(HugeSpace() if space == "huge" else SmallSpace(), seed)


def _bumps(which: str, seed: int) -> Problem:
    from benchmarks.quality.bumps import Bumps

    return Bumps.hartmann(seed) if which == "hartmann" else Bumps.drawn(seed, graded=which == "graded")


PROBLEMS: dict[str, Entry] = {
    "drawn": Entry("rungs", _drawn, "functions over our own space, rungs as in its table"),
    "flat": Entry("one rung", _flat, "the same at the highest rung alone"),
    "opposed": Entry(
        "misleading",
        _shaped(2000, share=(-0.8, -0.5, 1.0), own=(0.6, 0.87, 0.0)),
        "low rungs correlate with the highest by -0.8 and -0.5",
    ),
    "unrelated": Entry(
        "misleading",
        _shaped(3000, share=(0.0, 0.0, 1.0), own=(1.0, 1.0, 0.0)),
        "low rungs say nothing of the highest",
    ),
    "weak": Entry(
        "misleading",
        _shaped(4000, share=(0.25, 0.45, 1.0), own=(0.97, 0.89, 0.0)),
        "low rungs correlate with the highest by 0.25 and 0.45",
    ),
    "blunt": Entry(
        "misleading",
        _shaped(5000, floor=-0.8),
        "low rungs tell bad from good, but not the best fifth apart",
        aside=True,
    ),
    "noisy": Entry("noisy", _shaped(6000, noise=0.033), "noise of 3.3 points between seeds"),
    "small": Entry("small", lambda seed: _chain("small", seed), "24 configurations"),
    "huge": Entry("huge", lambda seed: _chain("huge", seed), "30 hyperparameters, 7e15 configurations"),
    "crashing": Entry("crashing", _crashing, "half of the space crashes, all alike"),
    "graded": Entry(
        "one rung", lambda seed: _bumps("graded", seed), "sums of bumps over five ordered choices"
    ),
    "continuous": Entry("continuous", lambda seed: _bumps("drawn", seed), "sums of bumps in six dimensions"),
    "hartmann": Entry(
        "continuous", lambda seed: _bumps("hartmann", seed), "Hartmann's function, axes turned", aside=True
    ),
    "nexception": Entry(
        "rungs", lambda _: _nexception("pairs"), "our own space: ridge regression on real trainings", True
    ),
    "boosted": Entry(
        "rungs", lambda _: _nexception("boosting"), "the same with gradient boosting in its place", True
    ),
    "perceptron": Entry(
        "rungs",
        lambda _: _perceptron(),
        "a table of small perceptrons, all trained on digits",
        True,
    ),
    "nasbench201": Entry("one rung", lambda _: _nasbench("cifar100"), "NAS-Bench-201, CIFAR-100", True),
    "nasbench201-cifar10": Entry("one rung", lambda _: _nasbench("cifar10"), "the same on CIFAR-10", True),
    "nasbench201-imagenet16": Entry(
        "one rung", lambda _: _nasbench("imagenet"), "the same on ImageNet16-120", True
    ),
    "hpobench-phoneme": Entry(
        "one rung", lambda _: _hpobench("phoneme"), "real perceptrons, ordered hyperparameters", True
    ),
    "hpobench-segment": Entry("one rung", lambda _: _hpobench("segment"), "likewise", True),
    "hpobench-vehicle": Entry("one rung", lambda _: _hpobench("vehicle"), "likewise", True),
}


def main() -> None:
    """Lists the problems."""
    for name, entry in PROBLEMS.items():
        aside = ", kept aside" if entry.aside else ""
        print(f"{name:24}{entry.kind:12}{entry.meaning}{aside}")


if __name__ == "__main__":
    main()
