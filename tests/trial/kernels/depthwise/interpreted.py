"""The Triton kernels against float64, by Triton's interpreter; run by ``test_triton.py`` in its own process.

``TRITON_INTERPRET=1`` must be set before Triton is imported, and would change what else imports it.
"""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nas.trial.kernels.checked import Checks
from nas.trial.kernels.depthwise import triton_implementation
from nas.trial.kernels.depthwise.agreement import agreed
from nas.trial.kernels.depthwise.layer import depthwise_conv2d
from nas.trial.kernels.depthwise.rule import PASSES, Choice

TRITON = Choice("triton", "triton", "triton")
# Relative to the largest number: one rounding of the result, and of sums in float32.
PRECISION = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}


def problem(shape, size, stride, dtype):
    torch.manual_seed(0)
    out = [-(-side // stride) for side in shape[2:]]
    x, gradient = (torch.randn(*shape[:2], *side).to(dtype) for side in (shape[2:], out))
    return x.to(memory_format=torch.channels_last), torch.randn(shape[1], 1, size, size), gradient


def computed(x, weight, gradient, stride):
    prepared = triton_implementation.prepare(weight, x, stride)
    return (
        triton_implementation.forward(x, prepared, stride),
        triton_implementation.input_gradient(x, gradient, prepared, stride),
        triton_implementation.weight_gradient(x, gradient, weight.shape[-1], stride),
    )


def exact(x, weight, gradient, stride):
    x, weight = x.double().requires_grad_(), weight.double().requires_grad_()
    y = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=len(weight))
    y.backward(gradient.double())
    return y.detach(), x.grad, weight.grad


@pytest.mark.parametrize("stride", [1, 2])
@settings(max_examples=4, deadline=None)
@given(
    st.integers(1, 4),
    st.sampled_from([1, 5, 16, 70]),
    st.integers(1, 4),
    st.integers(1, 9),
    st.sampled_from([3, 5, 7, 9]),
    st.sampled_from(list(PRECISION)),
)
@example(2, 16, 1, 16, 7, torch.float32)  # as wide as the widest tile
@example(1, 16, 1, 37, 3, torch.bfloat16)  # three tiles side by side
@example(20, 16, 3, 3, 3, torch.float16)  # shares of several units each
def test_kernels(stride, batch, channels, height, width, size, dtype):
    x, weight, gradient = problem((batch, channels, height, width), size, stride, dtype)
    found, wanted = computed(x, weight, gradient, stride), exact(x, weight, gradient, stride)
    for one, other, precision in zip(found, wanted, (dtype, dtype, torch.float32), strict=True):
        assert one.dtype == precision
        assert (one.double() - other).abs().max() <= PRECISION[precision] * other.abs().max()
    for one in found[:2]:
        assert one.is_contiguous(memory_format=torch.channels_last)


def test_rows_of_a_program_do_not_matter(monkeypatch):
    """Programs take several rows where there are enough of them; few tests are that large."""
    args = (*problem((3, 20, 5, 4), 3, 1, torch.float32), 1)
    before = computed(*args)
    monkeypatch.setattr(triton_implementation, "_ENOUGH", 3)
    for found, wanted in zip(computed(*args), before, strict=True):
        torch.testing.assert_close(found, wanted)


def test_equal_calls_give_equal_bits():
    args = (*problem((10, 16, 3, 4), 5, 1, torch.bfloat16), 1)
    assert all(map(torch.equal, computed(*args), computed(*args)))


def test_function_uses_them_and_casts_the_gradient():
    x, weight, gradient = problem((2, 16, 5, 4), 5, 1, torch.bfloat16)
    x.requires_grad_(), weight.requires_grad_()
    depthwise_conv2d(x, weight, 1, TRITON).backward(gradient)
    _, for_x, for_weight = exact(x.detach(), weight.detach(), gradient, 1)
    torch.testing.assert_close(x.grad.double(), for_x, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(weight.grad.double(), for_weight, rtol=1e-5, atol=1e-5)
    assert weight.grad.dtype == torch.float32


def test_comparison_at_a_networks_start(monkeypatch):
    """As on a GPU; then with a kernel that forgets the last row of taps."""
    monkeypatch.setattr("nas.trial.kernels.depthwise.agreement.candidates", lambda *_: every)
    monkeypatch.setattr("nas.trial.kernels.depthwise.agreement._WIDTHS", (4,))
    every, notes = [(of, "triton") for of in PASSES], []
    cpu = torch.device("cpu")
    assert agreed(cpu, torch.bfloat16, 3, 1, Checks(notes.append)) == set(every)
    assert notes == []
    whole = triton_implementation.prepare
    monkeypatch.setattr(
        triton_implementation, "prepare", lambda *args: whole(*args).index_fill(0, torch.tensor([8]), 0)
    )
    assert agreed(cpu, torch.bfloat16, 3, 1, Checks(notes.append)) == {("weight_gradient", "triton")}
    assert len(notes) == 2
