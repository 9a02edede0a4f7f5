"""Activations that are computed in the same pass as the norm before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from timm.layers.activations import GELU
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

NONE: Final = "none"
LAYERS: Final[Mapping[str, type[nn.Module]]] = {
    NONE: nn.Identity,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
}


def kind_of(module: nn.Module) -> str | None:
    """Returns the kind of an activation, a key of ``LAYERS``, or None if it has none.

    CELU and ELU are the same function where alpha is 1 (arXiv:1704.07483).
    """
    if type(module) is nn.Identity:
        return NONE
    if type(module) is nn.ReLU:
        return "relu"
    if type(module) is GELU or (type(module) is nn.GELU and module.approximate == "none"):
        return "gelu"
    if type(module) in (nn.ELU, nn.CELU) and getattr(module, "alpha", None) == 1.0:
        return "elu"
    return None


def activate(z: Tensor, kind: str) -> Tensor:
    """Applies an activation by its kind, in PyTorch."""
    if kind == "relu":
        return functional.relu(z)
    if kind == "gelu":
        return functional.gelu(z)
    if kind == "elu":
        return functional.elu(z)
    return z
