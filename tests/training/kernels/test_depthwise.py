"""The faster weight gradient of large depthwise convolutions is that of PyTorch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import search_spaces
from nas.training.kernels import depthwise


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 5),
    channels=st.integers(1, 20),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    size=st.sampled_from([1, 3, 5, 7, 9]),
    chunk=st.sampled_from([1, 100, 1 << 18]),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_weight_gradient_is_pytorchs(batch, channels, height, width, size, chunk, layout):
    shape = (batch, channels, height, width)
    x = torch.randn(shape, dtype=torch.float64).float().to(memory_format=layout)
    gradient = torch.randn(shape).to(memory_format=layout)
    weight = torch.randn(channels, 1, size, size, dtype=torch.float64, requires_grad=True)
    functional.conv2d(x.double(), weight, padding=size // 2, groups=channels).backward(gradient.double())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depthwise, "_CHUNK", chunk)
        found = depthwise.weight_gradient(x, gradient, size)
    assert weight.grad is not None
    torch.testing.assert_close(found.double(), weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bf16", [False, True])
def test_network_computes_the_same_with_the_same_gradients(bf16):
    space = search_spaces.get("nexception")
    config = {**space.points["nexception"], "kernel_down": 9}
    torch.manual_seed(0)
    plain = space.build(config, space.reduced(16), 10, 3, 0.0).to(memory_format=torch.channels_last)
    fast = space.build(config, space.reduced(16), 10, 3, 0.0).to(memory_format=torch.channels_last)
    fast.load_state_dict(plain.state_dict())
    depthwise.use_fast_gradients(fast)
    replaced = [module for module in fast.modules() if isinstance(module, depthwise.DepthwiseConv2d)]
    assert len(replaced) == 2 * 2 + 4 * 3  # two downsampling blocks of two, four middle blocks of three
    assert list(fast.state_dict()) == list(plain.state_dict())
    images = torch.randn(4, 3, 32, 32).to(memory_format=torch.channels_last)
    for model in (plain, fast):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(images)
        functional.cross_entropy(logits.float(), torch.arange(4)).backward()
    for (name, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        near = functional.cosine_similarity(one.grad.flatten(), other.grad.flatten(), dim=0)
        assert near > (0.98 if bf16 else 0.99999), name


def test_other_convolutions_are_left_alone():
    others = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 5, padding=2, groups=8),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False, stride=2),
        nn.Conv2d(8, 8, 5, padding=4, groups=8, bias=False, dilation=2),
        nn.Conv2d(8, 16, 5, padding=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 5, padding=2, groups=4, bias=False),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False, padding_mode="reflect"),
        nn.Conv2d(8, 8, 5, groups=8, bias=False),
    )
    before = list(others)
    depthwise.use_fast_gradients(others)
    assert list(others) == before
