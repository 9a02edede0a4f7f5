"""The reduced network of inverted residuals drawn as boxes, one for each stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_spaces.diagram import Part
from search_spaces.mobilenet.sizes import MIN_WIDTH, reduced

if TYPE_CHECKING:
    from collections.abc import Mapping

# In units, as search_spaces.mobilenet.network has them, which imports torch.
_FIRST, _LAST, _FEATURES, _LAST_EXPANSION, _EARLY = 2, 40, 160, 6, 2
_SQUEEZES = {
    "none": (),
    "input": ("squeeze-and-excitation, of the input",),
    "expanded": ("squeeze-and-excitation, of the expanded",),
}


def parts(config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:
    """Returns the boxes of the reduced network, from input to output; every norm is a batch norm."""
    geometry = reduced(max(width, MIN_WIDTH), image_size)
    unit, size = geometry.width, -(-image_size // 2)
    late = config["activation"].removeprefix("relu_")
    early = "relu" if config["activation"].startswith("relu_") else late
    drawn = [Part("stem", (_conv("conv 3×3 /2", config["stem_width"] * unit, late),), size)]
    squeeze = _SQUEEZES[config["se_0"]]
    first = (f"depthwise 3×3 · norm · {early}", *squeeze, _conv("1×1 conv", _FIRST * unit))
    drawn.append(Part("first block", first, size, 1, "" if config["stem_width"] == _FIRST else None))
    chs = _FIRST
    for number, stride in enumerate(geometry.strides, start=1):
        out, depth = config[f"width_{number}"], config[f"depth_{number}"]
        size = -(-size // stride)
        act = early if number <= _EARLY else late
        halved = ", first /2" if stride == 2 else ""
        kernel = config[f"kernel_{number}"]
        lines = (
            f"1×1 conv, {_times(config[f'expansion_{number}'], depth)} · norm · {act}",
            f"depthwise {kernel}×{kernel}{halved} · norm · {act}",
            *_SQUEEZES[config[f"se_{number}"]],
            _conv("1×1 conv", out * unit),
        )
        same = stride == 1 and out == chs
        drawn.append(Part(f"stage {number}", lines, size, depth, "" if same else "but for the first"))
        chs = out
    return [*drawn, *_end(config, unit, size, late)]


def _end(config: Mapping[str, Any], unit: int, size: int, act: str) -> list[Part]:
    features = _FEATURES * unit
    if config["head"] == "after_pooling":
        wide = _conv("1×1 conv", _LAST_EXPANSION * config["width_5"] * unit, act)
        after = ("global average pool", f"1×1 conv, {features} · {act}", "linear")
        return [Part("last layer", (wide,), size), Part("head", after, 0)]
    last = (
        f"1×1 conv, ×{_LAST_EXPANSION} · norm · {act}",
        f"depthwise 3×3 · norm · {act}",
        *_SQUEEZES[config["se_5"]],
        _conv("1×1 conv", _LAST * unit),
    )
    head = (_conv("1×1 conv", features, act), "global average pool · linear")
    return [Part("last block", last, size), Part("head", head, 0)]


def _conv(kind: str, chs: int, act: str = "") -> str:
    return f"{kind}, {chs} · norm" + (f" · {act}" if act else "")


def _times(choice: str, depth: int) -> str:
    """Returns the expansion of each block in turn; the last number holds for all that follow."""
    return "×" + "-".join(choice.split("-")[:depth])
