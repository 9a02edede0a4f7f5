"""Any ConfigSpace in Optuna: each configuration goes there and comes back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from ConfigSpace import (
    AndConjunction,
    Categorical,
    CategoricalHyperparameter,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenEqualsClause,
    InCondition,
    Integer,
    NotEqualsCondition,
    OrConjunction,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

import search_spaces
from analysis.studies import distributions
from nas.util.errors import UserError
from search_spaces.base import plain

CHOICES = st.one_of(
    st.lists(st.integers(-9, 9), min_size=2, max_size=4, unique=True),
    st.lists(st.sampled_from(["relu", "gelu", "1", "12", "True", "né"]), min_size=2, max_size=4, unique=True),
    st.lists(st.sampled_from([0.1, 1e-9, 1 / 3, 2.5e7]), min_size=2, max_size=4, unique=True),
    st.permutations([True, False]),
    st.permutations(["auto", 3, 0.5, False]),  # no space of ours mixes types, a ConfigSpace may
)


@st.composite
def spaces(draw: Any) -> ConfigurationSpace:
    """Up to six hyperparameters of any kind, of which any may hang on one or two before it; one clause."""
    space = ConfigurationSpace(name="any", seed=draw(st.integers(0, 2**16)))
    parents: list[Any] = []
    for number in range(draw(st.integers(1, 6))):
        hp = draw(hyperparameters(f"h{number}"))
        space.add(hp)
        over = st.just([])
        if parents:
            over = st.lists(st.sampled_from(parents), max_size=2, unique_by=lambda h: h.name)
        how = draw(st.sampled_from([EqualsCondition, NotEqualsCondition]))
        hangs = [how(hp, one, one.default_value) for one in draw(over)]
        if len(hangs) == 2:
            hangs = [draw(st.sampled_from([AndConjunction, OrConjunction]))(*hangs)]
        if hangs:
            space.add(hangs[0])
        elif isinstance(hp, CategoricalHyperparameter):
            parents.append(hp)
    if parents and draw(st.booleans()):
        worst = next(choice for choice in parents[0].choices if choice != parents[0].default_value)
        space.add(ForbiddenEqualsClause(parents[0], worst))
    return space


@st.composite
def hyperparameters(draw: Any, name: str) -> Any:
    match draw(st.sampled_from(["float", "integer", "categorical", "ordinal", "constant"])):
        case "float":
            log = draw(st.booleans())
            low = draw(st.floats(1e-8, 10) if log else st.floats(-1e4, 1e4))
            return Float(name, (low, low + draw(st.floats(0.01, 1e5))), log=log)
        case "integer":
            log = draw(st.booleans())
            low = draw(st.integers(1, 50) if log else st.integers(-500, 500))
            return Integer(name, (low, low + draw(st.integers(1, 2000))), log=log)
        case "constant":
            return Constant(name, draw(st.sampled_from([1, 0.5, "same", True])))
        case kind:
            return Categorical(name, draw(CHOICES), ordered=kind == "ordinal")


@given(spaces())
@settings(max_examples=150)
def test_every_configuration_goes_there_and_comes_back(space: ConfigurationSpace) -> None:
    written = orjson.loads(orjson.dumps(space.to_serialized_dict()))
    found = distributions.of(written)
    assert list(found) == [hp["name"] for hp in written["hyperparameters"]]
    for configuration in [space.get_default_configuration(), *space.sample_configuration(8)]:
        journaled = orjson.loads(orjson.dumps(plain(dict(configuration))))
        given = distributions.params(journaled, found)
        assert set(given) == set(journaled), "what is inactive is missing, and nothing else is"
        for name, value in given.items():
            stored = json_to_distribution(distribution_to_json(found[name]))
            internal = stored.to_internal_repr(value)
            assert stored._contains(internal)
            back = stored.to_external_repr(internal)
            assert back == journaled[name]
            assert type(back) is type(journaled[name])


def test_the_kinds_keep_what_optuna_knows_of_them() -> None:
    space = ConfigurationSpace(name="all")
    lr = Float("lr", (1e-4, 1e-1), log=True)
    space.add(lr, Integer("depth", (2, 9)), Categorical("pool", ["max", "mean"]), Constant("stem", "conv"))
    space.add(Categorical("kernel", [3, 5, 7], ordered=True))
    space.add(InCondition(space["kernel"], space["pool"], ["max"]))
    assert distributions.of(space.to_serialized_dict()) == {
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "depth": IntDistribution(2, 9),
        "pool": CategoricalDistribution(["max", "mean"]),
        "stem": CategoricalDistribution(["conv"]),
        "kernel": CategoricalDistribution([3, 5, 7]),
    }


@pytest.mark.parametrize("name", search_spaces.names())
def test_the_spaces_that_come_with_the_program(name: str) -> None:
    space = search_spaces.get(name)
    found = distributions.of(space.configspace().to_serialized_dict())
    for config in [space.default, *space.sample(20, seed=0)]:
        given = distributions.params(config, found)
        assert given == config
        assert all(found[key]._contains(found[key].to_internal_repr(value)) for key, value in given.items())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"hyperparameters": [{"name": "x", "type": "beta"}]}'])
def test_what_is_no_space_is_one_line(text: str, tmp_path: Any) -> None:
    path = tmp_path / "configspace.json"
    path.write_text(text)
    with pytest.raises(UserError, match="configspace.json: not readable") as error:
        distributions.read(path)
    assert "\n" not in str(error.value)
