"""Classifies crashes by the text of their reasons, which is all that journals of earlier versions have."""

from __future__ import annotations

import re

# Messages of CUDA, ROCm and their drivers for a device that is gone, reset or in use by another process.
_DEVICE_GONE = re.compile(
    r"no CUDA-capable device|no CUDA GPUs are available|device\(s\) is/are busy|GPU is lost"
    r"|fallen off the bus|uncorrectable ECC|driver shutting down|unspecified launch failure"
    r"|CUDA driver initialization failed|system not yet initialized|hipErrorNoDevice|NVLink error",
    re.IGNORECASE,
)
_ENDED = re.compile(
    r"ended by SIG(KILL|TERM|HUP|INT|QUIT|USR1|USR2|XCPU|BUS|PWR|IO|STKFLT|ALRM)\b"
    r"|^no end after|workers died while they ran it|does not answer",
    re.IGNORECASE,
)

_DIVERGED = re.compile(r"\bloss is (nan|-?inf)\b", re.IGNORECASE)


def diverged(reason: str) -> bool:
    """Whether a crash is that of a training that left the finite numbers."""
    return _DIVERGED.search(reason) is not None


def device_gone(reason: str) -> bool:
    """Whether a crash is due to the device, so that any other network would have crashed as well."""
    return _DEVICE_GONE.search(reason) is not None


def from_outside(reason: str) -> bool:
    """Whether a crash may have an external cause: a kill, a suspended machine, a lost device.

    A hang is one of these, since earlier versions took a suspended machine for a hang.
    """
    return device_gone(reason) or _ENDED.search(reason) is not None


def without_numbers(reason: str) -> str:
    """Removes the numbers from a crash reason, so that errors that differ only in numbers are equal."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", reason)
