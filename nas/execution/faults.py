"""Which errors of a trial may have been caused by other trials on the same device."""

from __future__ import annotations

from nas.execution.messages import DEVICE, MEMORY
from nas.trial.memory import is_out_of_memory

# After one of these a process's CUDA context is unusable, and under MPS so are the contexts of all other
# processes on the GPU (NVIDIA, Multi-Process Service, "error containment").
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
    """Classifies an error: ``memory``, ``device``, or "" for one that only the trial itself can cause."""
    if is_out_of_memory(error):
        return MEMORY
    return DEVICE if any(mark in str(error) for mark in _DEVICE) else ""
