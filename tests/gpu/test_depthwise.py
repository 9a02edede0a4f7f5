"""Every way to compute a depthwise convolution, asked for by name, on its device against float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nas.trial.kernels.depthwise.layer import depthwise_conv2d
from nas.trial.kernels.depthwise.rule import Choice

SHAPES = [(64, 48, 8, 8), (5, 80, 16, 16), (64, 32, 4, 4), (3, 20, 5, 7), (2, 16, 3, 37)]
# Of a result's largest number: a few roundings, since the library rounds weight gradients too.
PRECISION = {torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 4e-2}


def ways(device: str) -> list[str]:
    """Those of the device; Triton's kernels run on a CPU in their own tests, interpreted."""
    return ["library", "matmul", "triton"] if device.startswith("cuda") else ["library", "matmul"]


def problem(
    shape: tuple[int, ...], size: int, stride: int, dtype: torch.dtype, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and the output's gradient."""
    torch.manual_seed(0)
    out = [-(-side // stride) for side in shape[2:]]
    x, gradient = (
        torch.randn(*shape[:2], *side).to(device, dtype, memory_format=torch.channels_last)
        for side in (shape[2:], out)
    )
    return x, torch.randn(shape[1], 1, size, size).to(device), gradient


def exact(x: Tensor, weight: Tensor, gradient: Tensor, stride: int, dtype: torch.dtype) -> list[Tensor]:
    """Output and gradients in float64, on the CPU, of the numbers that the ways read."""
    x, weight, gradient = x.cpu().double(), weight.cpu().to(dtype).double(), gradient.cpu().double()
    x.requires_grad_(), weight.requires_grad_()
    y = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=len(weight))
    y.backward(gradient)
    assert x.grad is not None
    assert weight.grad is not None
    return [y.detach(), x.grad, weight.grad]


@pytest.mark.parametrize("dtype", list(PRECISION), ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5, 7, 9])
def test_output_and_gradients(
    size: int, stride: int, dtype: torch.dtype, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    for shape in SHAPES:
        x, weight, gradient = problem(shape, size, stride, dtype, device)
        wanted = exact(x, weight, gradient, stride, dtype)
        for way in ways(device):
            one, other = x.clone().requires_grad_(), weight.clone().requires_grad_()
            y = depthwise_conv2d(one, other, stride, Choice(way, way, way))
            y.backward(gradient)
            assert one.grad is not None
            assert other.grad is not None
            assert y.dtype == one.grad.dtype == dtype
            for found, right in zip((y.detach(), one.grad, other.grad), wanted, strict=True):
                off = float((found.cpu().double() - right).abs().max() / right.abs().max())
                assert off <= PRECISION[dtype], f"{way}, {shape}: off by {off:.1e}"
