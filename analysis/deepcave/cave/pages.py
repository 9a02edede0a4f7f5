"""The pages: DeepCAVE's own, and ours where a stock one would mislead."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from cave import jobs
from cave.sample import successes
from dash import dcc
from deepcave import config
from deepcave.plugins.budget.budget_correlation import BudgetCorrelation
from deepcave.plugins.hyperparameter import (
    ablation_paths,
    configuration_cube,
    importances,
    parallel_coordinates,
)
from deepcave.plugins.hyperparameter.pdp import PartialDependencies
from deepcave.plugins.objective import cost_over_time
from deepcave.plugins.objective.pareto_front import ParetoFront
from deepcave.plugins.summary import footprint
from deepcave.plugins.summary.configurations import Configurations
from deepcave.plugins.summary.overview import Overview
from deepcave.utils.data_structures import update_dict

TREES = 64


def pages() -> dict[str, list[Any]]:
    """All pages, by heading.

    Symbolic explanations are left out: a formula of the positions of unordered choices means nothing.
    """
    return {
        "Summary": [Overview(), Configurations(), FootPrint()],
        "Objective Analysis": [CostOverTime(), ParetoFront()],
        "Budget Analysis": [BudgetCorrelations()],
        "Hyperparameter Analysis": [
            Importances(),
            AblationPaths(),
            ConfigurationCube(),
            ParallelCoordinates(),
            PartialDependencies(),
        ],
    }


def remember_first_run(plugins: dict[str, list[Any]], cache: Any, run_handler: Any) -> None:
    """Has every page begin with the first run; the stock pages stay empty until one is chosen.

    Pages begin with what was chosen on them last, which the cache knows, and the start page makes
    it forget. So the cache answers with the first run where it knows nothing.
    """
    known = cache.get
    choosing = {p.id: p for group in plugins.values() for p in group if p.activate_run_selection}

    def get(*keys: str) -> Any:
        value = known(*keys)
        if value is None and len(keys) == 2 and keys[0] == "last_inputs" and keys[1] in choosing:
            runs = run_handler.get_runs()
            return _first_inputs(choosing[keys[1]], runs) if runs else None
        return value

    cache.get = get


def _first_inputs(plugin: Any, runs: list[Any]) -> dict[str, Any]:
    inputs = plugin.load_inputs()
    update_dict(inputs, plugin.load_run_inputs(runs, [], plugin.check_run_compatibility))
    inputs["run"]["value"] = runs[0].id
    for name, attribute, *_ in plugin.inputs:
        inputs.setdefault(name, {}).setdefault(attribute, None)
    update_dict(inputs, plugin.load_dependency_inputs(runs[0], inputs, inputs))
    return inputs


def _counts(run: Any) -> list[int]:
    return [len(successes(run, budget)) for budget in run.get_budgets()]


def _ready_budgets(run: Any) -> list[int]:
    """Positions of the budgets with enough trials."""
    return [number for number, count in enumerate(_counts(run)) if count >= jobs.ENOUGH]


def _with_counts(filled: dict[str, Any], key: str, run: Any) -> dict[str, Any]:
    """Says beside each budget how many trials there are."""
    for option, count in zip(filled[key]["options"], _counts(run), strict=True):
        few = "" if count >= jobs.ENOUGH else ", too few"
        option["label"] = f"{option['label']} ({_trials(count)}{few})"
    return filled


class CostOverTime(cost_over_time.CostOverTime):
    """Cost over time at the highest budget; the stock page begins with the last but one."""

    def load_inputs(self) -> dict[str, dict[str, Any]]:
        """As the stock page, at the highest budget."""
        filled = super().load_inputs()
        filled["budget_id"]["value"] = filled["budget_id"]["options"][-1]["value"]
        return filled

    @staticmethod
    def load_outputs(runs: Any, inputs: Any, outputs: Any) -> Any:
        """The stock figure, below a note on what too few trials cannot show."""
        figure = cost_over_time.CostOverTime.load_outputs(runs, inputs, outputs)
        said = "<br>".join(filter(None, (_too_few(run, inputs["budget_id"]) for run in runs)))
        if said:
            figure.update_layout(title={"text": said, "font_size": 16}, margin_t=60 + 20 * said.count("<br>"))
        return figure


def _too_few(run: Any, budget_id: int) -> str:
    """Why a run's line tells nothing yet; empty if it does, or is a mean over a group."""
    if run.prefix == "group":
        return ""
    count = len(successes(run, run.get_budget(budget_id)))
    epochs = run.get_budget(budget_id, human=True)
    few = f"{_trials(count)} of {epochs} {'epoch' if str(epochs) == '1' else 'epochs'}"
    return "" if count >= jobs.ENOUGH else f"{escape(run.name)}: {few}, too few to tell"


