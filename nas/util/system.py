"""What the operating system says of this machine and of this process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def cores() -> int:
    """Counts the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def proc_value(path: str, name: str) -> str:
    """Finds the line ``name: value`` in a file of proc(5); "" where the system does not report it."""
    with contextlib.suppress(OSError):
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""


def proc_bytes(path: str, name: str) -> int:
    """Finds a size in a file of proc(5), in bytes; 0 where the system does not report it."""
    return 1024 * int((proc_value(path, name) or "0").split()[0])
