"""A space with a cost of its own, networks that cannot be built, and one whose builder ends its process."""

from __future__ import annotations

import os
from typing import Any

from search_spaces.base import Hyperparameter, Integer, SearchSpace

DEADLY = 77  # width


class Counted(SearchSpace):
    """Linear layers of a width."""

    hyperparameters = (
        Hyperparameter("kind", ("plain", "broken"), default="plain"),
        Integer("width", 1, 400, default=200),
    )
    costs = {"price": lambda config, _: 2.0 * float(config["width"])}  # noqa: RUF012

    def build(self, config: Any, num_classes: int, in_chans: int, image_size: int) -> Any:
        """Builds a network, or fails."""
        from torch import nn

        if config["kind"] == "broken":
            if config["width"] == DEADLY:
                os._exit(7)
            raise ValueError("no such network")
        width = config["width"]
        inputs = in_chans * image_size**2
        return nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, width, bias=False), nn.Linear(width, num_classes)
        )
