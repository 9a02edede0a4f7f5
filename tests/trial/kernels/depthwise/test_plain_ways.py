"""The ways written in PyTorch compute what PyTorch's convolution does, gradients included."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nas.trial.kernels.depthwise import as_forward, library, matmul
from nas.trial.kernels.depthwise.layer import depthwise_conv2d
from nas.trial.kernels.depthwise.rule import Choice

MATMUL = Choice("matmul", "matmul", "matmul")
PRECISION = {torch.float64: 1e-9, torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}

sides = st.integers(1, 9)
sizes = st.sampled_from([1, 3, 5, 7, 9])
layouts = st.sampled_from([torch.contiguous_format, torch.channels_last])


def exact(x, weight, gradient, stride):
    """PyTorch's output and gradients of input and weight, in float64."""
    x, weight = x.double().requires_grad_(), weight.double().requires_grad_()
    y = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=len(weight))
    y.backward(gradient.double())
    return y.detach(), x.grad, weight.grad


def problem(shape, size, stride, dtype=torch.float64, layout=torch.channels_last):
    out = [-(-side // stride) for side in shape[2:]]
    x, gradient = (
        torch.randn(*shape[:2], *side).to(dtype, memory_format=layout) for side in (shape[2:], out)
    )
    return x, torch.randn(shape[1], 1, size, size).to(dtype), gradient


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 20), sides, sides, sizes, st.sampled_from([1, 100, 1 << 18]), layouts
)
def test_weight_gradient_as_a_forward_pass(batch, channels, height, width, size, chunk, layout):
    x, weight, gradient = problem((batch, channels, height, width), size, 1, torch.float32, layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(as_forward, "_CHUNK", chunk)
        found = as_forward.weight_gradient(x, gradient, size, 1)
    torch.testing.assert_close(found.double(), exact(x, weight, gradient, 1)[2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", [library, matmul])
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 7),
    sides,
    sides,
    sizes,
    st.sampled_from([1, 2]),
    st.sampled_from(list(PRECISION)),
    layouts,
)
def test_way_is_pytorchs_convolution(way, batch, channels, height, width, size, stride, dtype, layout):
    # oneDNN's own bfloat16 weight gradient is wrong on maps of width 1 with stride 2 (torch 2.15).
    assume(not (way is library and dtype.itemsize == 2))
    x, weight, gradient = problem((batch, channels, height, width), size, stride, dtype, layout)
    prepared = way.prepare(weight, x, stride)
    found = (
        way.forward(x, prepared, stride),
        way.input_gradient(x, gradient, prepared, stride),
        way.weight_gradient(x, gradient, size, stride),
    )
    for one, wanted in zip(found, exact(x, weight, gradient, stride), strict=True):
        allowed = PRECISION[dtype] * wanted.abs().max().clamp(min=1)
        assert (one.double() - wanted).abs().max() <= allowed
    assert found[0].dtype == found[1].dtype == dtype


def test_products_results_are_channels_last_and_sums_at_least_float32():
    x, weight, gradient = problem((2, 8, 4, 6), 5, 2, torch.bfloat16)
    prepared = matmul.prepare(weight, x, 2)
    for found in (matmul.forward(x, prepared, 2), matmul.input_gradient(x, gradient, prepared, 2)):
        assert found.is_contiguous(memory_format=torch.channels_last)
    assert matmul.weight_gradient(x, gradient, 5, 2).dtype == torch.float32


@pytest.mark.parametrize("choice", [Choice(), MATMUL, Choice("library", "matmul", "matmul")])
@pytest.mark.parametrize("stride", [1, 2])
def test_function_has_the_gradients_of_what_it_computes(choice, stride):
    x, weight, _ = problem((2, 3, 5, 4), 3, stride)
    inputs = (x.requires_grad_(), weight.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, w: depthwise_conv2d(x, w, stride, choice), inputs)


def test_nothing_is_computed_for_what_needs_no_gradient(monkeypatch):
    x, weight, gradient = problem((2, 3, 5, 4), 3, 1)

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(matmul, "weight_gradient", refuse)
    depthwise_conv2d(x.requires_grad_(), weight, 1, MATMUL).backward(gradient)
    monkeypatch.undo()
    monkeypatch.setattr(matmul, "input_gradient", refuse)
    depthwise_conv2d(x.detach(), weight.requires_grad_(), 1, MATMUL).backward(gradient)
    wanted = exact(x.detach(), weight.detach(), gradient, 1)
    torch.testing.assert_close([x.grad, weight.grad], list(wanted[1:]))
