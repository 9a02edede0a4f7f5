"""What every registered search space must keep."""

import json
import math
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

import search_spaces
from nas.util.counts import count
from nas.util.errors import UserError
from search_spaces import registry
from search_spaces.base import config_id
from search_spaces.configspaces import read
from search_spaces.ends import completed, corners, find

CLASSES = 7


EXAMPLE = str(Path(search_spaces.__file__).with_name("example.py"))
MOST = 200_000  # configurations to list


@pytest.fixture(params=[*search_spaces.names(), "toy", EXAMPLE])
def space(request, monkeypatch):
    if request.param == "toy":
        monkeypatch.setattr(registry, "_TARGETS", dict(registry._TARGETS))
        monkeypatch.syspath_prepend(str(Path(__file__).parent))
        search_spaces.register("toy", "toy_space:ToySpace")
    return search_spaces.get(request.param)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def geometry(space):
    return space.reduced(min(space.presets.values(), default=0))


def build(space, config, geometry, seed=0):
    torch.manual_seed(seed)
    return space.network(config, geometry, CLASSES)


def values(hp):
    """All choices, or the ends of a range."""
    return hp.choices or (hp.lower, hp.upper)


def some_training_later(model):
    """Fresh weights can hide a choice: a branch that layer scale begins with at 1e-6, even attention."""
    noise = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=noise) / 4
    return model.train()


def images(count=4, seed=0):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_the_default_is_a_valid_named_point(space):
    assert space.validate(space.default) == space.default
    assert space.default in space.points.values()
    for hp in space.hyperparameters.values():
        assert hp.canonical(hp.default) == hp.default


def test_every_point_is_canonical_and_has_a_cost(space, geometry):
    ends = find(space, geometry, CLASSES, 3, 32)
    costs = {name: count(build(space, config, geometry), 32).macs for name, config in ends.items()}
    assert 0 < costs["cheapest"] < costs["costliest"]
    for point in space.points.values():
        assert space.validate(point) == point


def test_the_size_is_the_number_of_distinct_configurations(space):
    if space.size <= MOST:
        assert space.size == len({config_id(config) for config in space.enumerate()})
    elif space.rules is None:
        assert space.size == math.prod(hp.size for hp in space.hyperparameters.values())


def test_samples_are_distinct_valid_seeded_and_prefixes_of_longer_ones(space):
    sample = space.sample(40, seed=3)
    assert len({config_id(config) for config in sample}) == len(sample) == min(40, space.size)
    assert all(space.validate(config) == config for config in sample)
    assert sample == space.sample(40, seed=3) == space.sample(60, seed=3)[:40]
    assert sample != space.sample(40, seed=4)


def test_samples_reach_every_choice(space):
    sample = space.sample(300, seed=0)
    for hp in space.hyperparameters.values():
        drawn = {config[hp.name] for config in sample if hp.name in config}
        if hp.choices:
            assert drawn == set(hp.choices)
        else:
            assert hp.lower <= min(drawn) < max(drawn) <= hp.upper


def test_json_round_trip(space):
    for config in [*space.points.values(), *space.sample(20, seed=1)]:
        again = space.validate(json.loads(json.dumps(config)))
        assert again == config
        assert {key: type(value) for key, value in again.items()} == {k: type(v) for k, v in config.items()}
        assert config_id(again) == config_id(config)


def test_configspace_agrees(space):
    configspace = space.configspace(seed=1)
    assert set(configspace) == set(space.hyperparameters)
    assert space.validate(configspace.get_default_configuration()) == space.default
    for name, hp in space.hyperparameters.items():
        again = read(configspace)[name]
        assert again.identity() == hp.identity()
        assert (again.meaning, again.source) == (hp.meaning, hp.source)
    drawn = [space.validate(config) for config in configspace.sample_configuration(20)]
    assert drawn == [space.validate(config) for config in space.configspace(seed=1).sample_configuration(20)]
    for config in drawn:
        json.dumps(config)


def test_values_are_completed_to_a_configuration(space):
    assert completed(space, {}) == space.default
    for config in space.sample(10, seed=8):
        assert completed(space, config) == config
    name = next(iter(space.hyperparameters))
    with pytest.raises(UserError, match=name):
        completed(space, {name: "no-such-choice"})
    with pytest.raises(UserError, match="colour"):
        completed(space, {"colour": 1})


