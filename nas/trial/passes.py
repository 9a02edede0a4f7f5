"""Forward passes of a network on a device: how long one takes, and what it needs."""

from __future__ import annotations

import contextlib
import ctypes
import time
from typing import TYPE_CHECKING

import torch

from nas.trial.memory import PeakMemory

if TYPE_CHECKING:
    from torch import Tensor, nn


def autocast_dtype(amp: str, device: torch.device) -> torch.dtype | None:
    """What ``--amp`` means on a device: auto is bfloat16, or float16 on older GPUs, or float32 on the CPU."""
    if amp == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]


class Passes:
    """A network on a device, in evaluation mode, and the passes it makes."""

    def __init__(self, model: nn.Module, device: torch.device, amp: torch.dtype | None) -> None:
        """Moves the network to the device."""
        moved: torch.nn.Module = model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model, self._device, self._amp = moved, device, amp

    def seconds(self, images: Tensor) -> float:
        """Wall time of one forward pass of images ``(B, C, H, W)``."""
        began = time.perf_counter()
        with torch.autocast(self._device.type, dtype=self._amp, enabled=self._amp is not None):
            self.model(images)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - began

    def memory(self, images: Tensor, limit: float) -> tuple[int, float]:
        """Peak bytes, the weights and what a pass adds to what was there; and the seconds it took to learn.

        A pass before makes what is made once; it is the only one if it alone takes ``limit`` seconds.
        """
        added, first = self._peak(images)
        second = 0.0
        if first < limit:
            added, second = self._peak(images)
        weights = [*self.model.parameters(), *self.model.buffers()]
        return added + sum(tensor.numel() * tensor.element_size() for tensor in weights), first + second

    def _peak(self, images: Tensor) -> tuple[int, float]:
        _give_back()
        with PeakMemory(self._device) as peak:
            before = peak.bytes
            seconds = self.seconds(images)
            return peak.bytes - before, seconds


def _give_back() -> None:
    """Lets glibc return freed memory to the system: what is used again would not count as added."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
