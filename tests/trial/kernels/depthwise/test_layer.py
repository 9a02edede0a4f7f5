"""Networks of the space compute the same with the layer in place, whatever works on the device."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

import search_spaces
from nas.trial.kernels import FastLayers
from nas.trial.kernels.checked import Checks
from nas.trial.kernels.depthwise import as_forward, matmul
from nas.trial.kernels.depthwise.agreement import agreed
from nas.trial.kernels.depthwise.layer import DepthwiseConv2d, use_fast_depthwise

CPU = torch.device("cpu")


def network(**choices):
    space = search_spaces.get("nexception")
    torch.manual_seed(0)
    config = {**space.points["nexception"], "pool": "conv", **choices}
    return space.build(config, space.reduced(16), 10, 3, 0.0).to(memory_format=torch.channels_last)


def replaced(model):
    return [module for module in model.modules() if isinstance(module, DepthwiseConv2d)]


def trained(model, images, bf16=False):
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(images)
    functional.cross_entropy(logits.float(), torch.arange(len(images)) % 10).backward()
    return logits.detach(), [parameter.grad for parameter in model.parameters()]


def assert_near(one, other, tolerance):
    assert (one - other).norm() <= tolerance * one.norm() + 1e-6  # what a norm takes out again is rounding


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(("down", "mid", "count"), [(9, 5, 4 + 12), (3, 7, 12), (3, 3, 0)])
def test_network_computes_the_same_with_the_same_gradients(bf16, down, mid, count):
    plain, fast = (network(kernel_down=down, kernel_mid=mid) for _ in range(2))
    use_fast_depthwise(fast, CPU, torch.bfloat16 if bf16 else torch.float32, Checks())
    assert len(replaced(fast)) == count
    assert list(fast.state_dict()) == list(plain.state_dict())
    images = torch.randn(4, 3, 32, 32).to(memory_format=torch.channels_last)
    (wanted, gradients), (found, others) = trained(plain, images, bf16), trained(fast, images, bf16)
    torch.testing.assert_close(found, wanted)
    for one, other in zip(gradients, others, strict=True):
        assert_near(one, other, 0.2 if bf16 else 1e-4)
        assert one.shape == other.shape
        assert one.dtype == other.dtype


def test_small_maps_of_many_images_use_products_and_repeat_themselves(monkeypatch):
    calls = []
    whole = matmul.weight_gradient
    monkeypatch.setattr(matmul, "weight_gradient", lambda *args: calls.append(args) or whole(*args))
    model = network(kernel_down=9, kernel_mid=9)
    FastLayers(CPU).install(model)
    calls.clear()  # those of the comparison
    images = torch.randn(64, 3, 16, 16).to(memory_format=torch.channels_last)
    first = trained(model, images)
    assert len(calls) == 2 + 12  # the exit block's and the middle blocks' maps are 4x4
    model.zero_grad()
    torch.testing.assert_close(trained(model, images), first, rtol=0, atol=0)


def test_no_gradients_evaluation_and_copies():
    model = network(kernel_mid=9).eval()
    images = torch.randn(2, 3, 32, 32)
    wanted = model(images).detach()
    FastLayers(CPU).install(model)
    with torch.no_grad():
        for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            torch.testing.assert_close(one(images), wanted)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), wanted)


def test_other_convolutions_are_left_alone():
    others = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 5, padding=2, groups=8),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False, stride=2),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False, stride=(1, 2)),
        nn.Conv2d(8, 8, 5, padding=4, groups=8, bias=False, dilation=2),
        nn.Conv2d(8, 16, 5, padding=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 5, padding=2, groups=4, bias=False),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False, padding_mode="reflect"),
        nn.Conv2d(8, 8, 5, groups=8, bias=False),
        nn.Conv2d(8, 8, 5, padding="same", groups=8, bias=False),
    )
    before = list(others)
    FastLayers(CPU).install(others)
    assert list(others) == before


def raising(*_):
    raise ValueError("no such instruction")


@pytest.mark.parametrize("broken", [raising, lambda *args: as_forward.weight_gradient(*args) * 1.1])
def test_what_does_not_work_here_is_noted_once_and_computed_by_the_library(monkeypatch, broken):
    monkeypatch.setattr(matmul, "weight_gradient", broken)
    plain, notes = network(kernel_mid=9, kernel_down=5), []
    layers = FastLayers(CPU, notes.append)
    models = [copy.deepcopy(plain) for _ in range(2)]
    for model in models:
        layers.install(model)
    (note,) = notes
    assert note.startswith("9x9 depthwise convolution, weight gradient by matmul: ")
    assert note.endswith("; computed plainly instead")
    images = torch.randn(64, 3, 16, 16).to(memory_format=torch.channels_last)
    gradients, found = trained(plain, images)[1], trained(models[1], images)[1]
    for one, other in zip(gradients, found, strict=True):
        assert_near(one, other, 1e-4)


def test_a_gpus_ways_are_given_up_without_one():
    """Nothing is left to chance where Triton finds no GPU: a note for each pass, and the library."""
    notes = []
    assert agreed(torch.device("cuda"), torch.bfloat16, 9, 1, Checks(notes.append)) == frozenset()
    assert [note.split(":")[0] for note in notes] == [
        f"9x9 depthwise convolution, {of} by triton"
        for of in ("forward", "input gradient", "weight gradient")
    ]
