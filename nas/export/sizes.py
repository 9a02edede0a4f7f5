"""How large the exported network is: a published geometry, the search's own, or scaled to a cost."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.util.documents import read_yaml
from nas.util.errors import SettingError, UserError
from search_spaces.nexception.geometry import NEXCEPTION_S, NEXCEPTION_T, NEXCEPTION_TP, XCEPTION, Geometry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas.export.source import Source

SHORT = {"t": NEXCEPTION_T, "s": NEXCEPTION_S, "tp": NEXCEPTION_TP, "xception": XCEPTION}
REDUCED = "reduced"
USUAL = "t"  # where none is named

_STEP = 8  # widths are multiples of it, as kernels on GPUs like them
_WIDEST = 64.0  # times the given widths
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def find(name: str, source: Source, image_size: int | None = None) -> Geometry:
    """Gives the geometry a user names.

    Args:
        name: ``t``, ``s``, ``tp``, ``xception``, ``reduced`` (the search's own) or a JSON or YAML file.
        source: What is exported; only a run has a reduced geometry.
        image_size: Side of the images in pixels, instead of the geometry's own.

    Raises:
        UserError: If there is none of that name, or the file holds none.
    """
    if name in SHORT:
        geometry = SHORT[name]
    elif name == REDUCED:
        if source.reduced is None:
            raise SettingError("geometry", REDUCED, "only the export of a run has one; must be t, s, tp, ...")
        geometry = source.reduced
    elif Path(name).is_file():
        geometry = _read(Path(name))
    else:
        raise SettingError("geometry", name, f"no such file; must be {', '.join(SHORT)}, {REDUCED} or a file")
    return geometry if image_size is None else replace(geometry, image_size=image_size)


def parse_count(text: str, field: str = "match_macs") -> float:
    """Reads a number of operations such as ``4.5G`` or ``600M``.

    Raises:
        UserError: If it is none, or zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)", text.strip().upper())
    if match is None or float(match[1]) == 0:
        rule = "not a number of operations; write for example 4.5G or 600M"
        raise SettingError(field, text, rule, repr(text))
    return float(match[1]) * _UNITS[match[2]]


def match_macs(config: Mapping[str, Any], geometry: Geometry, target: float, num_classes: int) -> Geometry:
    """Widens or narrows every layer by one factor until the network costs what is asked.

    Args:
        config: Configuration of the ``nexception`` space.
        geometry: Where to start; its depths and input size stay.
        target: Multiply-accumulates of one image, as :mod:`nas.util.counts` counts them.
        num_classes: Width of the classifier.

    Returns:
        The geometry whose cost is nearest, widths in multiples of 8.

    Raises:
        UserError: If the narrowest or widest such network is still more than a tenth off.
    """
    low, high = 0.0, 1.0
    while _macs(config, _scaled(geometry, high), num_classes) < target and high < _WIDEST:
        low, high = high, 2 * high
    candidates = {_scaled(geometry, factor) for factor in (low, high)}
    while len(candidates) > 1 and high - low > 1 / 2048:
        middle = (low + high) / 2
        if _macs(config, _scaled(geometry, middle), num_classes) < target:
            low = middle
        else:
            high = middle
        candidates = {_scaled(geometry, factor) for factor in (low, high)}
    costs = {candidate: _macs(config, candidate, num_classes) for candidate in candidates}
    best = min(costs, key=lambda candidate: abs(costs[candidate] - target))
    if abs(costs[best] - target) > target / 10:
        raise SettingError(
            "match_macs",
            f"{target:.3g}",
            f"nearest to it is {costs[best]:.3g}, with widths {best.widths}; "
            "choose another geometry or input size",
        )
    return best


def _read(path: Path) -> Geometry:
    values = read_yaml(path, "geometry")
    try:
        return Geometry.from_json(values)
    except UserError as error:
        raise SettingError("geometry", path, error.given) from None


def _scaled(geometry: Geometry, factor: float) -> Geometry:
    def scale(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(scale, value))
        return max(_STEP, round(value * factor / _STEP) * _STEP)

    widths = [field.name for field in fields(Geometry) if field.name.endswith(("chs", "widths"))]
    scaled = {name: scale(getattr(geometry, name)) for name in widths}
    return replace(geometry, name=f"{geometry.name.partition('_scaled')[0]}_scaled", **scaled)


def _macs(config: Mapping[str, Any], geometry: Geometry, num_classes: int) -> int:
    import torch

    from nas.util.counts import count
    from search_spaces.nexception import build

    with torch.device("meta"):
        return count(build(config, geometry, num_classes), geometry.image_size).macs
