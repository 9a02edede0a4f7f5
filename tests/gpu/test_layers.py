"""Fast layers on their device against the plain ones in float64: no further off than the plain ones are."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import search_spaces
from nas.trial.kernels import FastLayers
from nas.trial.trainer import wants_bf16
from search_spaces.nexception.geometry import Geometry

SPACE = search_spaces.get("nexception")
SHAPES = [(64, 32, 8, 8), (6, 48, 16, 16), (64, 48, 4, 4), (3, 20, 7, 5)]


def results(model: nn.Module, images: Tensor, seed: int = 0) -> list[Tensor]:
    """Output, input gradient and all weight gradients, float64, of a loss that weighs outputs at random."""
    model.zero_grad(set_to_none=True)
    images = images.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    bf16 = images.dtype != torch.float64 and wants_bf16("auto", images.device)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        output = model(images)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).to(images.device)
    (output.double() * weights).sum().backward()
    gradients = [images.grad, *(parameter.grad for parameter in model.parameters())]
    return [output.detach().double(), *(gradient.double() for gradient in gradients if gradient is not None)]


def distance(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """How far off all of them are together, as a share of their length.

    Together, since some gradients are nothing but rounding: those of biases before a norm.
    """
    pairs = list(zip(found, exact, strict=True))
    off = sum(float((one - other).square().sum()) for one, other in pairs)
    return (off / sum(float(other.square().sum()) for _, other in pairs)) ** 0.5


def compare(plain: nn.Module, images: Tensor) -> list[str]:
    """Holds the fast layers to the plain ones' accuracy; returns the notes."""
    notes: list[str] = []
    plain = plain.to(images.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    fast = copy.deepcopy(plain)
    FastLayers(images.device, notes.append).install(fast)
    exact = results(copy.deepcopy(plain).double(), images.double())
    ours, theirs = results(fast, images), results(plain, images)
    assert len(ours) == len(exact)
    for part in (slice(0, 1), slice(1, None)):  # the output, and the gradients
        one, other = distance(ours[part], exact[part]), distance(theirs[part], exact[part])
        assert one <= 2 * other + 1e-5, f"off by {one:.1e}, the plain layers by {other:.1e}"
    return notes


def pixels(shape: tuple[int, ...], device: str) -> Tensor:
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return numbers.to(device, memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
def test_depthwise_convolutions(kernel: int, stride: int, device: str) -> None:
    torch.manual_seed(0)
    for shape in SHAPES:
        chs = shape[1]
        conv = nn.Conv2d(chs, chs, kernel, stride, kernel // 2, groups=chs, bias=False)
        assert compare(nn.Sequential(conv), pixels(shape, device)) == []


def changes() -> list[tuple[str, object]]:
    """Every choice of the space that differs from NEXcepTion's, each by itself."""
    base = SPACE.points["nexception"]
    return [
        (name, choice)
        for name, hyperparameter in SPACE.hyperparameters.items()
        for choice in hyperparameter.choices
        if choice != base[name]
    ]


@pytest.mark.parametrize(("name", "choice"), changes(), ids=str)
def test_every_choice_of_the_space(name: str, choice: object, device: str, tiny_geometry: Geometry) -> None:
    torch.manual_seed(0)
    config = {**SPACE.points["nexception"], name: choice}
    model = SPACE.build(config, tiny_geometry, num_classes=4)
    assert compare(model, pixels((16, 3, 16, 16), device)) == []
