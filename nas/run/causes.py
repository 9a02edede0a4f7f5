"""Why trials crash, by the words of their reasons: journals of earlier versions have nothing else."""

from __future__ import annotations

import re

# What CUDA, ROCm and their drivers say of a device that is gone, reset or another's.
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
    """Whether a crash is the device's: whatever network had been there, it would have crashed too."""
    return _DEVICE_GONE.search(reason) is not None


def from_outside(reason: str) -> bool:
    """Whether a crash need not be the network's: a kill, a machine that stood still, a lost device.

    A hang is among them: it may have been a suspended machine, which earlier versions did not notice.
    """
    return device_gone(reason) or _ENDED.search(reason) is not None


def without_numbers(reason: str) -> str:
    """A crash reason without its numbers, so that errors that differ only in them are equal."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", reason)
