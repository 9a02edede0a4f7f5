"""Batch norm and the activation after it in one pass, on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.trial.kernels.fused.activation import activate

if TYPE_CHECKING:
    from torch import Tensor


class BatchNormAct2d(nn.BatchNorm2d):
    """A batch norm with running statistics and the activation that follows it.

    Args:
        norm: The batch norm; its parameters and buffers are shared.
        kind: Kind of activation, see :mod:`nas.trial.kernels.fused.activation`.
    """

    def __init__(self, norm: nn.BatchNorm2d, kind: str) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.kind = kind
        self.train(norm.training)

    @staticmethod
    def takes(norm: nn.Module) -> bool:
        """Whether a module is a batch norm that this class can replace."""
        return type(norm) is nn.BatchNorm2d and norm.affine and norm.track_running_stats

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to the same shape, channels_last."""
        self._check_input_dim(x)
        if self.training and self.momentum is not None and x.numel() > x.shape[1]:
            result: Tensor = _NormAct.apply(
                x, self.weight, self.bias, self._running(), self.momentum, self.eps, self.kind
            )
            return result
        if self.training or (torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)):
            return activate(super().forward(x), self.kind)
        from nas.trial.kernels.fused import batch_norm_triton

        mean, variance, _ = self._running()
        x = x.contiguous(memory_format=torch.channels_last)
        return batch_norm_triton.forward(x, mean, variance, self.weight, self.bias, self.kind, self.eps)

    def extra_repr(self) -> str:
        """Describes the norm and the activation."""
        return f"{super().extra_repr()}, activation={self.kind}"

    def _running(self) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance, batches = self.running_mean, self.running_var, self.num_batches_tracked
        assert mean is not None
        assert variance is not None
        assert batches is not None
        return mean, variance, batches


class _NormAct(torch.autograd.Function):
    """Normalises with the batch's statistics and updates the running ones."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running: tuple[Tensor, Tensor, Tensor],
        momentum: float,
        eps: float,
        kind: str,
    ) -> Tensor:
        from nas.trial.kernels.fused import batch_norm_triton

        x = x.contiguous(memory_format=torch.channels_last)
        mean, scale = batch_norm_triton.statistics(x, running, float(momentum), eps)
        ctx.kind = kind
        ctx.save_for_backward(x, weight, bias, mean, scale)
        return batch_norm_triton.forward(x, mean, scale, weight, bias, kind, None)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from nas.trial.kernels.fused import batch_norm_triton

        x, weight, bias, mean, scale = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        found = batch_norm_triton.backward(x, gradient, mean, scale, weight, bias, ctx.kind)
        return (*found, None, None, None, None)
