"""Optimisers by name."""

from __future__ import annotations

import difflib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.optimizers.settings import NO_PRIOR, OptimizerSettings
from nas.run.learnt_rungs import ALL
from nas.util.errors import SettingError, setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nas.optimizers.objectives import Costs
    from nas.optimizers.protocol import Earlier, Fidelity, Optimizer
    from search_spaces.base import Config, SearchSpace


ERROR = "error"
MOST_COSTS = 2  # besides the error, since the exact formulas of improvement are for two and three objectives

_NAMES = ("smac", "hyperband", "random")


def names() -> list[str]:
    """Returns the names of all optimisers."""
    return list(_NAMES)


def create(
    name: str,
    space: SearchSpace,
    fidelity: Fidelity,
    seed: int,
    settings: OptimizerSettings | None = None,
    earlier: Sequence[Earlier] = (),
    costs: Costs | None = None,
) -> Optimizer:
    """Builds a new optimiser.

    Args:
        name: ``smac`` (successive halving with a model), ``hyperband`` (arXiv 1603.06560: no model) or
            ``random`` (random configurations at the full budget). All three are one program with different
            settings, so that they differ in nothing else.
        space: The search space.
        fidelity: The rungs.
        seed: Seed that all random choices are derived from.
        settings: Settings; ``hyperband`` and ``random`` ignore those of a model.
        earlier: Results of an earlier search to begin with.
        costs: Costs and limits besides the error, None for none.

    Raises:
        UserError: If there is no such optimiser, the space has no choice that ``settings`` name, or ``costs``
            cannot be weighed.
    """
    settings = settings or OptimizerSettings()
    check(name, space, settings, costs)
    from nas.optimizers.smac.adapter import SmacOptimizer

    fidelity, settings = _adapted(name, fidelity, settings)
    if costs is not None and not costs.objectives and not costs.limits:
        costs = None  # nothing is weighed: the search of the error alone
    return SmacOptimizer(space, fidelity, settings, seed=seed, earlier=earlier, costs=costs)


def expected(
    space: SearchSpace, rungs: Sequence[int], results: Iterable[tuple[Config, int, float]]
) -> list[Earlier]:
    """Returns every configuration once, with the error that the model expects at the highest rung.

    Args:
        space: The search space.
        rungs: Epochs of its rungs, the lowest first.
        results: Configuration, epochs (those of a rung) and error of every trial that succeeded.

    Raises:
        UserError: If a configuration is not in the space.
    """
    from nas.optimizers.protocol import Earlier
    from nas.optimizers.smac.candidates import Candidates
    from nas.optimizers.smac.evidence import Evidence
    from search_spaces.base import config_id

    candidates, evidence = Candidates(space.configspace()), Evidence(rungs)
    configs = {}
    for config, epochs, error in results:
        configs[config_id(config)] = config
        evidence.add(candidates.encode(config).get_array(), epochs, error)
    if not configs:
        return []
    errors = evidence.expected_errors().values()
    return [Earlier(config, error) for config, error in zip(configs.values(), errors, strict=True)]


def _adapted(
    name: str, fidelity: Fidelity, settings: OptimizerSettings
) -> tuple[Fidelity, OptimizerSettings]:
    """Returns the settings that make SMAC the optimiser of a name."""
    if name == "hyperband":
        return fidelity, replace(settings, brackets="hyperband", random_probability=1.0)
    if name == "random":
        settings = replace(settings, initial_configs=0, random_probability=1.0)
        return replace(fidelity, min_epochs=fidelity.max_epochs), settings
    return fidelity, settings


def all_rungs(name: str, fidelity: Fidelity, settings: OptimizerSettings) -> str:
    """Says why all rungs are used always, though results were to decide; "" if they do, or there is one."""
    usual, chosen = _adapted(name, fidelity, settings)
    if settings.rungs == ALL or len(usual.rungs) == 1 or chosen.random_probability < 1:
        return ""
    if settings.random_probability < 1:
        why, instead = f"optimizer {name}", "smac with brackets hyperband"
    else:
        why, instead = "random_probability 1", "less"
    return f"{why} has no model and uses all rungs; {instead} leaves out those that mislead"


def check(name: str, space: SearchSpace, settings: OptimizerSettings, costs: Costs | None = None) -> None:
    """Checks settings without building an optimiser, which takes seconds.

    Raises:
        UserError: If there is no such optimiser, ``settings`` name a prior that it cannot use, or ``costs``
            cannot be weighed.
    """
    if costs is not None:
        _check_costs(costs)
    if name not in _NAMES:
        close = difflib.get_close_matches(name.lower(), _NAMES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise SettingError("optimizer", name, f"{hint}must be one of {', '.join(_NAMES)}")
    if settings.prior != NO_PRIOR:
        from nas.optimizers.prior import Prior

        Prior.parse(settings.prior, space)
        if name != "smac":
            raise SettingError(
                "prior",
                None,
                f"{setting('optimizer', name)} has no model to go with it; leave one of them out",
            )


def _check_costs(costs: Costs) -> None:
    for name in costs.objectives:
        if name == ERROR:
            raise SettingError("objectives", name, "is always weighed; name what is to be low beside it")
        if costs.objectives.count(name) > 1:
            raise SettingError("objectives", name, "is named twice")
    if len(costs.objectives) > MOST_COSTS:
        given = " ".join((ERROR, *costs.objectives))
        raise SettingError("objectives", given, f"may be {MOST_COSTS + 1} at most, {ERROR} among them")
    for name, limit in costs.limits.items():
        if not (math.isfinite(limit) and limit > 0):
            raise SettingError(f"max_{name.replace('-', '_')}", limit, "must be a number above 0")
