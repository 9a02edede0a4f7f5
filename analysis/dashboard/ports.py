"""Ports of this machine."""

from __future__ import annotations

import socket

from nas.util.errors import SettingError


def claim_port(port: int) -> int:
    """Checks that a port of this machine is free; 0 takes any.

    Raises:
        UserError: If it is not.
    """
    if not 0 <= port <= 65535:
        raise SettingError("port", None, f"must be from 0 to 65535, got {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SettingError(
                "port", None, f"{port} cannot be used ({error.strerror}); try another, or 0"
            ) from None
        taken: int = probe.getsockname()[1]
        return taken
