"""Checks names of devices without importing torch, for command lines."""

from __future__ import annotations

import re

from nas.util.errors import SettingError


def refuse_unknown_device(name: str) -> None:
    """Refuses invalid names of devices; whether this machine has the device, only torch can tell.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: If it is none of these.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", name):
        raise SettingError("device", name, "must be auto, cpu, cuda or cuda:N")
