"""What timm is told of a network of any search space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURE = "searched_network"


def pretrained_cfg(image_size: int, num_classes: int = 1000, in_chans: int = 3) -> dict[str, Any]:
    """What timm wants to know of a network."""
    return {
        "num_classes": num_classes,
        "input_size": (in_chans, image_size, image_size),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
    }


def classifier(model: nn.Module, num_classes: int) -> str | None:
    """The name of the last linear layer with an output for each class, None if there is none."""
    from torch import nn

    found = [
        name
        for name, module in model.named_modules()
        if name and isinstance(module, nn.Linear) and module.out_features == num_classes
    ]
    return found[-1] if found else None
