"""A real table with rungs: small perceptrons trained on scikit-learn's digits, all configurations there are.

``python -m benchmarks.quality.perceptron`` trains the 768 with three seeds, five minutes of CPU, and writes
the parquet file of the repository.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from benchmarks.quality.problems import TabularSpace, TrueError
from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from nas.util.files import replacing
from search_spaces.base import Hyperparameter, config_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from search_spaces.base import Config

    Array = NDArray[np.float32]

TABLE = Path(__file__).parent / "perceptron_table.parquet"
RUNGS = (3, 9, 27)
SEEDS = 3
_LEARN, _JUDGE = 300, 1000  # images; few to learn from, so that configurations differ
_BETA, _EPS = 0.9, 1e-8  # of the adaptive step, as Adam's second moment (arXiv 1412.6980)


class PerceptronSpace(TabularSpace):
    """Architecture and training of a perceptron: 768 configurations."""

    name = "perceptron"
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = {
        h.name: h
        for h in (
            Hyperparameter("units", (4, 8, 16, 32), default=16, ordinal=True),
            Hyperparameter("layers", (1, 2), default=1, ordinal=True),
            Hyperparameter("activation", ("relu", "tanh"), default="tanh"),
            Hyperparameter("lr", (0.001, 0.003, 0.01, 0.03, 0.1, 0.3), default=0.003, ordinal=True),
            Hyperparameter("batch", (10, 50), default=50, ordinal=True),
            Hyperparameter("adaptive", (False, True), default=False),
            Hyperparameter("dropout", (0.0, 0.3), default=0.0, ordinal=True),
        )
    }


class Perceptron:
    """The table as a problem; rungs of 3, 9 and 27 epochs."""

    name = "perceptron"
    fidelity = Fidelity(RUNGS[0], RUNGS[-1], 3)

    def __init__(self) -> None:
        """Reads the table."""
        self.space = PerceptronSpace()
        frame = pd.read_parquet(TABLE)
        self._rows = {
            name: (part.sort_values("seed")[[f"error{r}" for r in RUNGS]].to_numpy(), part.updates.iloc[0])
            for name, part in frame.groupby("config_id", observed=True)
        }

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Errors of one of the trainings, standing still between the rungs; seconds are its updates."""
        errors, updates = self._rows[config_id(config)]
        rungs = errors[seed % len(errors)]
        curve = [float(rungs[max(np.searchsorted(RUNGS, e, "right") - 1, 0)]) for e in range(1, epochs + 1)]
        return SimulatedResult(tuple(curve), float(updates))

    def true_error(self, config: Config) -> float:
        """Mean error over the trainings there are."""
        return float(self._rows[config_id(config)][0][:, -1].mean())

    @cached_property
    def optimum(self) -> TrueError:
        """The best there is."""
        best = min(errors[:, -1].mean() for errors, _ in self._rows.values())
        seconds = np.mean([updates for _, updates in self._rows.values()]) * RUNGS[-1]
        return TrueError(float(best), float(seconds))


@dataclass
class Network:
    """A perceptron with its optimiser, in NumPy: at this size a step is no more than a few products."""

    config: Config
    rng: np.random.Generator
    weights: list[Array] = field(default_factory=list)
    moments: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        sizes = [65, *[int(self.config["units"])] * int(self.config["layers"]), 10]
        for fan_in, fan_out in itertools.pairwise(sizes):
            drawn = self.rng.normal(0, fan_in**-0.5, (fan_in, fan_out))
            self.weights.append(drawn.astype(np.float32))
            self.moments.append(np.zeros_like(self.weights[-1]))

    def step(self, images: Array, labels: NDArray[np.int64]) -> None:
        """One update on a batch: images ``(B, 65)``, labels ``(B,)``."""
        inputs, logits = self._forward(images, training=True)
        gradient = _softmax(logits)
        gradient[np.arange(len(labels)), labels] -= 1
        gradient /= len(labels)
        for layer in reversed(range(len(self.weights))):
            weight = self.weights[layer]
            update = inputs[layer].T @ gradient
            if layer:
                gradient = (gradient @ weight.T) * self._slope(inputs[layer])
            if self.config["adaptive"]:
                self.moments[layer] = _BETA * self.moments[layer] + (1 - _BETA) * update**2
                update = update / (np.sqrt(self.moments[layer]) + _EPS)
                update *= 0.1  # steps of a tenth of the rate: both kinds then want about the same rates
            weight -= np.float32(float(self.config["lr"])) * update

    def error(self, images: Array, labels: NDArray[np.int64]) -> float:
        """Share of images whose class is not named."""
        _, logits = self._forward(images, training=False)
        return float(np.mean(logits.argmax(axis=1) != labels))

    def _forward(self, images: Array, *, training: bool) -> tuple[list[Array], Array]:
        inputs = [images]
        for weight in self.weights[:-1]:
            sums = inputs[-1] @ weight
            active = np.maximum(sums, 0) if self.config["activation"] == "relu" else np.tanh(sums)
            if rate := float(self.config["dropout"]):  # arXiv 1207.0580: weights are scaled when it is over
                kept = self.rng.random(active.shape, np.float32) >= rate if training else 1 - rate
                active *= np.asarray(kept, np.float32)
            inputs.append(active)
        return inputs, inputs[-1] @ self.weights[-1]

    def _slope(self, active: Array) -> Array:
        """Slope of the activation, from its value; dropped units have the value 0."""
        if self.config["activation"] == "relu":
            return (active > 0).astype(np.float32)
        return np.where(active == 0, 0, 1 - active**2).astype(np.float32)


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


@lru_cache(maxsize=1)
def images() -> tuple[Array, NDArray[np.int64], Array, NDArray[np.int64]]:
    """Images to learn from with labels, and images to judge by; a column of ones takes the bias."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    pixels = np.concatenate([data.data / 16 - 0.5, np.ones((len(order), 1))], axis=1).astype(np.float32)
    learn, judge = order[:_LEARN], order[_LEARN : _LEARN + _JUDGE]
    return pixels[learn], data.target[learn], pixels[judge], data.target[judge]


def train(config: Config, seed: int) -> list[float]:
    """Errors after 3, 9 and 27 epochs."""
    learn, labels, judge, judged = images()
    rng = np.random.default_rng(seed)
    network, batch = Network(config, rng), int(config["batch"])
    errors = []
    with np.errstate(over="ignore", invalid="ignore"):  # too high a rate diverges, and is then all wrong
        for epoch in range(1, RUNGS[-1] + 1):
            order = rng.permutation(len(labels))
            for begin in range(0, len(order), batch):
                part = order[begin : begin + batch]
                network.step(learn[part], labels[part])
            if epoch in RUNGS:
                errors.append(network.error(judge, judged))
    return errors


def rows() -> Iterator[dict[str, Any]]:
    """All trainings."""
    for config in PerceptronSpace().enumerate():
        for seed in range(SEEDS):
            errors = {f"error{r}": e for r, e in zip(RUNGS, train(config, seed), strict=True)}
            updates = _LEARN // int(config["batch"]) * int(config["units"])
            yield {"config_id": config_id(config), **config, "seed": seed, **errors, "updates": updates}


def main() -> None:
    """Trains all and writes the table."""
    frame = pd.DataFrame(rows())
    with replacing(TABLE) as scratch:
        frame.to_parquet(scratch, compression="zstd", index=False)
    print(f"{TABLE}: {len(frame)} trainings, {TABLE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
