"""Counts a network's parameters and operations while one image passes through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Stats:
    """The size of a network.

    Attributes:
        params: Number of trainable parameters.
        macs: Multiply-accumulates of one forward pass of one image.
        flops: Count of ``torch.utils.flop_counter``: two per multiply-accumulate, of convolutions (including
            blur pooling) and linear layers only.
    """

    params: int
    macs: int
    flops: int


def count(model: nn.Module, input_size: int, in_chans: int = 3, num_classes: int | None = None) -> Stats:
    """Counts a network on its device; on the meta device nothing is computed.

    Args:
        model: Takes ``(1, in_chans, input_size, input_size)``; not changed.
        input_size: Height and width of the image, pixels.
        in_chans: Number of image channels.
        num_classes: Required number of outputs per image; None accepts any.

    Raises:
        ValueError: If its output has another shape.
    """
    parameters = list(model.parameters())
    device = parameters[0].device if parameters else None
    image = torch.zeros(1, in_chans, input_size, input_size, device=device)
    modes = {module: module.training for module in model.modules()}
    model.eval()  # batch norm refuses a single 1x1 map in training, and would learn from the image
    try:
        with torch.no_grad(), _Counter() as counter:
            given = model(image)
    finally:
        for module, training in modes.items():
            module.training = training
    refuse_other_shape(given, num_classes)
    params = sum(parameter.numel() for parameter in parameters)
    return Stats(params=params, macs=counter.flops // 2, flops=counter.flops)


def refuse_other_shape(given: Any, num_classes: int | None) -> None:
    """Refuses an output that is not one number per class for one image.

    Args:
        given: Output of a network.
        num_classes: Required number of outputs; None accepts any.

    Raises:
        ValueError: If it is something else.
    """
    shape = tuple(getattr(given, "shape", ()))
    if num_classes is not None and shape != (1, num_classes):
        kind = f"shape {shape}" if shape else type(given).__name__
        raise ValueError(
            f"the network gives {kind} for one image; must give (1, {num_classes}), a number a class"
        )


class _Counter(TorchDispatchMode):
    """Sums the operations that PyTorch has a formula for.

    ``FlopCounterMode`` does the same but also attributes them to modules, which takes longer than the pass
    itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self._whole: set[Any] = set()  # operations that do not decompose; looking that up is slow

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(getattr(func, "overloadpacket", func))
        if formula is None and func not in self._whole:
            with self:  # in inference mode layers come here before they are taken apart
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
            self._whole.add(func)
        out = func(*args, **kwargs)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out
