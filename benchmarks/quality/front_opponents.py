"""Who races for the front: ours, and others' searches of several objectives behind the same protocol."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from benchmarks.quality import opponents
from benchmarks.quality.opponent_base import OpponentBase
from benchmarks.quality.opponents import Asha, _never_called, values
from nas.optimizers import create
from nas.optimizers.protocol import Outcome, Suggestion
from nas.optimizers.smac.pareto import preferred
from nas.util.errors import UserError
from search_spaces.base import config_id, plain

if TYPE_CHECKING:
    from benchmarks.quality.fronts import FrontOptimizerFactory
    from nas.optimizers.objectives import Costs
    from nas.optimizers.protocol import Fidelity, Optimizer
    from search_spaces.base import SearchSpace

_POPULATION = 20  # Optuna's default of 50 would leave no second generation in 40 evaluations


def ours(space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> Optimizer:
    """The default search with objectives and limits."""
    return create("smac", space, fidelity, seed, costs=costs)


def random(space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> Optimizer:
    """Random configurations, full trainings."""
    del costs
    return create("random", space, fidelity, seed)


def single(space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> Optimizer:
    """The default search of the error alone: what exceeds a limit is trained, and thrown away."""
    del costs
    return create("smac", space, fidelity, seed)


class Untrained:
    """The default search of the error alone; what exceeds a limit is told to have crashed, for nothing."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> None:
        self._inner, self._costs = create("smac", space, fidelity, seed), costs

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """The next that fits."""
        while (asked := self._inner.ask(speculative=speculative)) is not None:
            if self._costs.fits(self._costs.known([asked.config])[0]):
                return asked
            self._inner.tell(asked, Outcome(None, 0.0))
        return None

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Hands it on."""
        self._inner.tell(suggestion, outcome)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class MoAsha(Asha):
    """MO-ASHA (arXiv 2106.12639): asynchronous halving by rank and epsilon-net, random configurations."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> None:
        super().__init__(space, fidelity, seed)
        self._costs = costs

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Promotes from the highest rung that has someone to promote, else draws; ahead as well."""
        del speculative
        return super().ask()

    def _best(self, rung: int) -> list[str]:
        names = list(self._results[rung])
        points = np.array([*self._results[rung].values()]).reshape(-1, 2)
        return [names[i] for i in preferred(points, points, points[:0], len(names) // self._fidelity.eta)]

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Keeps the result in its rung."""
        assert outcome.error is not None
        rung = self._fidelity.rungs.index(suggestion.epochs)
        cost = math.log(outcome.metrics[self._costs.objectives[0]])
        self._results[rung][config_id(suggestion.config)] = outcome.error, cost


class Optuna(OpponentBase):
    """One of Optuna's samplers of several objectives; every trial is a full training."""

    def __init__(self, kind: str, space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        beyond = self._beyond if costs.limits else None
        samplers: dict[str, Any] = {
            "nsga2": lambda: optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed),
            "motpe": lambda: optuna.samplers.TPESampler(seed=seed),
            "gp": lambda: optuna.samplers.GPSampler(seed=seed, constraints_func=beyond),
        }
        self._space, self._fidelity, self._costs = space, fidelity, costs
        names = costs.objectives
        self._study = optuna.create_study(
            sampler=samplers[kind](), directions=["minimize"] * (1 + len(names))
        )
        self._trial: Any = None

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Begins a trial."""
        del speculative
        self._trial = self._study.ask()
        config = {
            name: self._trial.suggest_categorical(name, list(h.choices))
            for name, h in self._space.hyperparameters.items()
        }
        return Suggestion(plain(config), self._fidelity.max_epochs, "optuna")

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Tells error and logarithms of costs."""
        del suggestion
        beyond = [math.log(outcome.metrics[n]) - math.log(limit) for n, limit in self._costs.limits.items()]
        self._trial.set_user_attr("beyond", beyond)
        logs = [math.log(outcome.metrics[name]) for name in self._costs.objectives]
        self._study.tell(self._trial, [cast("float", outcome.error), *logs])

    @staticmethod
    def _beyond(trial: Any) -> list[float]:
        return list(trial.user_attrs["beyond"])


class ParEgo(OpponentBase):
    """SMAC 2.4.1 with its ParEGO: random-forest facade, full trainings.

    Its multi-fidelity facade fails with several objectives, in the update of the incumbents.
    """

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> None:
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario

        self._scratch = tempfile.TemporaryDirectory()
        scenario = Scenario(
            space.configspace(seed),
            objectives=["error", *costs.objectives],
            output_directory=Path(self._scratch.name),
            deterministic=True,
            crash_cost=1.0,
            n_trials=500,
            seed=seed,
        )
        model = Facade.get_model(scenario)
        model._rf_opts["n_jobs"] = 1
        self._facade = Facade(
            scenario,
            _never_called,
            model=model,
            multi_objective_algorithm=Facade.get_multi_objective_algorithm(scenario),
            logging_level=False,
            overwrite=True,
        )
        self._facade.optimizer.save = lambda *_: None  # type: ignore[method-assign]  # its files are not read in a race
        self._fidelity, self._costs = fidelity, costs
        self._info: Any = None

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Asks SMAC."""
        del speculative
        self._info = self._facade.ask()
        config = self._info.config
        return Suggestion(plain(dict(config)), self._fidelity.max_epochs, str(config.origin))

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Tells SMAC."""
        del suggestion
        from smac.runhistory import StatusType, TrialValue

        logs = [math.log(outcome.metrics[name]) for name in self._costs.objectives]
        value = TrialValue(
            cost=[cast("float", outcome.error), *logs], time=outcome.seconds, status=StatusType.SUCCESS
        )
        self._facade.tell(self._info, value, save=False)


def _optuna(kind: str) -> FrontOptimizerFactory:
    def make(space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> Optimizer:
        return Optuna(kind, space, fidelity, seed, costs)

    return make


FRONT: dict[str, FrontOptimizerFactory] = {
    "ours": ours,
    "motpe": _optuna("motpe"),
    "gp": _optuna("gp"),
    "nsga2": _optuna("nsga2"),
    "parego": ParEgo,
    "mo-asha": MoAsha,
    "single": single,
    "random": random,
}
LIMITED: dict[str, FrontOptimizerFactory] = {
    "ours": ours,
    "untrained": Untrained,
    "single": single,
    "gp": _optuna("gp"),
    "random": random,
}


def make(name: str, *, limited: bool) -> FrontOptimizerFactory:
    """The opponent of a name; ``ours:setting=value,...`` is ours with other settings.

    Args:
        name: Whose.
        limited: Whether it is raced within a limit.

    Raises:
        UserError: If there is none.
    """
    known = LIMITED if limited else FRONT
    kind, _, settings = name.partition(":")
    if kind not in known or (settings and kind != "ours"):
        raise UserError(f"--opponents {name}: must be of {', '.join(known)}, or ours:setting=value")
    return changed(settings) if settings else known[name]


def changed(settings: str) -> FrontOptimizerFactory:
    """The default search with other settings, ``setting=value,...``; ``rungs=top``: the highest alone."""
    chosen, rungs_of = opponents.changed(**values(settings))

    def make(space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> Optimizer:
        return create("smac", space, rungs_of(fidelity), seed, chosen, costs=costs)

    return make
