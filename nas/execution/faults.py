"""Which errors of a trial its neighbours on the device may have caused."""

from __future__ import annotations

from nas.execution.messages import DEVICE, MEMORY
from nas.trial.memory import is_out_of_memory

# After one of these a process's CUDA context is of no use any more, and under MPS those of all other
# processes on the GPU fail with it (NVIDIA, Multi-Process Service, "error containment").
_DEVICE = (
    "CUDA error",
    "CUDA driver error",
    "Triton Error [CUDA]",
    "CUBLAS_STATUS_",
    "CUDNN_STATUS_",
    "unspecified launch failure",
    "illegal memory access",
    "device-side assert",
    "MPS server",
    "MPS client",
    "MPS control daemon",
)


def kind_of(error: BaseException) -> str:
    """``memory``, ``device`` or "" for an error that only the trial itself can have caused."""
    if is_out_of_memory(error):
        return MEMORY
    return DEVICE if any(mark in str(error) for mark in _DEVICE) else ""
