"""SMAC's multi-fidelity facade, assembled from this package's parts, without files or console input."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smac import MultiFidelityFacade, Scenario
from smac.initial_design import AbstractInitialDesign
from smac.main.smbo import SMBO
from smac.random_design import ProbabilityRandomDesign
from smac.runhistory import RunHistory

from nas.optimizers.smac.acquisition import LogImprovement
from nas.optimizers.smac.brackets import StepwiseHalving, StepwiseHyperband
from nas.optimizers.smac.candidates import Candidates
from nas.optimizers.smac.constrained import FeasibleSearch, FeasibleSelector, FrontSearch
from nas.optimizers.smac.forest import Forest
from nas.optimizers.smac.front import ExpectedHypervolume
from nas.optimizers.smac.gaussian_process import GaussianProcess
from nas.optimizers.smac.maximizer import PoolSearch
from nas.optimizers.smac.selector import DerivedSelector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ConfigSpace import Configuration, ConfigurationSpace

    from nas.optimizers.prior import Prior
    from nas.optimizers.protocol import Fidelity
    from nas.optimizers.settings import OptimizerSettings
    from nas.optimizers.smac.feasible import Feasible
    from nas.optimizers.smac.tradeoff import Tradeoff

# A hair above the worst error: an incumbent that crashed gives way even to one that gets all wrong.
CRASH_COST = 1.0 + 1e-6

_UNLIMITED = 10**6  # SMAC's limit on trials; the search keeps to its budget itself
_NAME = "smacnas"


class _PlainRunHistory(RunHistory):
    """Leaves out what takes time with every trial and is not used here."""

    def _update_objective_bounds(self) -> None:
        """Bounds scale several objectives; computing them anew with every trial is quadratic."""

    def _check_json_serializable(self, *args: Any) -> None:
        """All values are plain numbers and strings."""


class _DisklessSMBO(SMBO):
    """Neither reads nor writes files, and so never asks on stdin what to do about old ones."""

    elapsed = 0.0  # seconds since the first trial began, for SMAC's trajectory

    def _initialize_state(self) -> None:
        pass

    def save(self) -> None:
        """The journal is the record; see :mod:`nas.optimizers.smac.snapshot` for files."""

    @property
    def used_walltime(self) -> float:
        return self.elapsed


class _InitialDesign(AbstractInitialDesign):
    """Configurations to begin with, in a fixed order."""

    def __init__(self, scenario: Scenario, configs: Sequence[Configuration]) -> None:
        super().__init__(scenario, n_configs=len(configs), max_ratio=1.0)
        self._configs = list(configs)

    def _select_configurations(self) -> list[Configuration]:
        return self._configs


class QuietFacade(MultiFidelityFacade):
    """SMAC's facade over :class:`_PlainRunHistory` and :class:`_DisklessSMBO`."""

    _intensifier: StepwiseHalving
    _optimizer: _DisklessSMBO

    @property
    def intensifier(self) -> StepwiseHalving:
        """Who is promoted."""
        return self._intensifier

    @property
    def optimizer(self) -> _DisklessSMBO:
        """SMAC's loop, of which asking and telling are used."""
        return self._optimizer

    def _update_dependencies(self) -> None:
        self._runhistory = _PlainRunHistory()
        super()._update_dependencies()

    def _get_optimizer(self) -> _DisklessSMBO:
        return _DisklessSMBO(
            scenario=self._scenario,
            runner=None,
            runhistory=self._runhistory,
            intensifier=self._intensifier,
        )


def learns_rungs(fidelity: Fidelity, settings: OptimizerSettings) -> bool:
    """Whether results decide at which rung configurations begin: where there are rungs, and a model."""
    return settings.rungs == "learnt" and len(fidelity.rungs) > 1 and settings.random_probability < 1


def make_facade(
    space: ConfigurationSpace,
    candidates: Candidates,
    initial: Sequence[Configuration],
    fidelity: Fidelity,
    settings: OptimizerSettings,
    *,
    min_trials: int,
    prior: Prior | None,
    seed: int,
    earlier: Sequence[tuple[Configuration, float]] = (),
    cost_models: tuple[Feasible, Tradeoff] | None = None,
) -> QuietFacade:
    """Puts SMAC together.

    Args:
        space: Configuration space; SMAC seeds it.
        candidates: The same space, as rows.
        initial: Configurations to begin with.
        fidelity: Rungs of epochs.
        settings: How to choose.
        min_trials: Successful trials before the model is asked.
        prior: What the user believes.
        seed: Of everything random.
        earlier: What another search measured.
        cost_models: What keeps the limits, and the model of costs; None for the error alone.
    """
    logging.getLogger("smac").addHandler(logging.NullHandler())  # else Python prints warnings to stderr
    scenario = Scenario(
        space,
        name=_NAME,
        output_directory=Path(tempfile.gettempdir()).resolve() / _NAME,  # never made
        deterministic=True,
        crash_cost=CRASH_COST,
        n_trials=_UNLIMITED,
        min_budget=fidelity.min_epochs,
        max_budget=fidelity.max_epochs,
        seed=seed,
    )
    forest = settings.model == "forest"
    costly: dict[str, Any] = {}
    maximizer: type[PoolSearch] = PoolSearch
    selector: type[DerivedSelector] = DerivedSelector
    acquisition: Any = LogImprovement(prior, log=forest)
    if cost_models is not None:
        costly = {"feasible": cost_models[0], "tradeoff": cost_models[1]}
        maximizer, selector = FeasibleSearch, FeasibleSelector
        if cost_models[1].objectives:
            maximizer, acquisition = FrontSearch, ExpectedHypervolume(cost_models[1], prior)
    brackets = StepwiseHyperband if settings.brackets == "hyperband" else StepwiseHalving
    return QuietFacade(
        scenario,
        target_function=None,
        model=Forest(scenario) if forest else GaussianProcess(space),
        acquisition_function=acquisition,
        acquisition_maximizer=maximizer(scenario, candidates, **costly),
        initial_design=_InitialDesign(scenario, initial),
        random_design=ProbabilityRandomDesign(settings.random_probability, seed=seed),
        intensifier=brackets(scenario, fidelity.eta),
        config_selector=selector(
            scenario,
            candidates,
            seed=seed,
            random_probability=settings.random_probability,
            min_trials=min_trials,
            rungs=fidelity.rungs,
            learns_rungs=learns_rungs(fidelity, settings),
            earlier=[(config.get_array(), error) for config, error in earlier],
            **costly,
        ),
        logging_level=False,
    )
