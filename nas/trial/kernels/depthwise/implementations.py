"""The protocol of implementations of the depthwise convolution, and each by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Implementation(Protocol):
    """Forward pass and gradients of a strided convolution with an odd kernel and padding ``size // 2``.

    Each is a module of this package. Sums are at least float32; on one machine, results depend on the
    arguments only, bit for bit.
    """

    def prepare(self, weight: Tensor, x: Tensor, stride: int, /) -> Tensor:
        """Converts the weight ``(C, 1, K, K)``, of any type, to its form for inputs like ``x``."""
        ...

    def forward(self, x: Tensor, prepared: Tensor, stride: int, /) -> Tensor:
        """Maps ``(B, C, H, W)`` to ``(B, C, ceil(H / stride), ceil(W / stride))`` of the same type."""
        ...

    def input_gradient(self, x: Tensor, gradient: Tensor, prepared: Tensor, stride: int, /) -> Tensor:
        """Computes the gradient of ``x`` from the output's; of ``x`` only shape and type matter."""
        ...

    def weight_gradient(self, x: Tensor, gradient: Tensor, size: int, stride: int, /) -> Tensor:
        """Computes the gradient of the weight, ``(C, 1, size, size)``."""
        ...


def named(name: str) -> Implementation:
    """Returns an implementation: ``library``, ``matmul``, ``as_forward`` or ``triton``.

    Raises:
        ImportError: If it is ``triton``, which is not installed.
    """
    # Imported when needed: without a GPU Triton may be missing, and importing it takes half a second.
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
        from nas.trial.kernels.depthwise import triton_implementation

        return triton_implementation
    raise ValueError(f"no implementation of depthwise convolutions is called {name!r}")
