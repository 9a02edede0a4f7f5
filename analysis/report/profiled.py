"""What ``nas.profile --front`` measured of a run's networks, for the report."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from nas.util.quantities import format_count

if TYPE_CHECKING:
    from analysis.frames import Run


def rows(run: Run) -> list[dict[str, str]]:
    """The table's rows by column; none if there is no table, or none that can be read."""
    from nas.util.documents import read_json
    from nas.util.errors import UserError

    path = run.path / "profile" / "profile.json"
    with contextlib.suppress(UserError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return [_row(model) for model in read_json(path)["models"]]
    return []


def _row(model: Any) -> dict[str, str]:
    latency, speed = model["latency"], model["throughput"]
    return {
        "network": str(model["model"]),
        "image": f"{int(model['image_size'])}²",
        "params": format_count(float(model["params"])),
        "MACs": format_count(float(model["macs"])),
        "latency": f"{float(latency['mean']):.1f} ± {float(latency['sd']):.1f} ms",
        "images / s": f"{float(speed['mean']):,.1f}",
    }
