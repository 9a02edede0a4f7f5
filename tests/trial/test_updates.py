"""Update rules with their numbers on the device, against the optimisers that they stand in for."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from timm.optim import Lamb, create_optimizer_v2
from torch import nn

from nas.trial.updates import rule_of

NAMES = ["lamb", "adamw", "sgd", "momentum"]


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten())
    return model.append(nn.Linear(32, 4)).to(memory_format=torch.channels_last)


def gradients(model, step, scale=1.0):
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        noise = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))
        parameter.grad = noise * scale


def optimizer_of(model, name, momentum=0.9, decay=0.02):
    return create_optimizer_v2(model, name, lr=1.0, weight_decay=decay, momentum=momentum)


def rate(step):
    return 0.02 * (1 + step % 3)


def plainly(model, optimizer, steps, scale=1.0):
    for step in steps:
        gradients(model, step, scale)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()


def by_rule(model, optimizer, steps, scale=1.0):
    rule = rule_of(optimizer)
    rule.prepare()
    for step in steps:
        gradients(model, step, scale)
        rule.update(torch.tensor(rule.rows(rate(step), step + 1)).unbind())
    rule.counted(rate(steps[-1]), steps[-1] + 1)


def assert_close(one, two):
    """Weights and state dictionaries alike in every key, and equal but for rounding."""
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-5, atol=2e-6)


def assert_states_close(one, two):
    assert one.keys() == two.keys()
    assert [set(g) for g in one["param_groups"]] == [set(g) for g in two["param_groups"]]
    for a, b in zip(one["param_groups"], two["param_groups"], strict=True):
        assert {k: v for k, v in a.items() if k != "step"} == {k: v for k, v in b.items() if k != "step"}
        assert torch.equal(torch.as_tensor(a.get("step", 0)), torch.as_tensor(b.get("step", 0)))
    assert one["state"].keys() == two["state"].keys()
    for key, state in one["state"].items():
        other = two["state"][key]
        assert state.keys() == other.keys()
        for name, value in state.items():
            torch.testing.assert_close(value, other[name], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("scale", [10.0, 1e-3], ids=["clipped", "small gradients"])
@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_steps_are_the_optimisers_own(name, scale):
    one, two = network(), network()
    first, second = optimizer_of(one, name), optimizer_of(two, name)
    plainly(one, first, range(100), scale)
    by_rule(two, second, range(100), scale)
    assert_close(one, two)
    assert_states_close(first.state_dict(), second.state_dict())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("before", "after"), [(plainly, by_rule), (by_rule, plainly)])
def test_either_goes_on_where_the_other_stopped(name, before, after):
    whole = network()
    plainly(whole, optimizer_of(whole, name), range(30))
    model = network()
    optimizer = optimizer_of(model, name)
    before(model, optimizer, range(12))
    state = copy.deepcopy(optimizer.state_dict())
    again = optimizer_of(model, name)
    again.load_state_dict(state)
    after(model, again, range(12, 30))
    assert_close(whole, model)


@hypothesis_settings(max_examples=30)
@given(
    name=st.sampled_from(NAMES),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    decay=st.sampled_from([0.0, 0.02, 0.5]),
    start=st.integers(0, 3000),
    scale=st.sampled_from([1e-6, 1e-2, 1.0, 100.0]),
)
def test_any_setting_at_any_moment(name, momentum, decay, start, scale):
    name = "momentum" if name == "sgd" and momentum == 0 else name
    one, two = network(), network()
    first, second = optimizer_of(one, name, momentum, decay), optimizer_of(two, name, momentum, decay)
    rule_of(first).prepare()
    rule_of(first).counted(1.0, start)
    rule_of(second).prepare()
    plainly(one, first, range(start, start + 3), scale)
    by_rule(two, second, range(start, start + 3), scale)
    assert_close(one, two)


@pytest.mark.parametrize("options", [{"trust_clip": True}, {"always_adapt": True}, {"max_grad_norm": None}])
def test_what_timms_lamb_can_besides(options):
    one, two = network(), network()
    plainly(one, Lamb(one.parameters(), weight_decay=0.02, **options), range(10))
    by_rule(two, Lamb(two.parameters(), weight_decay=0.02, **options), range(10))
    assert_close(one, two)


def test_weights_and_gradients_of_zero_stay_finite():
    model = network()
    with torch.no_grad():
        model[4].weight.zero_()
    optimizer = optimizer_of(model, "lamb", decay=0.02)
    by_rule(model, optimizer, range(2), scale=0.0)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert not model[4].weight.any()
