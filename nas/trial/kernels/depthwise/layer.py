"""A network's depthwise convolution in training, computed in the fastest way for its shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.trial.kernels.depthwise import implementations
from nas.trial.kernels.depthwise.agreement import agreed
from nas.trial.kernels.depthwise.rule import PASSES, Choice, Problem, choose

if TYPE_CHECKING:
    from torch import Tensor

    from nas.trial.kernels.checked import Checks
    from nas.trial.kernels.depthwise.agreement import Agreed


def use_fast_depthwise(model: nn.Module, device: torch.device, dtype: torch.dtype, checks: Checks) -> None:
    """Replaces a network's depthwise convolutions by ones that faster implementations may compute.

    Parameters, their names and, up to rounding, the network's results are unchanged. Convolutions for which
    the libraries are fastest at every map size are not replaced.

    Args:
        model: The network, changed in place.
        device: Device that trains it.
        dtype: Data type of its forward pass; for inputs of other types the libraries are used.
        checks: Compare the faster implementations with the libraries first.
    """
    for name, module in list(model.named_modules()):
        if type(module) is nn.Conv2d and is_depthwise(module):
            found = agreed(device, dtype, module.kernel_size[0], module.stride[0], checks)
            if found:
                model.set_submodule(name, DepthwiseConv2d.like(module, dtype, found))


def is_depthwise(conv: nn.Conv2d) -> bool:
    """Whether a convolution is depthwise with an odd kernel, "same" padding, stride 1 or 2 and no bias."""
    size, stride = conv.kernel_size[0], conv.stride[0]
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.kernel_size == (size, size)
        and size % 2 == 1
        and conv.stride == (stride, stride)
        and stride in (1, 2)
        and conv.dilation == (1, 1)
        and conv.padding == (size // 2, size // 2)
        and conv.padding_mode == "zeros"
        and conv.bias is None
    )


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution with an odd kernel, "same" padding and no bias."""

    _dtype: torch.dtype
    _agreed: Agreed

    @classmethod
    def like(cls, conv: nn.Conv2d, dtype: torch.dtype, agreed: Agreed) -> DepthwiseConv2d:
        """Makes the same convolution, sharing the weight of ``conv``.

        Args:
            conv: A depthwise convolution.
            dtype: Data type that ``agreed`` holds for.
            agreed: The implementations that may be used for each pass.
        """
        size = conv.kernel_size[0]
        own = cls(
            conv.in_channels,
            conv.in_channels,
            size,
            stride=conv.stride[0],
            padding=size // 2,
            groups=conv.in_channels,
            bias=False,
            device="meta",
        )
        own.weight = conv.weight
        own.train(conv.training)
        own._dtype, own._agreed = dtype, agreed
        return own

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to ``(B, C, ceil(H / stride), ceil(W / stride))``."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        size, stride = self.kernel_size[0], self.stride[0]
        choice = Choice()
        if x.dtype == self._dtype:
            batch, channels, height, width = x.shape
            wanted = choose(Problem(x.device.type, x.dtype, batch, channels, height, width, size, stride))
            choice = Choice(
                *(
                    way if (name, way) in self._agreed else "library"
                    for name, way in zip(PASSES, wanted, strict=True)
                )
            )
        return depthwise_conv2d(x, self.weight, stride, choice)


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int, choice: Choice) -> Tensor:
    """Convolves each channel with a separate kernel, with "same" padding.

    Args:
        x: Input ``(B, C, H, W)``; the result has its type.
        weight: Kernels ``(C, 1, K, K)``, K odd, of any type; the gradient has the same type.
        stride: Stride, 1 or 2.
        choice: The way to compute each pass.

    Returns:
        ``(B, C, ceil(H / stride), ceil(W / stride))``.
    """
    result: Tensor = _Convolution.apply(x, weight, stride, choice)
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, choice: Choice) -> Tensor:
        way = implementations.named(choice.forward)
        prepared = way.prepare(weight, x, stride)
        shared = choice.input_gradient == choice.forward
        ctx.save_for_backward(x, weight, prepared if shared and ctx.needs_input_grad[0] else None)
        ctx.stride, ctx.choice = stride, choice
        return way.forward(x, prepared, stride)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, prepared = ctx.saved_tensors
        for_x = for_weight = None
        if ctx.needs_input_grad[0]:
            way = implementations.named(ctx.choice.input_gradient)
            if prepared is None:
                prepared = way.prepare(weight, x, ctx.stride)
            for_x = way.input_gradient(x, gradient, prepared, ctx.stride)
        if ctx.needs_input_grad[1]:
            way = implementations.named(ctx.choice.weight_gradient)
            for_weight = way.weight_gradient(x, gradient, weight.shape[-1], ctx.stride).to(weight.dtype)
        return for_x, for_weight, None, None
