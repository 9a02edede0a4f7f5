"""Layer norm over channels and the activation after it in one pass, on a GPU.

Under automatic casts PyTorch computes layer norms, and the activation after them, in float32: the input is
cast to it, and the result back for the next convolution. Here numbers are read and written as they are, and
only the sums are float32, as in a batch norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from timm.layers import LayerNorm2d

if TYPE_CHECKING:
    from torch import Tensor

_MOST_CHANNELS = 4096  # a program holds all channels of a pixel


class LayerNormAct2d(LayerNorm2d):
    """A layer norm over channels and the activation that follows it.

    Args:
        norm: The layer norm; its parameters are shared.
        kind: Kind of activation, see :mod:`nas.trial.kernels.fused.activation`.
    """

    def __init__(self, norm: LayerNorm2d, kind: str) -> None:
        super().__init__(norm.normalized_shape[0], norm.eps, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        self.kind = kind
        self.train(norm.training)

    @staticmethod
    def takes(norm: Any) -> bool:
        """Whether a module is a layer norm that this class can replace."""
        if type(norm) is not LayerNorm2d or norm._fast_norm:
            return False
        return bool(
            norm.elementwise_affine and norm.bias is not None and norm.weight.numel() <= _MOST_CHANNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to the same shape, channels_last."""
        result: Tensor = _NormAct.apply(x, self.weight, self.bias, self.eps, self.kind)
        return result

    def extra_repr(self) -> str:
        """Describes the norm and the activation."""
        return f"{super().extra_repr()}, activation={self.kind}"


class _NormAct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, kind: str) -> Tensor:
        from nas.trial.kernels.fused import layer_norm_triton

        x = x.contiguous(memory_format=torch.channels_last)
        ctx.eps, ctx.kind = eps, kind
        ctx.save_for_backward(x, weight, bias)
        return layer_norm_triton.forward(x, weight, bias, eps, kind)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from nas.trial.kernels.fused import layer_norm_triton

        x, weight, bias = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        found = layer_norm_triton.backward(x, gradient, weight, bias, ctx.eps, ctx.kind)
        return (*found, None, None)
