"""What a command prints on standard error besides progress messages."""

from __future__ import annotations


def complaints(err: str) -> list[str]:
    """Returns the lines of ``err`` without progress messages, which appear if something takes long."""
    return [line for line in err.splitlines() if not line.endswith(" ...")]
