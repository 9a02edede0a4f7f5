"""Faster implementations of a network's layers in training, with the same parameters, names and results.

:class:`FastLayers` alone decides which implementation a layer gets. Each implementation is a module here, and
is compared with the plain layer before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nas.trial.kernels.checked import Checks
from nas.trial.kernels.depthwise.layer import use_fast_depthwise
from nas.trial.kernels.fused.layers import FusedLayers, use_fast_squeeze
from nas.util.machine import has_bf16

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


class FastLayers:
    """Replaces layers by faster ones; built once per device and used for one network after another.

    Args:
        device: Device that trains the networks.
        on_note: Called with one line on each implementation that does not work here and is not used.
    """

    def __init__(self, device: torch.device, on_note: Callable[[str], None] = lambda _: None) -> None:
        self._device = device
        self._checks = Checks(on_note)

    def install(self, model: nn.Module, dtype: torch.dtype | None = None) -> None:
        """Changes a network in place; it must already be on its device.

        Args:
            model: The network.
            dtype: Data type of its forward pass; None: a trial's default on the device.
        """
        dtype = dtype or (torch.bfloat16 if has_bf16(self._device) else torch.float32)
        use_fast_depthwise(model, self._device, dtype, self._checks)
        if self._device.type == "cuda":
            FusedLayers(self._checks, self._device, dtype).install(model)
        else:
            use_fast_squeeze(model)
