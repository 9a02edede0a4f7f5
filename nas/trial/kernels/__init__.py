"""Faster ways to compute a network's layers in training; parameters, names and results stay as they are.

:class:`FastLayers` is the one place that decides which layer is computed how. Each way has a module of its
own here, with the plain layer beside it to be compared with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.trial.kernels.checked import Checks
from nas.trial.kernels.depthwise.layer import use_fast_depthwise
from nas.trial.kernels.fused.layers import FusedLayers, use_fast_squeeze

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn


class FastLayers:
    """Replaces layers by faster ones; made once for a device and used for one network after another.

    Args:
        device: Where networks are trained.
        on_note: Told, in one line, what turned out not to work here and is computed plainly instead.
    """

    def __init__(self, device: torch.device, on_note: Callable[[str], None] = lambda _: None) -> None:
        self._device = device
        self._checks = Checks(on_note)

    def install(self, model: nn.Module, dtype: torch.dtype | None = None) -> None:
        """Changes a network in place; it is on its device already.

        Args:
            model: To be trained there.
            dtype: What its forward pass computes in; None: what a trial would choose by itself there.
        """
        dtype = dtype or _usual_dtype(self._device)
        use_fast_depthwise(model, self._device, dtype, self._checks)
        if self._device.type == "cuda":
            FusedLayers(self._checks, self._device, dtype).install(model)
        else:
            use_fast_squeeze(model)


def _usual_dtype(device: torch.device) -> torch.dtype:
    """What a trial computes in by default."""
    import torch

    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32
