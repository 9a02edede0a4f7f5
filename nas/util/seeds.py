"""Derives the seeds of all parts from one master seed by name."""

import hashlib

_BITS = 31  # within the seed ranges of NumPy, scikit-learn and torch


def derive(master: int, *names: str | int) -> int:
    """Derives a seed that depends on the master seed and a path of names only.

    Args:
        master: The run's master seed.
        *names: Path of names, for example ``("train", config_id)``.

    Returns:
        An integer in ``[0, 2**31)``.
    """
    text = "/".join(str(part) for part in (master, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - _BITS)
