"""The device of trials, and the facts about the machine that a run records."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

from nas.util.device import refuse_unknown_device
from nas.util.errors import SettingError, first_line, setting


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
        there = (
            "no GPU"
            if count == 0
            else f"only {count} GPU{'s' if count > 1 else ''} (cuda:0 to cuda:{count - 1})"
        )
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


def hardware(device: torch.device) -> dict[str, object]:
    """Describes the machine for the run's record."""
    facts: dict[str, object] = {
        "device": str(device),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
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


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
