"""Compares faster implementations with the plain one before their first use on a device.

A kernel that is right on one GPU may not compile on another, or give wrong results with another version of
its compiler. So each runs on a small example first; one that raises or differs is not used, and a note says
so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nas.trial.memory import is_out_of_memory
from nas.util.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from torch import Tensor

    Computed = Callable[[], Sequence[Tensor]]

# Relative to a tensor's largest number. Results are rounded to the type, sums are float32; NVIDIA's libraries
# may multiply float32 with the 10 bits of TF32.
TOLERANCES = {torch.float64: 1e-6, torch.float32: 4e-3, torch.float16: 4e-3, torch.bfloat16: 2e-2}


class Checks:
    """The comparisons made on a device and their outcomes; lives as long as its :class:`FastLayers`.

    Args:
        on_note: Called with one line on each implementation that is not used, and why.
    """

    def __init__(self, on_note: Callable[[str], None] = lambda _: None) -> None:
        self._on_note = on_note
        self._known: dict[Hashable, bool] = {}

    def passes(self, name: str, key: Hashable, fast: Computed, plain: Computed, tolerance: float) -> bool:
        """Whether a faster implementation gives the plain one's results; checked once for each name and key.

        Gradients are enabled and automatic casts are off inside; examples drawn with :func:`example` leave
        the random generators untouched.

        Args:
            name: What is checked, for the user: ``9x9 depthwise convolutions in Triton``.
            key: Distinguishes its variants, for example the data type.
            fast: Computes the results, on a small example.
            plain: Computes the expected results.
            tolerance: Relative to each result's largest number; see ``TOLERANCES``.

        Raises:
            RuntimeError: If the device's memory is full, which says nothing about the implementation.
        """
        if (name, key) not in self._known:
            reason = _difference(fast, plain, tolerance)
            self._known[name, key] = not reason
            if reason:
                self._on_note(f"{name}: {reason}; computed plainly instead")
        return self._known[name, key]


def example(*shape: int, device: torch.device, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Returns normal random numbers from a separate generator; four dimensions are channels_last."""
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    return numbers.to(device, dtype, memory_format=layout)


def _difference(fast: Computed, plain: Computed, tolerance: float) -> str:
    """Says in one line why the results cannot be used; "" if they can."""
    try:
        with torch.enable_grad(), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            pairs = list(zip(fast(), plain(), strict=True))
            alike = all(_alike(found, wanted, tolerance) for found, wanted in pairs)
    except Exception as error:  # compilers and drivers may raise anything
        if is_out_of_memory(error):
            raise
        return f"does not run here ({type(error).__name__}: {first_line(error)})"
    return "" if alike else "gives other numbers than the plain layer"


def _alike(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    if found.shape != wanted.shape:
        return False
    found, wanted = found.detach().double(), wanted.detach().double()
    allowed = tolerance * wanted.abs().max() + 1e-6
    return bool(((found - wanted).abs().max() <= allowed).item())  # not for NaN
