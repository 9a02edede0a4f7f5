"""What a user believes before the search: which choices are likely to be good (piBO, arXiv 2204.11051)."""

from __future__ import annotations

import difflib
import json
import math
from typing import TYPE_CHECKING

import numpy as np
from ConfigSpace import CategoricalHyperparameter, OrdinalHyperparameter

from nas.optimizers.settings import NO_PRIOR
from nas.util.errors import SettingError
from search_spaces.base import Hyperparameter
from search_spaces.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from search_spaces.base import Parameter, SearchSpace

    Vector = NDArray[np.float64]

_LIKELY = 5.0  # times as likely as any other choice, where the user gives no number


class Prior:
    """Independent weights of all choices: how likely each is to be the best configuration's."""

    def __init__(self, logs: Sequence[Vector | None], rules: Rules) -> None:
        """Takes the logarithms of the choices' probabilities, by hyperparameter as rows have them.

        Args:
            logs: One for each choice; None for a range of numbers.
            rules: Which combinations there are.
        """
        self._logs = logs
        self._rules = rules

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
        configspace = space.configspace()
        weights = {
            name: np.ones(hp.size)
            for name, hp in configspace.items()  # ConfigSpace sorts by name
            if isinstance(hp, CategoricalHyperparameter | OrdinalHyperparameter)
        }
        for part in text.split(","):
            name, given, value = (piece.strip() for piece in part.partition("="))
            if not given:
                raise SettingError(
                    "prior", part, "must be HYPERPARAMETER=CHOICE or HYPERPARAMETER=CHOICE:TIMES"
                )
            hp = _hyperparameter(name, space.hyperparameters)
            if name not in weights:
                raise SettingError("prior", name, "is a range of numbers; only choices can be believed in")
            assert isinstance(hp, Hyperparameter)
            choice, times = _weighted(value, hp)
            weights[name][choice] = times
        logs = {name: np.log(w / w.sum()) for name, w in weights.items()}
        return cls([logs.get(name) for name in configspace], Rules(configspace))

    def log_density(self, rows: Vector) -> Vector:
        """Logarithm of the probability ``(N,)`` of configurations ``(N, D)``, 0 for the likeliest.

        What is inactive, and a range of numbers, counts for nothing.
        """
        total = np.zeros(len(rows))
        for d, logs in ((d, logs) for d, logs in enumerate(self._logs) if logs is not None):
            active = ~np.isnan(rows[:, d])
            total[active] += logs[rows[active, d].astype(np.int64)] - np.max(logs)
        return total

    def sample(self, n: int, rng: np.random.RandomState) -> Vector:
        """Draws configurations ``(<= n, D)``; what clauses forbid is left out."""
        columns = [
            self._rules.spare(d, n, rng) if logs is None else rng.choice(len(logs), n, p=np.exp(logs))
            for d, logs in enumerate(self._logs)
        ]
        return self._rules.settle(np.column_stack(columns).astype(np.float64))


def _hyperparameter(name: str, known: Mapping[str, Parameter]) -> Parameter:
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise SettingError("prior", name, f"no such hyperparameter; {hint}there are {', '.join(known)}")


def _weighted(value: str, hp: Hyperparameter) -> tuple[int, float]:
    """A choice's index and its weight; the choice itself may hold a colon."""
    texts = [choice if isinstance(choice, str) else json.dumps(choice) for choice in hp.choices]
    choice, _, times = value.rpartition(":")
    if value in texts:
        choice, times = value, str(_LIKELY)
    if choice not in texts:
        raise SettingError("prior", f"{hp.name}={value}", f"must be one of {', '.join(texts)}")
    try:
        weight = float(times)
    except ValueError:
        weight = math.nan
    if not (1e-3 <= weight <= 1e3):
        raise SettingError("prior", f"{hp.name}={value}", f"{times} must be a number from 0.001 to 1000")
    return texts.index(choice), weight
