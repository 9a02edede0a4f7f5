"""PriorBand of NePS behind the protocol of the races."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.quality.opponent_base import OpponentBase
from nas.optimizers.protocol import Suggestion
from nas.util.errors import UserError
from search_spaces.base import Float, Integer, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nas.optimizers.protocol import Fidelity, Outcome
    from search_spaces.base import Config, Parameter, SearchSpace, Value

_FIDELITY = "epochs of the trial"  # no hyperparameter's name: those are identifiers
_INSTALL = (
    "uv pip install --no-deps neural-pipeline-search==0.17.0 botorch==0.12.0 gpytorch==1.13 "
    "linear-operator==0.5.3 jaxtyping==0.2.19 multipledispatch opt-einsum pyro-ppl ifbo submitit portalocker "
    "seaborn"
)


class PriorBand(OpponentBase):
    """PriorBand (arXiv 2306.12370) through NePS's ask and tell, with its defaults; the prior is the baseline.

    The baseline is the first that it samples: every race has trained it before. With one rung it has a second
    one below, as DEHB does, where trainings are as long: without, it never samples round its incumbent.
    """

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        try:
            from neps import AskAndTell
            from neps.optimizers.algorithms import priorband
            from neps.space import SearchSpace as NepsSpace
            from neps.space.parameters import HPOFloat
        except ImportError:
            raise UserError(f"priorband: not installed; run: {_INSTALL}") from None

        self._generators = _Generators(seed)
        self._space = space
        self._rungs = rungs = fidelity.rungs
        low = rungs[0] if len(rungs) > 1 else rungs[0] / fidelity.eta
        elements = {name: _element(h, space.default[name]) for name, h in space.hyperparameters.items()}
        # A little lower, as the number of rungs is the floor of a logarithm.
        elements[_FIDELITY] = HPOFloat(low * 0.999, rungs[-1], is_fidelity=True)
        self._neps = AskAndTell(priorband(NepsSpace(elements), eta=fidelity.eta, sample_prior_first=True))
        self._trial: Any = None

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Asks NePS."""
        if speculative:
            return None
        with self._generators.own():
            self._trial = self._neps.ask()
        values = dict(self._trial.config)
        epochs = values.pop(_FIDELITY)
        nearest = min(self._rungs, key=lambda rung: abs(rung - epochs))
        return Suggestion(self._config(values), nearest, "priorband")

    def _config(self, values: dict[str, Any]) -> Config:
        return plain({name: _value(h, values[name]) for name, h in self._space.hyperparameters.items()})

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Tells NePS."""
        del suggestion  # NePS knows its trial
        failed = RuntimeError("crashed")
        self._neps.tell(self._trial, failed if outcome.error is None else float(outcome.error))


def _element(parameter: Parameter, default: Value) -> Any:
    """A hyperparameter as NePS has it, with its prior; choices by their number, whatever their type."""
    from neps.space.parameters import HPOCategorical, HPOFloat, HPOInteger

    if isinstance(parameter, Float):
        return HPOFloat(parameter.lower, parameter.upper, log=parameter.log, prior=default)
    if isinstance(parameter, Integer):
        return HPOInteger(parameter.lower, parameter.upper, log=parameter.log, prior=default)
    prior = parameter.choices.index(default)
    if parameter.ordinal:
        return HPOInteger(0, len(parameter.choices) - 1, prior=prior)
    return HPOCategorical(list(range(len(parameter.choices))), prior=prior)


def _value(parameter: Parameter, value: Any) -> Value:
    if isinstance(parameter, Float):
        return float(value)
    return int(value) if isinstance(parameter, Integer) else parameter.choices[int(value)]


class _Generators:
    """States of numpy's and torch's global generators for NePS alone: it draws from both and takes no seed.

    Args:
        seed: Of both.
    """

    def __init__(self, seed: int) -> None:
        import torch

        self._numpy: Any = np.random.RandomState(seed % 2**32).get_state()
        self._torch = torch.Generator().manual_seed(seed).get_state()

    @contextmanager
    def own(self) -> Iterator[None]:
        """The global generators are those of this object for a while."""
        import torch

        outside: Any = np.random.get_state()
        with torch.random.fork_rng(devices=[]):
            np.random.set_state(self._numpy)
            torch.set_rng_state(self._torch)
            try:
                yield
            finally:
                self._numpy, self._torch = np.random.get_state(), torch.get_rng_state()
                np.random.set_state(outside)
