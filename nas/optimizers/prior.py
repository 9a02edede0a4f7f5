"""What a user believes before the search: which choices are likely to be good (piBO, arXiv 2204.11051)."""

from __future__ import annotations

import difflib
import json
import math
from typing import TYPE_CHECKING

import numpy as np

from nas.optimizers.settings import NO_PRIOR
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from search_spaces.base import Hyperparameter, SearchSpace

    Vector = NDArray[np.float64]

_LIKELY = 5.0  # times as likely as any other choice, where the user gives no number


class Prior:
    """Independent weights of all choices: how likely each is to be the best configuration's."""

    def __init__(self, logs: Sequence[Vector]) -> None:
        """Takes the logarithms of the choices' probabilities, by hyperparameter as rows have them."""
        self._logs = logs

    @classmethod
    def parse(cls, text: str, space: SearchSpace) -> Prior | None:
        """Reads ``--prior``: ``bottleneck=true,norm=batch:2``; none: None.

        Args:
            text: Choices by hyperparameter, each with how many times as likely it is as any other choice
                that is not named.
            space: What is searched.

        Raises:
            UserError: Naming the part that is wrong, and what would be right.
        """
        if text == NO_PRIOR:
            return None
        names = list(space.configspace())  # ConfigSpace sorts by name
        weights = {name: np.ones(len(space.hyperparameters[name].choices)) for name in names}
        for part in text.split(","):
            name, given, value = (piece.strip() for piece in part.partition("="))
            if not given:
                raise UserError(
                    f"--prior {part}: must be HYPERPARAMETER=CHOICE or HYPERPARAMETER=CHOICE:TIMES"
                )
            hp = _hyperparameter(name, space.hyperparameters)
            choice, times = _weighted(value, hp)
            weights[name][choice] = times
        return cls([np.log(w / w.sum()) for w in weights.values()])

    def log_density(self, rows: Vector) -> Vector:
        """Logarithm of the probability ``(N,)`` of configurations ``(N, D)``, 0 for the likeliest."""
        return np.asarray(
            sum(logs[rows[:, d].astype(np.int64)] - np.max(logs) for d, logs in enumerate(self._logs))
        )

    def sample(self, n: int, rng: np.random.RandomState) -> Vector:
        """Draws configurations ``(n, D)``."""
        columns = [rng.choice(len(logs), n, p=np.exp(logs)) for logs in self._logs]
        return np.column_stack(columns).astype(np.float64)


def _hyperparameter(name: str, known: Mapping[str, Hyperparameter]) -> Hyperparameter:
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise UserError(f"--prior {name}: no such hyperparameter; {hint}there are {', '.join(known)}")


def _weighted(value: str, hp: Hyperparameter) -> tuple[int, float]:
    """A choice's index and its weight; the choice itself may hold a colon."""
    texts = [choice if isinstance(choice, str) else json.dumps(choice) for choice in hp.choices]
    choice, _, times = value.rpartition(":")
    if value in texts:
        choice, times = value, str(_LIKELY)
    if choice not in texts:
        raise UserError(f"--prior {hp.name}={value}: must be one of {', '.join(texts)}")
    try:
        weight = float(times)
    except ValueError:
        weight = math.nan
    if not (1e-3 <= weight <= 1e3):
        raise UserError(f"--prior {hp.name}={value}: {times} must be a number from 0.001 to 1000")
    return texts.index(choice), weight
