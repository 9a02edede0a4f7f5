"""PriorBand as an opponent: what NePS is told, and whose random numbers it draws.

NePS is not among the tests' packages, so that a stand-in takes its place here; where it is installed,
test_quality races the real one.
"""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.quality.priorband import PriorBand
from nas.optimizers.protocol import Fidelity, Outcome
from nas.util.errors import UserError
from search_spaces.base import Float, Hyperparameter, Integer, SearchSpace


class Mixed(SearchSpace):
    """A hyperparameter of each kind."""

    hyperparameters = (
        Hyperparameter("bias", (False, True), default=True),
        Hyperparameter("kernel", (3, 5, 7), default=5, ordinal=True),
        Integer("depth", 1, 8, default=2),
        Float("lr", 1e-4, 1e-1, default=1e-2, log=True),
    )

    def build(self, config: Any, num_classes: int) -> Any:
        raise NotImplementedError


@dataclass
class HPOFloat:
    lower: float
    upper: float
    log: bool = False
    prior: float | None = None
    is_fidelity: bool = False

    def drawn(self) -> float:
        return self.lower + (self.upper - self.lower) * np.random.rand()


class HPOInteger(HPOFloat):
    def drawn(self) -> int:
        return round(super().drawn())


@dataclass
class HPOCategorical:
    choices: list[int]
    prior: int | None = None

    def drawn(self) -> int:
        return self.choices[int(torch.randint(len(self.choices), ()))]


@dataclass
class AskAndTell:
    """Random configurations at random fidelities."""

    elements: dict[str, Any]
    told: list[tuple[Any, Any]] = field(default_factory=list)
    ids: Any = field(default_factory=count)

    def ask(self) -> Any:
        config = {name: one.drawn() for name, one in self.elements.items()}
        return types.SimpleNamespace(config=config, id=next(self.ids))

    def tell(self, trial: Any, result: Any) -> None:
        self.told.append((trial.id, result))


@pytest.fixture
def neps(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Takes the place of NePS; gives the arguments of each PriorBand that is made."""
    made: list[dict[str, Any]] = []

    def priorband(space: dict[str, Any], **settings: Any) -> dict[str, Any]:
        made.append({"space": space, **settings})
        return space

    parameters = {one.__name__: one for one in (HPOFloat, HPOInteger, HPOCategorical)}
    modules: dict[str, dict[str, Any]] = {
        "neps": {"AskAndTell": AskAndTell},
        "neps.optimizers": {},
        "neps.optimizers.algorithms": {"priorband": priorband},
        "neps.space": {"SearchSpace": dict},
        "neps.space.parameters": parameters,
    }
    for name, members in modules.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return made


def asked(optimizer: PriorBand, n: int) -> list[tuple[Any, int]]:
    suggestions = [optimizer.ask() for _ in range(n)]
    return [(one.config, one.epochs) for one in suggestions if one is not None]


def test_neps_gets_the_space_with_the_baseline_as_prior(neps: list[dict[str, Any]]) -> None:
    PriorBand(Mixed(), Fidelity(2, 18, 3), 0)
    space = neps[0].pop("space")
    assert neps[0] == {"eta": 3, "sample_prior_first": True}
    epochs = space.pop("epochs of the trial")
    assert space == {
        "bias": HPOCategorical([0, 1], prior=1),
        "kernel": HPOInteger(0, 2, prior=1),
        "depth": HPOInteger(1, 8, prior=2),
        "lr": HPOFloat(1e-4, 1e-1, log=True, prior=1e-2),
    }
    assert epochs.is_fidelity
    assert epochs.upper == 18
    assert 18 / 3**3 < epochs.lower < 2  # three rungs, and no fourth


@pytest.mark.parametrize("rungs", [(2, 6, 18), (18,)])
def test_what_it_suggests_is_a_configuration_at_a_rung(
    rungs: tuple[int, ...], neps: list[dict[str, Any]]
) -> None:
    space = Mixed()
    suggested = asked(PriorBand(space, Fidelity(rungs[0], 18, 3), 0), 50)
    for config, _ in suggested:
        assert space.validate(config) == config
    assert {epochs for _, epochs in suggested} == set(rungs)
    assert {config["bias"] for config, _ in suggested} == {False, True}
    assert {config["kernel"] for config, _ in suggested} == {3, 5, 7}


def test_equal_seeds_suggest_the_same_whatever_else_is_drawn(neps: list[dict[str, Any]]) -> None:
    one, other, third = (PriorBand(Mixed(), Fidelity(2, 18, 3), seed) for seed in (1, 1, 2))
    assert asked(one, 5) == asked(other, 5) != asked(third, 5)
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index, union-attr]
    first = asked(one, 5)
    assert before == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index, union-attr]
    np.random.rand(3)
    torch.rand(3)
    assert asked(other, 5) == first
    assert first != asked(one, 5)


def test_a_crash_is_told_as_one(neps: list[dict[str, Any]]) -> None:
    optimizer = PriorBand(Mixed(), Fidelity(2, 18, 3), 0)
    for error in (0.25, None):
        suggestion = optimizer.ask()
        assert suggestion is not None
        optimizer.tell(suggestion, Outcome(error, 1.0, 0.0, 1.0))
    (first, good), (second, crash) = optimizer._neps.told
    assert (first, good, second) == (0, 0.25, 1)
    assert isinstance(crash, RuntimeError)


def test_without_neps_it_is_said_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neps", None)
    with pytest.raises(UserError, match="priorband: not installed; run: uv pip install --no-deps neural-pip"):
        PriorBand(Mixed(), Fidelity(2, 18, 3), 0)