def _trials(count: int) -> str:
    return f"{count} {'trial' if count == 1 else 'trials'}"


class BudgetCorrelations(BudgetCorrelation):
    """Correlations of enough configurations only; the stock page calls two points a strong correlation."""

    process = staticmethod(jobs.budget_correlations)

    @staticmethod
    def load_outputs(run: Any, inputs: Any, outputs: Any) -> list[Any]:
        """Like the stock page, preceded by what too few trials cannot show."""
        text, figure, table = BudgetCorrelation.load_outputs(run, inputs, outputs)
        few = [f"{pair} epochs ({count})" for pair, count in outputs["too_few"].items()]
        if few:
            said = f"Too few configurations trained for both {', '.join(few)} to tell."
            told = len(few) < math.comb(len(outputs["correlations_symmetric"]["Budget"]), 2)
            text = f"{said} {text}" if told else said
        return [text, figure, table]


class Importances(importances.Importances):
    """LPI over all choices, from successful trials, error bars of one standard deviation."""

    process = staticmethod(jobs.importances)

    def load_inputs(self) -> dict[str, dict[str, Any]]:
        """As the stock page, with enough trees to be steady."""
        return {**super().load_inputs(), "n_trees": {"value": TREES}}

    def load_dependency_inputs(self, run: Any, previous: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """As the stock page, all budgets of enough trials chosen at first."""
        if not inputs["budget_ids"]["value"]:
            inputs["budget_ids"]["value"] = _ready_budgets(run)
        filled = super().load_dependency_inputs(run, previous, inputs)
        return _with_counts(filled, "budget_ids", run)


class AblationPaths(ablation_paths.AblationPaths):
    """Ablation whose forest is asked in the encoding it was fitted with."""

    process = staticmethod(jobs.ablation_paths)

    def load_inputs(self) -> dict[str, dict[str, Any]]:
        """As the stock page, with enough trees to be steady."""
        return {**super().load_inputs(), "n_trees": {"value": TREES}}

    def load_dependency_inputs(self, run: Any, previous: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """As the stock page, which forgets to count the default and so cuts off the last step."""
        if inputs["n_hps"]["value"] == 0:
            inputs["n_hps"]["value"] = len(run.configspace) + 1
        if inputs["budget_id"]["value"] is None and _ready_budgets(run):
            inputs["budget_id"]["value"] = _ready_budgets(run)[-1]
        filled = super().load_dependency_inputs(run, previous, inputs)
        return _with_counts(filled, "budget_id", run)


class ConfigurationCube(configuration_cube.ConfigurationCube):
    """The cube of the first three hyperparameters; the stock page begins with an empty one."""

    def load_dependency_inputs(self, run: Any, previous: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """As the stock page, with three hyperparameters chosen at first."""
        if inputs["n_configs"]["value"] == 0:
            inputs["hyperparameter_names"]["value"] = list(run.configspace)[:3]
        return super().load_dependency_inputs(run, previous, inputs)


class ParallelCoordinates(parallel_coordinates.ParallelCoordinates):
    """Parallel coordinates that fit the page; the stock ones do not and have to be scrolled."""

    @staticmethod
    def get_output_layout(register: Any) -> Any:
        """A figure as wide as the page."""
        options = {"toImageButtonOptions": {"scale": config.FIGURE_DOWNLOAD_SCALE}}
        return dcc.Graph(register("graph", "figure"), config=options, style={"height": config.FIGURE_HEIGHT})

    @staticmethod
    def load_outputs(run: Any, inputs: Any, outputs: Any) -> Any:
        """The stock figure, with room for the colour bar's labels."""
        figure = parallel_coordinates.ParallelCoordinates.load_outputs(run, inputs, outputs)
        figure.update_layout(width=None, autosize=True, margin_r=80, margin_l=110, font_size=14)
        return figure


class FootPrint(footprint.FootPrint):
    """The footprint of a bounded number of configurations."""

    process = staticmethod(jobs.footprint)
