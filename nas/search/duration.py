"""Predicts how long a trial will take from the trials so far."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nas.run.state import Trial
    from search_spaces.base import Config

_FEWEST = 8  # trials before a regression predicts better than the slowest one seen
_RIDGE = 0.3
_TIMEOUT_FACTOR, _TIMEOUT_LEAST = 10.0, 120.0  # times the prediction, and seconds
_MOST_CHOICES = 8  # a hyperparameter with more different numbers than this counts as a range
_REFIT = 1.1  # refit when the history has grown by a tenth, so that all fits of a run cost O(n) together


class DurationModel:
    """Ridge regression of log seconds per epoch on the one-hot configuration, plus a constant time.

    A hyperparameter with many different values so far counts as a range, by its size.

    Seconds per epoch hardly vary between a network's epochs, but tenfold between networks (kernel 9 against
    3), so the configuration is the predictor.
    """

    def __init__(self) -> None:
        self._per_epoch: dict[str, float] = {}
        self._configs: dict[str, Config] = {}
        self._fixed: list[float] = []
        self._fitted = 0
        self._weights: dict[tuple[str, object], float] = {}
        self._ranges: dict[str, tuple[float, float]] = {}
        self._bias = 0.0
        self._spread = 0.0

    def observe(self, trial: Trial) -> None:
        """Learns from a finished trial; crashed and cached ones are ignored."""
        from_epoch = int(trial.metrics.get("from_epoch", 0))
        new = [m for epoch, m in trial.curve.items() if epoch > from_epoch]
        if trial.status != "success" or trial.cached or not new:
            return
        seconds = [m["train_seconds"] + m["val_seconds"] for m in new]
        self._per_epoch[trial.config_id] = max(statistics.median(seconds), 1e-6)
        self._configs[trial.config_id] = trial.config
        self._fixed.append(max(trial.seconds - sum(seconds), 0.0))

    @property
    def known(self) -> bool:
        """Whether any trial has been seen."""
        return bool(self._per_epoch)

    def seconds(self, config_id: str, config: Config, epochs: int) -> float:
        """Predicts the wall-clock seconds of ``epochs`` more epochs, on the safe side.

        Args:
            config_id: Hash of the configuration, whose speed is known if it ran before.
            config: The configuration.
            epochs: Number of epochs still to train.

        Returns:
            Seconds that about 19 of 20 such trials do not exceed; 0.0 while nothing is known.
        """
        if not self._per_epoch:
            return 0.0
        fixed = float(np.quantile(self._fixed[-200:], 0.9))
        if config_id in self._per_epoch:
            per_epoch = 1.1 * self._per_epoch[config_id]
        elif len(self._per_epoch) < _FEWEST:
            per_epoch = max(self._per_epoch.values())
        else:
            self._fit()
            logs = self._bias + sum(
                self._weights.get(item, 0.0) * size for item, size in self._features(config)
            )
            per_epoch = math.exp(logs + 1.64 * self._spread)
        return fixed + epochs * per_epoch

    def timeout(self, config_id: str, config: Config, epochs: int) -> float:
        """Returns the seconds after which such a trial counts as hung."""
        return max(_TIMEOUT_FACTOR * self.seconds(config_id, config, epochs), _TIMEOUT_LEAST)

    def _fit(self) -> None:
        if len(self._per_epoch) < self._fitted * _REFIT:
            return
        self._fitted = len(self._per_epoch)
        self._ranges = _ranges(list(self._configs.values()))
        rows = {key: self._features(config) for key, config in self._configs.items()}
        features = sorted({item for row in rows.values() for item, _ in row}, key=repr)
        column = {item: index for index, item in enumerate(features)}
        x = np.zeros((self._fitted, len(features)))
        for place, key in enumerate(self._per_epoch):
            for item, size in rows[key]:
                x[place, column[item]] = size
        y = np.log(np.array(list(self._per_epoch.values())))
        self._bias = float(y.mean())
        gram = x.T @ x + _RIDGE * np.eye(len(features))
        weights = np.linalg.solve(gram, x.T @ (y - self._bias))
        self._weights = dict(zip(features, weights.tolist(), strict=True))
        # Leave-one-out residuals, since those of the fit itself are too small while trials are few.
        leverage = np.einsum("ij,ij->i", x @ np.linalg.inv(gram), x)
        left_out = (y - self._bias - x @ weights) / (1 - np.minimum(leverage, 0.99))
        self._spread = float(np.sqrt(np.mean(left_out**2)))

    def _features(self, config: Config) -> list[tuple[tuple[str, object], float]]:
        """Returns the features of a configuration with their values."""
        found: list[tuple[tuple[str, object], float]] = []
        for name, value in config.items():
            if name in self._ranges:
                found.append(((name, None), _share(float(value), *self._ranges[name])))
                found.append(((name, "there"), 1.0))  # distinguishes configurations where it is inactive
            else:
                found.append(((name, value), 1.0))
        return found


def _share(value: float, low: float, high: float) -> float:
    """Returns a value's position in its range, logarithmic where possible: costs are powers of widths."""
    if low > 0:
        return math.log(max(value, low) / low) / math.log(high / low)
    return (value - low) / (high - low)


def _ranges(configs: list[Config]) -> dict[str, tuple[float, float]]:
    """Returns hyperparameters with many different numbers so far, with the lowest and the highest."""
    seen: dict[str, set[float]] = {}
    for config in configs:
        for name, value in config.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                seen.setdefault(name, set()).add(value)
    return {name: (min(values), max(values)) for name, values in seen.items() if len(values) > _MOST_CHOICES}
