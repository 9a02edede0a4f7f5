"""The ways to compute a depthwise convolution, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Way(Protocol):
    """Forward and gradients of a convolution with stride, an odd kernel and "same" padding, ``size // 2``.

    Each is a module of this room. Sums are at least float32; results depend on the arguments alone, bit for
    bit on one machine.
    """

    def prepare(self, weight: Tensor, x: Tensor, stride: int, /) -> Tensor:
        """The weight ``(C, 1, K, K)``, of any type, as this way reads it for inputs like ``x``."""
        ...

    def forward(self, x: Tensor, prepared: Tensor, stride: int, /) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C, ceil(H / stride), ceil(W / stride))``, of one type."""
        ...

    def input_gradient(self, x: Tensor, gradient: Tensor, prepared: Tensor, stride: int, /) -> Tensor:
        """The gradient of ``x``, like ``x``, whose values do not matter, from the output's."""
        ...

    def weight_gradient(self, x: Tensor, gradient: Tensor, size: int, stride: int, /) -> Tensor:
        """The weight's gradient, ``(C, 1, size, size)``."""
        ...


def named(name: str) -> Way:
    """Gives a way: ``library``, ``matmul``, ``as_forward`` or ``triton``.

    Raises:
        ImportError: If it is ``triton`` and there is none.
    """
    # Each when it is needed: Triton is not there without a GPU, and takes half a second.
    if name == "library":
        from nas.trial.kernels.depthwise import library

        return library
    if name == "matmul":
        from nas.trial.kernels.depthwise import matmul

        return matmul
    if name == "as_forward":
        from nas.trial.kernels.depthwise import as_forward

        return as_forward
    if name == "triton":
        from nas.trial.kernels.depthwise import triton_way

        return triton_way
    raise ValueError(f"no way to compute depthwise convolutions is called {name!r}")
