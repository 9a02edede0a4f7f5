"""Optuna's samplers behind the protocol of the races."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.quality.opponent_base import OpponentBase
from nas.optimizers.protocol import Suggestion
from search_spaces.base import Float, Integer, plain

if TYPE_CHECKING:
    from nas.optimizers.protocol import Fidelity, Outcome
    from search_spaces.base import Parameter, SearchSpace, Value


class OptunaTpe(OpponentBase):
    """Optuna's TPE (arXiv 2304.11127) with its Hyperband pruner: rungs are reported, most trials pruned."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._space = space
        self._rungs = self._rungs_of(fidelity)
        pruner = (
            optuna.pruners.HyperbandPruner(self._rungs[0], self._rungs[-1], fidelity.eta)
            if len(self._rungs) > 1
            else optuna.pruners.NopPruner()
        )
        # Hyperband draws a trial's bracket from the name of its study, which would be random
        self._study = optuna.create_study(
            sampler=self._sampler(seed), pruner=pruner, study_name=f"race of seed {seed}"
        )
        self._trial: Any = None
        self._next: Suggestion | None = None

    def _rungs_of(self, fidelity: Fidelity) -> tuple[int, ...]:
        return fidelity.rungs

    def _sampler(self, seed: int) -> Any:
        return self._optuna.samplers.TPESampler(seed=seed)

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Goes on with the trial that was not pruned, else begins one."""
        if speculative:
            return None
        if self._next is not None:
            return self._next
        self._trial = self._study.ask()
        config = {name: suggested(self._trial, h) for name, h in self._space.hyperparameters.items()}
        return Suggestion(plain(config), self._rungs[0], "optuna")

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Reports a rung."""
        states = self._optuna.trial.TrialState
        self._next = None
        if outcome.error is None:
            self._study.tell(self._trial, state=states.FAIL)
            return
        self._trial.report(outcome.error, suggestion.epochs)
        if suggestion.epochs == self._rungs[-1]:
            self._study.tell(self._trial, outcome.error)
        elif self._trial.should_prune():
            self._study.tell(self._trial, state=states.PRUNED)
        else:
            above = self._rungs[self._rungs.index(suggestion.epochs) + 1]
            self._next = Suggestion(suggestion.config, above, "promotion")


class OptunaGp(OptunaTpe):
    """Optuna's Gaussian process, with full trainings only: it learns from trials that were not pruned."""

    def _rungs_of(self, fidelity: Fidelity) -> tuple[int, ...]:
        return (fidelity.max_epochs,)

    def _sampler(self, seed: int) -> Any:
        import warnings

        warnings.filterwarnings("ignore", category=self._optuna.exceptions.ExperimentalWarning)
        return self._optuna.samplers.GPSampler(seed=seed)


def suggested(trial: Any, parameter: Parameter) -> Value:
    """A value of a hyperparameter, as Optuna's users would ask for it; ordered choices by their number."""
    name: str = parameter.name
    if isinstance(parameter, Float):
        return float(trial.suggest_float(name, parameter.lower, parameter.upper, log=parameter.log))
    if isinstance(parameter, Integer):
        return int(trial.suggest_int(name, parameter.lower, parameter.upper, log=parameter.log))
    if parameter.ordinal:
        return parameter.choices[trial.suggest_int(name, 0, len(parameter.choices) - 1)]
    chosen: Value = trial.suggest_categorical(name, list(parameter.choices))
    return chosen
