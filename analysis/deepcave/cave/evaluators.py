"""DeepCAVE's evaluators, each answer from a fresh one and from successful trials only."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from cave.lpi import ChoiceLPI
from cave.sample import Sample, successes
from deepcave.evaluators.ablation import Ablation
from deepcave.evaluators.epm.random_forest_surrogate import RandomForestSurrogate
from deepcave.evaluators.fanova import fANOVA
from deepcave.evaluators.lpi import LPI

if TYPE_CHECKING:
    from deepcave.runs.objective import Objective
    from deepcave.runs.run import Run

ROUNDING = 1e-9  # of the largest cost
METHODS = ("fanova", "fanova_pairs", "lpi", "lpi_choices", "ablation")


def answer(run: Run, request: dict[str, Any]) -> dict[str, Any]:
    """Answers one request; see ``analysis.deepcave.bridge`` for what is in it.

    Returns:
        The answer, or ``{"error": "one line"}``.
    """
    begin = time.perf_counter()
    try:
        n_trials, values = _evaluate(run, request)
    except Exception as error:  # one bad request must not cost the answers to all others
        return {"error": " ".join(f"{error}".split()) or type(error).__name__}
    return {
        "method": request["method"],
        "budget": request.get("budget"),
        "n_trials": n_trials,
        "values": values,
        "seconds": round(time.perf_counter() - begin, 3),
    }


def _evaluate(run: Run, request: dict[str, Any]) -> tuple[int, Any]:
    method, budget = request["method"], request.get("budget")
    objective = run.get_objective(request.get("objective", "error"))
    if method not in METHODS:
        raise ValueError(f"method: must be one of {', '.join(METHODS)}, got {method!r}")
    if objective is None:
        known = ", ".join(run.get_objective_names())
        raise ValueError(f"objective: must be one of {known}, got {request['objective']!r}")
    trials = successes(run, budget, request.get("trials"))
    if not trials:
        raise ValueError(f"no successful trial at budget {budget}")
    sample = Sample(run, objective, trials)
    costs = [trial.costs[run.get_objective_id(objective)] for trial in trials]
    if not differ(costs):
        raise ValueError(
            f"no two of its trials ({len(trials)}) at budget {budget} differ in {objective.name}"
        )
    if request.get("incumbent") is not None:
        sample.set_incumbent(_config_of(run, request["incumbent"]))
    trees, seed = request.get("trees", 64), engine_seed(request.get("seed", 0))
    if method == "ablation":
        return len(trials), ablation_path(sample, objective, trees, seed)
    return len(trials), shares(sample, objective, method, trees, seed)


def differ(costs: list[float]) -> bool:
    """Whether costs differ by more than rounding; forests find importance in rounding, too."""
    return bool(np.ptp(costs) > ROUNDING * np.abs(costs).max())


def engine_seed(seed: int) -> int:
    """Spreads seeds out for the forests' generator, to which 0 and 1 are one seed and 2 and 3 are close.

    The generator is C++'s minstd_rand0, a linear one; the factor is Knuth's for hashing.
    """
    return 1 + seed * 2654435761 % (2**31 - 2)


def _config_of(run: Run, number: int) -> dict[str, Any]:
    for trial in run.history:
        if trial.additional["trial"] == number:
            return run.configs[trial.config_id]
    raise ValueError(f"incumbent: no trial {number}")


class Surrogate(RandomForestSurrogate):
    """Ablation's forest; the stock one hands out variances where standard deviations are asked for."""

    def predict(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation for encoded configurations ``(N, hyperparameters)``."""
        means, variances = super().predict(X)
        return means, np.sqrt(np.maximum(variances, 0.0))


def shares(
    sample: Sample, objective: Objective, method: str, trees: int, seed: int
) -> dict[str, list[float]]:
    """Importance of each hyperparameter or pair: mean and standard deviation over the trees.

    DeepCAVE gives variances; they are turned into standard deviations here.

    Raises:
        ValueError: If the forest did not split anywhere.
    """
    names = list(sample.configspace)
    if method in ("fanova", "fanova_pairs"):
        evaluator = fANOVA(sample)
        evaluator.calculate(objective, n_trees=trees, seed=seed)
        depth = 1 if method == "fanova" else 2
        found = evaluator.get_importances(names, depth=depth, sort=False)
        found = {key: value for key, value in found.items() if isinstance(key, tuple) == (depth == 2)}
    else:
        evaluator = LPI(sample) if method == "lpi" else ChoiceLPI(sample)
        evaluator.calculate(objective, n_trees=trees, seed=seed)
        found = evaluator.get_importances(names)
    values = {
        key if isinstance(key, str) else " x ".join(key): [float(value[0]), math.sqrt(value[1])]
        for key, value in found.items()
    }
    means = np.array([mean for mean, _ in values.values()])
    # A tree that splits where nothing differs divides rounding by rounding: shares without any bound.
    if not np.isfinite(list(values.values())).all() or means.max() > 1 + 1e-6:
        raise ValueError("the forest found no difference between these trials")
    return values


def ablation(sample: Sample, objective: Objective, trees: int, seed: int) -> Ablation | None:
    """Goes from the default to the incumbent, always by the change that gains most.

    Returns:
        None if the forest predicts the incumbent to be no better than the default: then there is no
        way; stock DeepCAVE gives one of zeros.
    """
    evaluator = Ablation(sample)
    evaluator.calculate(objective, model=Surrogate(sample.configspace, seed=seed, n_trees=trees))
    steps = evaluator.get_ablation_performances().values()
    return None if all(cost == 0 and std == 0 for cost, std in steps) else evaluator


def ablation_path(sample: Sample, objective: Objective, trees: int, seed: int) -> list[list[Any]]:
    """The way from the default to the incumbent.

    Returns:
        ``[name, predicted cost after the change, standard deviation]`` in the order of changes;
        the first name is ``default``.

    Raises:
        ValueError: If there is no way.
    """
    evaluator = ablation(sample, objective, trees, seed)
    if evaluator is None:
        raise ValueError("the forest predicts the best configuration to be no better than the default")
    steps = evaluator.get_ablation_performances().items()
    return [[name, float(cost), float(std)] for name, (cost, std) in steps]
