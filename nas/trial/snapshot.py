"""Copies of a training's state, started without waiting for the device and awaited later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Snapshot:
    """The state after an epoch, for a checkpoint; must be copied before the next step."""

    def __init__(self, state: Callable[[], dict[str, Any]], device: torch.device) -> None:
        """Copies nothing yet.

        Args:
            state: Returns nested dictionaries and lists with tensors that training changes in place.
            device: Device of those tensors.
        """
        self._state = state
        self._device = device

    def __call__(self) -> dict[str, Any]:
        """Returns the state, copied to the CPU."""
        return self.begin()()

    def begin(self) -> Callable[[], dict[str, Any]]:
        """Starts copying, and returns a function that waits for the copies and returns them, in any thread.

        On a GPU the copies are queued between the epoch's kernels and those of the next step, which may
        therefore be launched at once.
        """
        if self._device.type != "cuda":
            copied = to_cpu(self._state())
            return lambda: copied
        copied = to_cpu(self._state(), _pinned)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self._device))

        def wait() -> dict[str, Any]:
            done.synchronize()
            return copied

        return wait


def to_cpu(value: Any, copy: Callable[[Tensor], Tensor] | None = None) -> Any:
    """Copies every tensor in nested dictionaries and lists to the CPU.

    Args:
        value: The state.
        copy: Copies one tensor; None copies and waits.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True) if copy is None else copy(value.detach())
    if isinstance(value, dict):
        return {key: to_cpu(item, copy) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_cpu(item, copy) for item in value)
    return value


def _pinned(tensor: Tensor) -> Tensor:
    """Copies to page-locked memory, which the device writes asynchronously."""
    if tensor.device.type == "cpu":
        return tensor.clone()
    target = torch.empty_like(tensor, device="cpu", pin_memory=True)
    return target.copy_(tensor, non_blocking=True)
