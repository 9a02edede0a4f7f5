"""Forward passes of a network on a device: their time and memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from nas.trial.memory import PeakMemory, trim
from nas.util.machine import has_bf16, synchronize

if TYPE_CHECKING:
    from torch import Tensor, nn


def autocast_dtype(amp: str, device: torch.device) -> torch.dtype | None:
    """Resolves the setting ``amp``: auto is bfloat16, float16 on older GPUs and float32 on the CPU."""
    if amp == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if has_bf16(device) else torch.float16
    return {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]


class Passes:
    """A network on a device, in evaluation mode, whose forward passes are measured."""

    def __init__(self, model: nn.Module, device: torch.device, amp: torch.dtype | None) -> None:
        """Moves the network to the device."""
        moved: torch.nn.Module = model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model, self._device, self._amp = moved, device, amp

    def seconds(self, images: Tensor) -> float:
        """Returns the wall time of one forward pass of images ``(B, C, H, W)``, seconds."""
        began = time.perf_counter()
        with torch.autocast(self._device.type, dtype=self._amp, enabled=self._amp is not None):
            self.model(images)
        synchronize(self._device)
        return time.perf_counter() - began

    def memory(self, images: Tensor, limit: float) -> tuple[int, float]:
        """Measures the peak memory of weights and a forward pass, bytes, and the time that took, seconds.

        A first pass allocates what is allocated once; it is the only one if it takes ``limit`` seconds.
        """
        added, first = self._peak(images)
        second = 0.0
        if first < limit:
            added, second = self._peak(images)
        weights = [*self.model.parameters(), *self.model.buffers()]
        return added + sum(tensor.numel() * tensor.element_size() for tensor in weights), first + second

    def _peak(self, images: Tensor) -> tuple[int, float]:
        trim()  # reused memory would not count as added
        with PeakMemory(self._device) as peak:
            before = peak.bytes
            seconds = self.seconds(images)
            return peak.bytes - before, seconds
