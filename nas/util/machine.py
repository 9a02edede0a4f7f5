"""The device of trials, and the facts about the machine that a run records."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch

from nas.util import system
from nas.util.device import refuse_unknown_device
from nas.util.errors import SettingError, first_line, setting
from nas.util.quantities import counted


def find_device(name: str) -> torch.device:
    """Finds a device and makes it the process's current one.

    Only this function turns a name into a device: a GPU always has an index here, which much of
    ``torch.cuda`` requires.

    Args:
        name: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: If it does not exist or does not start.
    """
    refuse_unknown_device(name)
    count = torch.cuda.device_count()
    device = torch.device(("cuda" if count else "cpu") if name == "auto" else name)
    if device.type == "cpu":
        return device
    device = torch.device("cuda", device.index or 0)
    if device.index >= count:
        there = "no GPU" if count == 0 else f"only {counted(count, 'GPU')} (cuda:0 to cuda:{count - 1})"
        raise SettingError(
            "device", name, f"this machine has {there}; use {setting('device', 'auto')} or cpu"
        )
    try:
        torch.cuda.set_device(device)
    except RuntimeError as error:  # for example an old driver, or a GPU in exclusive use
        raise SettingError(
            "device", name, f"the GPU does not start ({first_line(error)}); use {setting('device', 'cpu')}"
        ) from error
    return device


def with_index(device: torch.device) -> torch.device:
    """Adds the index of the current GPU to a device without one."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def synchronize(device: torch.device) -> None:
    """Waits until a GPU has done all that it was given; a CPU has at once."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def has_bf16(device: torch.device) -> bool:
    """Whether a device is fast in bfloat16; CPUs without units for it emulate it, many times slower."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def hardware(device: torch.device) -> dict[str, object]:
    """Describes the machine for the run's record."""
    facts: dict[str, object] = {
        "device": str(device),
        "cpu": cpu_name(),
        "cores": system.cores(),
        "threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "device": f"{device} ({properties.name})",
            "gpu_memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda or "",
            "cudnn": torch.backends.cudnn.version(),
        }
    return facts


def versions() -> dict[str, str]:
    """Returns the versions of the libraries that affect a trial's results."""
    return {name: metadata.version(name) for name in ("torch", "torchvision", "timm")}


def cpu_name() -> str:
    """Returns the processor's name, or where the system does not report it its architecture."""
    return system.proc_value("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