def test_corners_reach_every_choice_where_it_has_a_place(space):
    reached = {hp.name: set() for hp in space.hyperparameters.values()}
    for label, config in corners(space):
        assert space.validate(config) == config, label
        for name, value in config.items():
            reached[name].add(value)
    for hp in space.hyperparameters.values():
        assert set(values(hp)) <= reached[hp.name]


@pytest.mark.parametrize("damage", ["missing", "unknown", "value", "type", "list", "not_an_object"])
def test_bad_configurations_are_named_in_one_line(space, damage):
    name, hp = next(iter(space.hyperparameters.items()))
    config = space.default
    if damage == "missing":
        del config[name]
    elif damage == "unknown":
        name = "colour"
        config[name] = 1
    elif damage == "not_an_object":
        config = [1, 2]
    else:
        config[name] = {"value": "no-such-choice", "type": [str(hp.default)], "list": [hp.default]}[damage]
    with pytest.raises(UserError) as caught:
        space.validate(config)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_boolean_is_no_number(space):
    for hp in space.hyperparameters.values():
        for choice in hp.choices:
            if isinstance(choice, bool):
                with pytest.raises(UserError, match=f"{hp.name}: must be one of false, true"):
                    space.validate({**space.default, hp.name: int(choice)})


def test_changes_lists_exactly_the_differences(space):
    assert space.changes(space.default) == []
    for config in space.sample(10, seed=2):
        patched = space.default
        for name, base, value in space.changes(config):
            assert patched.get(name) == base != value
            patched[name] = value
        assert {name: value for name, value in patched.items() if value is not None} == config


def test_the_fingerprint_stays_and_follows_every_choice(space, monkeypatch):
    before = space.fingerprint
    assert before == type(space)().fingerprint
    name = next(iter(space.hyperparameters))
    fewer = {key: hp for key, hp in space.hyperparameters.items() if key != name}
    monkeypatch.setattr(type(space), "hyperparameters", fewer)
    assert space.fingerprint != before


def test_sampled_configurations_build_and_one_step_lowers_the_loss(space, geometry):
    labels = torch.arange(8) % CLASSES
    for config in [*space.points.values(), *space.sample(12, seed=5)]:
        model = build(space, config, geometry).train()
        torch.manual_seed(1)  # the same features are dropped, before and after
        loss = cross_entropy(model(images(8)), labels)
        loss.backward()
        assert torch.isfinite(loss), config
        gradients = [parameter.grad for parameter in model.parameters()]
        assert all(gradient is not None for gradient in gradients), config
        norm = torch.nn.utils.get_total_norm(gradients)
        assert norm > 0, config
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad / norm
            torch.manual_seed(1)
            assert cross_entropy(model(images(8)), labels) < loss, config


def test_a_seed_fixes_the_network(space, geometry):
    config = space.sample(1, seed=6)[0]
    first, second = (build(space, config, geometry).eval() for _ in range(2))
    assert torch.equal(first(images()), second(images()))


def test_no_choice_is_inert(space, geometry):
    """Two choices differ in the parameters' names and shapes, or in the function; but for the recipe's."""
    fewer = 30 // len(space.hyperparameters) - 1  # where there is much to try for each

    @cache  # each hyperparameter has a choice that is the base itself
    def seen(config):
        model = some_training_later(build(space, dict(config), geometry))
        return {name: tensor.shape for name, tensor in model.state_dict().items()}, model(images()).detach()

    for base in [space.default, *space.sample(min(4, max(fewer, 1)), seed=7)]:
        for hp in space.hyperparameters.values():
            if hp.name in space.training or hp.name not in base:
                continue
            configs = {choice: completed(space, {**base, hp.name: choice}) for choice in values(hp)}
            for one, other in combinations(values(hp), 2):
                (shapes, output), (other_shapes, other_output) = (
                    seen(tuple(configs[choice].items())) for choice in (one, other)
                )
                same = shapes == other_shapes and torch.allclose(output, other_output, rtol=1e-4, atol=1e-5)
                assert same == ({one, other} <= set(hp.synonyms)), (base, hp.name, one, other)
