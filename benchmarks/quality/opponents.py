"""The optimisers that race: ours, parts of ours switched off, and others' behind the same protocol."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nas.optimizers import create
from nas.optimizers.protocol import Suggestion
from nas.optimizers.settings import OptimizerSettings
from nas.util.errors import UserError
from search_spaces.base import config_id, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nas.optimizers.protocol import Fidelity, Optimizer, Outcome
    from search_spaces.base import Config, SearchSpace


class Maker(Protocol):
    """Makes an optimiser that has seen nothing."""

    def __call__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        """Makes it."""
        ...


def ours(name: str = "smac", **settings: Any) -> Maker:
    """One of ``nas.search``'s own optimisers, with other settings."""

    def make(space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        return create(name, space, fidelity, seed, replace(OptimizerSettings(), **settings))

    return make


class _Other:
    """What the others' wrappers share. The race neither resumes nor runs trials in parallel."""

    def replay(self, suggestion: Suggestion) -> None:
        """Not needed in a race."""
        raise NotImplementedError

    def promotable(self) -> set[str]:
        """Checkpoints are simulated."""
        return set()

    def save(self, folder: Path) -> None:
        """Nothing to save."""


class Asha(_Other):
    """Asynchronous successive halving (arXiv 1810.05934), algorithm 2, random configurations."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        self._fidelity = fidelity
        self._configs = _drawn(space, seed)
        self._results: list[dict[str, float]] = [{} for _ in fidelity.rungs]
        self._promoted: list[set[str]] = [set() for _ in fidelity.rungs]
        self._known: dict[str, Config] = {}

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Promotes from the highest rung that has someone to promote, else draws."""
        if speculative:
            return None
        rungs = self._fidelity.rungs
        for k in reversed(range(len(rungs) - 1)):
            done = self._results[k]
            best = sorted(done, key=lambda name: done[name])[: len(done) // self._fidelity.eta]
            for name in best:
                if name not in self._promoted[k]:
                    self._promoted[k].add(name)
                    return Suggestion(self._known[name], rungs[k + 1], "promotion")
        config = next(self._configs, None)
        if config is None:
            return None
        self._known[config_id(config)] = config
        return Suggestion(config, rungs[0], "random")

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Keeps the result in its rung."""
        rung = self._fidelity.rungs.index(suggestion.epochs)
        error = math.inf if outcome.error is None else outcome.error
        self._results[rung][config_id(suggestion.config)] = error


def _drawn(space: SearchSpace, seed: int) -> Iterator[Config]:
    """All configurations in random order, a few at a time."""
    done, n = 0, 64
    while done < space.size:
        configs = space.sample(n, seed)
        yield from configs[done:]
        done, n = len(configs), 2 * n


class OptunaTpe(_Other):
    """Optuna's TPE with its Hyperband pruner; every rung is reported, most trials are pruned."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._space, self._fidelity = space, fidelity
        rungs = fidelity.rungs
        pruner = (
            optuna.pruners.HyperbandPruner(rungs[0], rungs[-1], fidelity.eta)
            if len(rungs) > 1
            else optuna.pruners.NopPruner()
        )
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
        self._trial: Any = None
        self._next: Suggestion | None = None

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Goes on with the trial that was not pruned, else begins one."""
        if speculative:
            return None
        if self._next is not None:
            return self._next
        self._trial = self._study.ask()
        config = {
            name: self._trial.suggest_categorical(name, list(h.choices))
            for name, h in self._space.hyperparameters.items()
        }
        return Suggestion(plain(config), self._fidelity.rungs[0], "tpe")

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Reports a rung."""
        states = self._optuna.trial.TrialState
        self._next = None
        if outcome.error is None:
            self._study.tell(self._trial, state=states.FAIL)
            return
        self._trial.report(outcome.error, suggestion.epochs)
        rungs = self._fidelity.rungs
        if suggestion.epochs == rungs[-1]:
            self._study.tell(self._trial, outcome.error)
        elif self._trial.should_prune():
            self._study.tell(self._trial, state=states.PRUNED)
        else:
            above = rungs[rungs.index(suggestion.epochs) + 1]
            self._next = Suggestion(suggestion.config, above, "promotion")


def _never_called(config: Any, seed: int = 0, budget: float = 0) -> float:
    """SMAC reads the signature only: it is asked and told."""
    raise NotImplementedError(config, seed, budget)


class StockSmac(_Other):
    """SMAC's own facade with its defaults: multi-fidelity, or random-forest BO where there is one rung.

    Only what does not change what it proposes is set: one job for its forest (all cores by default), no
    limit on trials within the race, a finite crash cost.
    """

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        from smac import HyperparameterOptimizationFacade, MultiFidelityFacade, Scenario

        self._scratch = tempfile.TemporaryDirectory()
        several = len(fidelity.rungs) > 1
        scenario = Scenario(
            space.configspace(seed),
            output_directory=Path(self._scratch.name),
            deterministic=True,
            crash_cost=1.0,
            n_trials=500,
            seed=seed,
            **({"min_budget": fidelity.min_epochs, "max_budget": fidelity.max_epochs} if several else {}),
        )
        facade = MultiFidelityFacade if several else HyperparameterOptimizationFacade
        model = facade.get_model(scenario)
        model._n_jobs = 1
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
        self._facade.optimizer.save = lambda *_: None  # its files are not read in a race
        self._fidelity = fidelity
        self._asked: dict[tuple[str, int], Any] = {}

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Asks SMAC."""
        if speculative:
            return None
        info = self._facade.ask()
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


class Dehb(_Other):
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


OPPONENTS: dict[str, Maker] = {
    "ours": ours(),
    "smac": StockSmac,
    "tpe": OptunaTpe,
    "dehb": Dehb,
    "asha": Asha,
    "halving": ours(random_probability=1.0, initial_configs=0),
    "hyperband": ours("hyperband", initial_configs=0),
    "random": ours("random"),
}


def make(name: str) -> Maker:
    """The opponent of a name; ``ours:setting=value,...`` is ours with other settings.

    Raises:
        UserError: If there is none.
    """
    kind, _, settings = name.partition(":")
    if kind not in OPPONENTS or (settings and kind != "ours"):
        raise UserError(f"--opponents {name}: must be of {', '.join(OPPONENTS)}, or ours:setting=value")
    if not settings:
        return OPPONENTS[kind]
    values = dict(part.split("=", 1) for part in settings.split(","))
    return ours(**{key: _value(text) for key, text in values.items()})


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
