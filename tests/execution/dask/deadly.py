"""A search space whose networks take their time, or kill the worker that trains them.

A slow one stops in its second epoch until there is a file of the name in ``GATE``: so a test that harms it
there need not be quick.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from search_spaces.base import Hyperparameter, SearchSpace

MANNERS = ("quick", "slow", "deadly")
GATE = "SMACNAS_TEST_GATE"
_STEPS = 15  # of a slow network before the gate: one and a half epochs


class Network(nn.Module):
    """Averages the image and classifies it."""

    def __init__(self, manner: str, in_chans: int, num_classes: int) -> None:
        super().__init__()
        self.manner = manner
        self.steps = 0
        self.head = nn.Linear(in_chans, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "meta" and self.training:
            if self.manner == "slow":
                time.sleep(0.05)
                self.steps += 1
                while self.steps > _STEPS and not Path(os.environ[GATE]).exists():
                    time.sleep(0.05)
            if self.manner == "deadly":
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(60)
        return self.head(x.mean((2, 3)))


class DeadlySpace(SearchSpace):
    """One hyperparameter: how the network behaves."""

    name = "deadly"
    title = "Networks that kill"
    hyperparameters: ClassVar = {
        "manner": Hyperparameter("manner", MANNERS, "quick", "how it behaves", "tests")
    }
    presets: ClassVar = {"tiny": 16, "small": 64, "paper": 512}

    @property
    def points(self) -> dict[str, dict[str, Any]]:
        return {name: {"manner": "quick"} for name in ("cheapest", "costliest")}

    def reduced(self, width: int, image_size: int = 32) -> None:
        return None

    def build(
        self, config: Any, geometry: Any, num_classes: int, in_chans: int = 3, drop_path_rate: float = 0.0
    ) -> nn.Module:
        return Network(config["manner"], in_chans, num_classes)
