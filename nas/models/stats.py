"""What a network costs: parameters and operations, counted without computing anything."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Stats:
    """Size of a network.

    Attributes:
        params: Trainable numbers.
        macs: Multiply-accumulates of one forward pass of one image.
        flops: What ``torch.utils.flop_counter`` counts: two for each of them, convolutions (blur
            pooling among them) and linear layers only.
    """

    params: int
    macs: int
    flops: int


def count(model: nn.Module, input_size: int, in_chans: int = 3) -> Stats:
    """Counts a network on the meta device; the model itself is not touched and may live anywhere.

    Args:
        model: Takes ``(1, in_chans, input_size, input_size)``.
        input_size: Height and width of the image, pixels.
        in_chans: Image channels.
    """
    state = {
        name: tensor.detach().to("meta")
        for name, tensor in chain(model.named_parameters(), model.named_buffers())
    }
    image = torch.empty(1, in_chans, input_size, input_size, device="meta")
    modes = {module: module.training for module in model.modules()}
    model.eval()  # batch norm refuses a single 1x1 map in training
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            functional_call(model, state, (image,))
    finally:
        for module, training in modes.items():
            module.training = training
    flops = counter.get_total_flops()
    params = sum(parameter.numel() for parameter in model.parameters())
    return Stats(params=params, macs=flops // 2, flops=flops)
