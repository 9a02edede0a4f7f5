"""The optimisers that race: ours, parts of ours switched off, and others' behind the same protocol."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.quality.neighbours import Evolution, LocalSearch
from benchmarks.quality.opponent_base import OpponentBase, drawn, with_repeat_limit
from benchmarks.quality.optuna_samplers import OptunaGp, OptunaTpe
from benchmarks.quality.priorband import PriorBand
from nas.optimizers import create
from nas.optimizers.protocol import Suggestion
from nas.optimizers.settings import OptimizerSettings
from nas.util.errors import UserError
from search_spaces.base import config_id, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.quality.opponent_base import OptimizerFactory
    from nas.optimizers.protocol import Fidelity, Optimizer, Outcome
    from search_spaces.base import Config, SearchSpace


def ours(
    name: str = "smac", *, rungs: Literal["learnt", "all", "top"] = "learnt", **settings: Any
) -> OptimizerFactory:
    """One of ``nas.search``'s own optimisers, with other settings.

    Args:
        name: Which.
        rungs: As the setting; ``top``: the highest alone.
        **settings: Others.
    """

    def make(space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        chosen, rungs_of = changed(rungs=rungs, **settings)
        return create(name, space, rungs_of(fidelity), seed, chosen)

    return make


def changed(
    *, rungs: Literal["learnt", "all", "top"] = "learnt", **settings: Any
) -> tuple[OptimizerSettings, Callable[[Fidelity], Fidelity]]:
    """Settings as :func:`ours` takes them, for the optimiser, and which rungs of a problem's it is given."""
    if rungs != "top":
        return OptimizerSettings(rungs=rungs, **settings), lambda fidelity: fidelity
    return OptimizerSettings(**settings), lambda fidelity: replace(fidelity, min_epochs=fidelity.max_epochs)


