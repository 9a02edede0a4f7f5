"""A search space whose networks fail in every way a trial can, for the trial process's tests."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from typing import Any, ClassVar

import torch
from torch import nn

from search_spaces.base import Hyperparameter, SearchSpace

FAULTS = (
    "none",
    "exception",
    "nan",
    "memory_once",
    "memory",
    "hang",
    "segfault",
    "sigkill",
    "exit",
    "gil",
    "host_memory",
    "device",
    "harmless",
)


class Network(nn.Module):
    """Averages the image and classifies it, failing as told in the forward pass."""

    def __init__(self, fault: str, in_chans: int, num_classes: int) -> None:
        super().__init__()
        self.fault = fault
        self.head = nn.Linear(in_chans, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "meta" and self.training:
            fail(self.fault, len(x))
        logits = self.head(x.mean((2, 3)))
        return logits * float("nan") if self.fault == "nan" else logits


def fail(fault: str, batch: int) -> None:
    if fault == "exception":
        raise ValueError("this network cannot be trained\nand says so in two lines")
    if fault == "memory" or (fault == "memory_once" and batch > 8):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if fault == "hang":
        time.sleep(3600)
    if fault == "gil":  # a library that does not let other threads run
        ctypes.PyDLL(None).sleep(3600)
    if fault == "host_memory":
        resource.setrlimit(resource.RLIMIT_AS, (2**33, resource.getrlimit(resource.RLIMIT_AS)[1]))
        torch.ones(2**34, dtype=torch.uint8)
    if fault == "device":
        raise RuntimeError("CUDA error: unspecified launch failure")
    if fault == "segfault":
        ctypes.string_at(0)
    if fault == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "exit":
        os._exit(7)


class FaultySpace(SearchSpace):
    """One hyperparameter: how the network fails."""

    name = "faulty"
    title = "Networks that fail"
    hyperparameters: ClassVar = {"fault": Hyperparameter("fault", FAULTS, "none", "how it fails", "tests")}
    presets: ClassVar = {"tiny": 16, "small": 64, "paper": 512}

    @property
    def points(self) -> dict[str, dict[str, Any]]:
        return {name: {"fault": "none"} for name in ("cheapest", "costliest")}

    def reduced(self, width: int, image_size: int = 32) -> None:
        return None

    def build(
        self,
        config: Any,
        geometry: Any,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> nn.Module:
        return Network(config["fault"], in_chans, num_classes)
