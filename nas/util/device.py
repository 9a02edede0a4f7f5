"""How a user names a device; light, since command lines import it before they need torch."""

from __future__ import annotations

import re

from nas.util.errors import SettingError


def refuse_unknown_device(name: str) -> None:
    """Refuses what no machine calls a device; whether this machine has it, only torch can tell.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: If it is none of these.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", name):
        raise SettingError("device", name, "must be auto, cpu, cuda or cuda:N")
