"""What a command says on standard error besides what it is doing."""

from __future__ import annotations


def complaints(err: str) -> list[str]:
    """The lines of ``err`` but those that tell what is being done, which come if that takes long."""
    return [line for line in err.splitlines() if not line.endswith(" ...")]
