"""Memory of a trial: measuring its peak, releasing it, and recognising errors for lack of it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nas.util import system
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Lets glibc keep the memory of freed tensors for the next ones, until :func:`free_memory`.

    By default glibc returns large blocks to the system at once, and each step has the pages of its tensors
    mapped and zeroed again: 8,000 page faults per step of Xception at width 64 and batch 128, a sixth of the
    step (measured). Does nothing with other C libraries.
    """
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST)


def free_memory(device: torch.device) -> None:
    """Releases unused memory to the device and the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """Returns the memory of freed tensors to the system, as glibc can."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the host ran out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in _MARKS)


@contextlib.contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Turns out-of-memory errors inside the block into a one-line error; other errors pass unchanged.

    Args:
        advice: The setting with its value, and what to do about it.

    Raises:
        UserError: If the device or the host ran out of memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(advice) from error


class PeakMemory:
    """Measures the peak memory of the code inside the block.

    On CUDA: the memory that PyTorch's allocator had in use (``max_memory_allocated``). Elsewhere: the
    process's peak resident set, since the start of the block where Linux can reset it, else since the process
    started.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __enter__(self) -> PeakMemory:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            _reset_resident_peak()
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the peak as it is."""

    @property
    def bytes(self) -> int:
        """Returns the peak so far, bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return _resident_peak()


def _reset_resident_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def _resident_peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return (
        system.proc_bytes("/proc/self/status", "VmHWM")
        or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    )
