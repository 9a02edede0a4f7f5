"""A search space as Optuna's distributions (Akiba et al., KDD 2019, arXiv 1907.10902).

Optuna has no order among choices, no conditions and no forbidden clauses: an ordinal becomes a categorical, a
constant one of a single choice, and a configuration lacks the parameters that are inactive in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from search_spaces.base import Config


def read(path: Path) -> dict[str, BaseDistribution]:
    """The distributions of a run's ``configspace.json``.

    Raises:
        UserError: If it is not readable.
    """
    try:
        return of(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not readable as a configuration space ({error})") from None


def of(space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """The distribution of each hyperparameter, by name.

    Args:
        space: ConfigSpace's JSON.

    Raises:
        KeyError, TypeError, ValueError: If it is none.
    """
    return {hp["name"]: _distribution(hp) for hp in space["hyperparameters"]}


def _distribution(hp: Mapping[str, Any]) -> BaseDistribution:
    match hp["type"]:
        case "uniform_int":
            return IntDistribution(hp["lower"], hp["upper"], log=hp["log"])
        case "uniform_float":
            return FloatDistribution(hp["lower"], hp["upper"], log=hp["log"])
        case "constant":
            return CategoricalDistribution((hp["value"],))
        case "ordinal":
            return CategoricalDistribution(hp["sequence"])
        case "categorical":
            return CategoricalDistribution(hp["choices"])
    raise ValueError(f"type {hp['type']!r}")


def params(config: Config, distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """A configuration as Optuna's parameters; what is inactive is not among them.

    Args:
        config: As the journal holds it.
        distributions: From :func:`of`.

    Raises:
        KeyError: If it has a hyperparameter that the space does not have.
    """
    unknown = next((name for name in config if name not in distributions), None)
    if unknown is not None:
        raise KeyError(unknown)
    return dict(config)
