"""Depthwise convolutions whose weight gradient does not waste 15 of 16 operations on a CPU.

oneDNN has a kernel for the weight gradient of 3x3 depthwise convolutions only. From 5x5 on PyTorch falls
back to the one for grouped convolutions, which pads every group of one channel to a block of 16: five
times as slow, and the larger part of a training step of a network with large kernels (measured: see
``docs/performance.md``). Forward and input gradient are fast for every size, so the weight gradient is
written as a forward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from nas.trial.kernels.depthwise.library import forward, input_gradient, prepare

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["forward", "input_gradient", "prepare", "weight_gradient"]

_CHUNK = 1 << 18  # numbers at once: 1 MB of images and of gradients each stay in the cache


def weight_gradient(x: Tensor, gradient: Tensor, size: int, stride: int) -> Tensor:
    """Computes the weight gradient of a depthwise convolution as a sum of forward depthwise convolutions.

    Each channel of each image becomes a channel of one large image, and its output's gradient, ``H x W``,
    the kernel that it is convolved with. The result, ``size x size``, is the contribution of that channel of
    that image.

    Args:
        x: Input of the convolution, ``(B, C, H, W)``, channels_last for speed.
        gradient: Gradient of its output, of the same shape.
        size: Height and width of the kernel, odd; the padding is ``size // 2``.
        stride: Must be 1; otherwise the gradient would have to be spread among zeros first.

    Returns:
        The gradient ``(C, 1, size, size)``, float32.
    """
    assert stride == 1
    batch, channels, height, width = x.shape
    total = torch.zeros(channels, size, size, device=x.device)
    images = max(_CHUNK // (channels * height * width), 1)
    for start in range(0, batch, images):
        some = x[start : start + images]
        n = len(some) * channels
        wide = some.permute(2, 3, 0, 1).reshape(1, height, width, n).permute(0, 3, 1, 2)
        kernels = gradient[start : start + images].reshape(n, 1, height, width)
        parts = functional.conv2d(wide, kernels, padding=size // 2, groups=n)
        total += parts.view(-1, channels, size, size).sum(0, dtype=torch.float32)
    return total[:, None]