class Asha(OpponentBase):
    """Asynchronous successive halving (arXiv 1810.05934), algorithm 2, random configurations."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        self._fidelity = fidelity
        self._configs = drawn(space, seed)
        self._results: list[dict[str, Any]] = [{} for _ in fidelity.rungs]
        self._promoted: list[set[str]] = [set() for _ in fidelity.rungs]
        self._known: dict[str, Config] = {}

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Promotes from the highest rung that has someone to promote, else draws."""
        if speculative:
            return None
        rungs = self._fidelity.rungs
        for k in reversed(range(len(rungs) - 1)):
            for name in self._best(k):
                if name not in self._promoted[k]:
                    self._promoted[k].add(name)
                    return Suggestion(self._known[name], rungs[k + 1], "promotion")
        config = next(self._configs, None)
        if config is None:
            return None
        self._known[config_id(config)] = config
        return Suggestion(config, rungs[0], "random")

    def _best(self, rung: int) -> list[str]:
        """One in eta of a rung's configurations, the best first."""
        done = self._results[rung]
        return sorted(done, key=lambda name: done[name])[: len(done) // self._fidelity.eta]

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Keeps the result in its rung."""
        rung = self._fidelity.rungs.index(suggestion.epochs)
        error = math.inf if outcome.error is None else outcome.error
        self._results[rung][config_id(suggestion.config)] = error


_LENGTH = 80.0  # full evaluations of a race
_TRIALS = 6.25  # in the time of a full evaluation, with rungs of 2, 6 and 18 epochs


def _never_called(config: Any, seed: int = 0, budget: float = 0) -> float:
    """SMAC reads the signature only: it is asked and told."""
    raise NotImplementedError(config, seed, budget)


class StockSmac(OpponentBase):
    """SMAC's own facade with its defaults: multi-fidelity, or random-forest BO where there is one rung.

    Only what does not change what it proposes is set: one job for its forest (all cores by default) and a
    finite crash cost; and how many trials there will be, as its users say it: its initial design takes a
    quarter of them, or ten for each hyperparameter.
    """

    def __init__(
        self, space: SearchSpace, fidelity: Fidelity, seed: int, evaluations: float = _LENGTH
    ) -> None:
        from smac import HyperparameterOptimizationFacade, MultiFidelityFacade, Scenario

        self._scratch = tempfile.TemporaryDirectory()
        several = len(fidelity.rungs) > 1
        rungs: dict[str, Any] = {}
        if several:
            rungs = {"min_budget": fidelity.min_epochs, "max_budget": fidelity.max_epochs}
        scenario = Scenario(
            space.configspace(seed),
            output_directory=Path(self._scratch.name),
            deterministic=True,
            crash_cost=1.0,
            n_trials=round(evaluations * (_TRIALS if several else 1)),
            seed=seed,
            **rungs,
        )
        facade = MultiFidelityFacade if several else HyperparameterOptimizationFacade
        model = facade.get_model(scenario)
        model._rf_opts["n_jobs"] = 1
        intensifier: dict[str, Any] = {}
        if several:
            intensifier["intensifier"] = MultiFidelityFacade.get_intensifier(scenario, eta=fidelity.eta)
        self._facade = facade(
            scenario,
            _never_called,
            model=model,
            logging_level=False,
            overwrite=True,
            **intensifier,
        )
        self._facade.optimizer.save = lambda *_: None  # type: ignore[method-assign]  # its files are not read in a race
        self._fidelity = fidelity
        self._asked: dict[tuple[str, int], Any] = {}

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Asks SMAC."""
        if speculative:
            return None
        from smac.main.exceptions import ConfigurationSpaceExhaustedException

        try:
            info = self._facade.ask()
        except ConfigurationSpaceExhaustedException:
            return None
        epochs = self._fidelity.max_epochs if info.budget is None else round(info.budget)
        suggestion = Suggestion(plain(dict(info.config)), epochs, str(info.config.origin))
        self._asked[config_id(suggestion.config), epochs] = info
        return suggestion

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Tells SMAC."""
        from smac.runhistory import StatusType, TrialValue

        crashed = outcome.error is None
        cost = 1.0 if outcome.error is None else outcome.error
        status = StatusType.CRASHED if crashed else StatusType.SUCCESS
        value = TrialValue(cost=cost, time=outcome.seconds, status=status)
        self._facade.tell(
            self._asked.pop((config_id(suggestion.config), suggestion.epochs)), value, save=False
        )


class Dehb(OpponentBase):
    """DEHB (arXiv 2105.09821) through its own ask and tell."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        try:
            from dehb import DEHB
        except ImportError:
            raise UserError("dehb: not installed; run: uv pip install --no-deps dehb loguru") from None
        from loguru import logger

        logger.remove()
        self._scratch = tempfile.TemporaryDirectory()
        self._fidelity = fidelity
        rungs = fidelity.rungs
        self._dehb = DEHB(
            f=None,
            cs=space.configspace(seed),
            min_fidelity=rungs[0] if len(rungs) > 1 else rungs[-1] / fidelity.eta,
            max_fidelity=rungs[-1],
            eta=fidelity.eta,
            n_workers=1,
            seed=seed,
            output_path=self._scratch.name,
            save_freq="end",
        )
        self._job: Any = None

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Asks DEHB."""
        if speculative:
            return None
        self._job = self._dehb.ask()
        config = plain(dict(self._job["config"]))
        rungs = self._fidelity.rungs
        epochs = min(rungs, key=lambda rung: abs(rung - self._job["fidelity"]))
        return Suggestion(config, epochs, "dehb")

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Tells DEHB."""
        fitness = 1.0 if outcome.error is None else outcome.error
        del suggestion  # DEHB knows its job
        self._dehb.tell(self._job, {"fitness": fitness, "cost": outcome.seconds})


OPPONENTS: dict[str, OptimizerFactory] = {
    "ours": ours(),
    "smac": with_repeat_limit(StockSmac),
    "tpe": with_repeat_limit(OptunaTpe),
    "gp": with_repeat_limit(OptunaGp),
    "dehb": with_repeat_limit(Dehb),
    "priorband": with_repeat_limit(PriorBand),
    "asha": with_repeat_limit(Asha),
    "local": with_repeat_limit(LocalSearch),
    "evolution": with_repeat_limit(Evolution),
    "halving": ours(random_probability=1.0, initial_configs=0),
    "hyperband": ours("hyperband", initial_configs=0),
    "random": ours("random"),
}


PLANNING = "smac"  # it alone is told the length of a race


def make(name: str, evaluations: float = _LENGTH) -> OptimizerFactory:
    """The opponent of a name; ``ours:setting=value,...`` is ours with other settings.

    Args:
        name: Whose.
        evaluations: Length of the race, for those that plan by it.

    Raises:
        UserError: If there is none.
    """
    kind, _, settings = name.partition(":")
    if kind not in OPPONENTS or (settings and kind != "ours"):
        raise UserError(f"--opponents {name}: must be of {', '.join(OPPONENTS)}, or ours:setting=value")
    if kind == PLANNING:
        return with_repeat_limit(partial(StockSmac, evaluations=evaluations))
    if not settings:
        return OPPONENTS[kind]
    return ours(**values(settings))


def values(settings: str) -> dict[str, Any]:
    """Settings written ``setting=value,...``."""
    texts = dict(part.split("=", 1) for part in settings.split(","))
    return {key: _value(text) for key, text in texts.items()}


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
