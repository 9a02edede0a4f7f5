"""Whether another form of a network answers as the network does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nas.trial.onnx_file import images
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    Answer = Callable[[Tensor], Tensor]
    Shape = tuple[int, int, int]

_BATCHES = (1, 3)  # compared at the network's own size; the exporters' example is another batch
_TOLERANCE = 1e-3  # of the largest logit; measured: below 1e-5
_LEAST = 1e-30  # of a largest logit that differences are a share of


def other_sizes(shape: Shape) -> list[tuple[int, int, int, int]]:
    """Batches of images of other sizes, ``(B, C, H, W)``: not square, and not a multiple of anything."""
    channels, height, width = shape
    return [(2, channels, height + height // 2, width), (1, channels, height + 1, width + 3)]


def takes_other_sizes(model: nn.Module, shape: Shape) -> bool:
    """Whether the network itself answers for images of other sizes than ``(C, H, W)``."""
    try:
        with torch.no_grad():
            return all(torch.is_tensor(model(torch.zeros(other))) for other in other_sizes(shape))
    except Exception:  # whatever a user's network raises
        return False


def difference(what: str, model: nn.Module, answer: Answer, shape: Shape, *, sizes: bool) -> float:
    """Compares answers for several batches, and for several sizes if it is to take them.

    Args:
        what: Names the other form in an error.
        model: In evaluation mode, on the CPU; gives ``(B, num_classes)`` for ``(B, C, H, W)``.
        answer: The other form.
        shape: The ``(C, H, W)`` of the network's own images.
        sizes: Whether other sizes are compared too.

    Returns:
        The largest difference between any two logits, as a share of the largest logit.

    Raises:
        UserError: If it is too large.
    """
    worst = 0.0
    with torch.no_grad():
        for batch, *one in [(batch, *shape) for batch in _BATCHES] + (other_sizes(shape) if sizes else []):
            shown = images(batch, (one[0], one[1], one[2]))
            expected = model(shown)
            off = (answer(shown) - expected).abs().max() / expected.abs().max().clamp(min=_LEAST)
            if not off.item() <= _TOLERANCE:
                raise UserError(
                    f"{what} answers differently, by {off.item():.1e} of the largest logit; not written"
                )
            worst = max(worst, off.item())
    return worst
