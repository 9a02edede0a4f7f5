"""How long a trial will take, predicted from the trials so far."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nas.run.state import Trial
    from search_spaces.base import Config

_FEWEST = 8  # trials before a regression says more than the slowest one seen
_RIDGE = 0.3
_TIMEOUT_FACTOR, _TIMEOUT_LEAST = 10.0, 120.0  # of what is predicted, and seconds
_REFIT = 1.1  # refit when the history has grown by a tenth: the whole run costs O(n) fits' worth


class CostModel:
    """Ridge regression of log seconds per epoch on the one-hot configuration, plus a fixed part.

    Seconds per epoch of a network hardly vary between its epochs, while between networks they
    vary tenfold (kernel 9 against 3), so the configuration is what tells.
    """

    def __init__(self) -> None:
        self._per_epoch: dict[str, float] = {}
        self._configs: dict[str, Config] = {}
        self._fixed: list[float] = []
        self._fitted = 0
        self._weights: dict[tuple[str, object], float] = {}
        self._bias = 0.0
        self._spread = 0.0

    def observe(self, trial: Trial) -> None:
        """Learns from a finished trial; crashed and cached ones teach nothing."""
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
        """Predicts wall seconds of training ``epochs`` more epochs, on the safe side.

        Args:
            config_id: Hash of the configuration; one that ran before is known by its own speed.
            config: The configuration.
            epochs: Epochs still to train.

        Returns:
            Seconds that about 19 of 20 such trials stay below; 0.0 while nothing is known.
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
            logs = self._bias + sum(self._weights.get(item, 0.0) for item in config.items())
            per_epoch = math.exp(logs + 1.64 * self._spread)
        return fixed + epochs * per_epoch

    def timeout(self, config_id: str, config: Config, epochs: int) -> float:
        """Seconds after which such a trial counts as hanging."""
        return max(_TIMEOUT_FACTOR * self.seconds(config_id, config, epochs), _TIMEOUT_LEAST)

    def _fit(self) -> None:
        if len(self._per_epoch) < self._fitted * _REFIT:
            return
        self._fitted = len(self._per_epoch)
        features = sorted({item for config in self._configs.values() for item in config.items()}, key=repr)
        column = {item: index for index, item in enumerate(features)}
        x = np.zeros((self._fitted, len(features)))
        for row, key in enumerate(self._per_epoch):
            for item in self._configs[key].items():
                x[row, column[item]] = 1.0
        y = np.log(np.array(list(self._per_epoch.values())))
        self._bias = float(y.mean())
        gram = x.T @ x + _RIDGE * np.eye(len(features))
        weights = np.linalg.solve(gram, x.T @ (y - self._bias))
        self._weights = dict(zip(features, weights.tolist(), strict=True))
        # What each trial's own absence would have made of its prediction: the residuals of the fit
        # itself flatter it while trials are few.
        leverage = np.einsum("ij,ij->i", x @ np.linalg.inv(gram), x)
        left_out = (y - self._bias - x @ weights) / (1 - np.minimum(leverage, 0.99))
        self._spread = float(np.sqrt(np.mean(left_out**2)))
