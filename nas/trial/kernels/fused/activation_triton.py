# mypy: allow-untyped-defs, allow-incomplete-defs
"""Activations and their derivatives inside kernels, by kind."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def activated(z, kind: tl.constexpr):
    """Applies the activation to float32 numbers."""
    if kind == "relu":
        found = tl.where((z > 0) | (z != z), z, 0.0)  # NaN stays NaN, as in PyTorch
    elif kind == "gelu":
        found = 0.5 * z * (1.0 + tl.erf(z * 0.7071067811865476))
    elif kind == "elu":
        found = tl.where(z > 0, z, tl.exp(tl.minimum(z, 0.0, tl.PropagateNan.ALL)) - 1.0)
    else:
        found = z
    return found


@triton.jit
def slope(z, kind: tl.constexpr):
    """Computes the activation's derivative."""
    if kind == "relu":
        found = tl.where(z > 0, 1.0, 0.0)
    elif kind == "gelu":
        density = tl.exp(-0.5 * z * z) * 0.3989422804014327
        found = 0.5 * (1.0 + tl.erf(z * 0.7071067811865476)) + z * density
    elif kind == "elu":
        found = tl.where(z > 0, 1.0, tl.exp(tl.minimum(z, 0.0)))
    else:
        found = tl.full(z.shape, 1.0, tl.float32)
    return found
