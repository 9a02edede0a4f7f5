"""What our pages have a worker compute.

Apart from the pages, because the pages can be imported by the server only.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from typing import Any

from cave.evaluators import ablation, shares
from cave.footprint import QuickFootprint
from cave.sample import Sample, successes

ENOUGH = 10  # trials; with fewer, a forest finds importance in noise
METHODS = {"local": "lpi_choices", "global": "fanova"}


def importances(run: Any, inputs: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Importances by budget and hyperparameter; not a number where there are too few trials."""
    objective = _one_objective(run, inputs)
    found = {}
    for number, budget in enumerate(run.get_budgets()):
        trials = successes(run, budget)
        found[number] = dict.fromkeys(run.configspace, (math.nan, math.nan))
        if len(trials) < ENOUGH:
            continue
        with contextlib.suppress(ValueError):  # no difference between these trials
            sample = Sample(run, objective, trials)
            found[number] = shares(sample, objective, METHODS[inputs["method"]], inputs["n_trees"], 0)
    return found


def budget_correlations(run: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Rank correlations of the budgets, without those of too few configurations, which are listed apart."""
    from deepcave.plugins.budget.budget_correlation import BudgetCorrelation

    found = BudgetCorrelation.process(run, inputs)
    configs = {
        run.get_budget(number, human=True): {t.config_id for t in successes(run, run.get_budget(number))}
        for number in run.get_budget_ids(include_combined=False)
    }
    found["too_few"] = {}
    for one, other in itertools.combinations(configs, 2):
        shared = len(configs[one] & configs[other])
        if shared >= ENOUGH:
            continue
        found["too_few"][f"{one} and {other}"] = shared
        for a, b in ((one, other), (other, one)):
            found["correlations"][a].pop(b, None)
            found["correlations_symmetric"][a][b] = "too few"
    return found


def ablation_paths(run: Any, inputs: dict[str, Any]) -> dict[int, list[Any]]:
    """Predicted cost and improvement by budget and change; not a number where there is no path."""
    objective = _one_objective(run, inputs)
    nothing = dict.fromkeys(["default", *run.configspace], (math.nan, math.nan))
    found = {}
    for number, budget in enumerate(run.get_budgets()):
        trials = successes(run, budget)
        found[number] = [nothing, nothing]
        if len(trials) >= ENOUGH:
            evaluator = ablation(Sample(run, objective, trials), objective, inputs["n_trees"], 0)
            if evaluator is not None:
                performances = evaluator.get_ablation_performances()
                found[number] = [performances, evaluator.get_ablation_improvements()]
    return found


def footprint(run: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Surfaces and points of the arrangement."""
    evaluator = QuickFootprint(run)
    objective = run.get_objective(inputs["objective_id"])
    evaluator.calculate(objective, run.get_budget(inputs["budget_id"]))
    points = {
        f"{kind[:-1]}_points": evaluator.get_points(kind)
        for kind in ("configs", "borders", "supports", "incumbents")
    }
    return {
        "performance_data": evaluator.get_surface(details=inputs["details"], performance=True),
        "area_data": evaluator.get_surface(details=inputs["details"], performance=False),
        **points,
    }


def _one_objective(run: Any, inputs: dict[str, Any]) -> Any:
    if inputs.get("objective_id2") not in (None, -1):
        raise RuntimeError("Importance for two objectives at once is not offered: choose one.")
    if inputs["n_trees"] is None:
        raise RuntimeError("Please specify the number of trees.")
    return run.get_objective(inputs["objective_id1"])
