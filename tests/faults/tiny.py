"""A search space of networks that train in milliseconds; some of them fail, always in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from search_spaces.base import Config, Hyperparameter, SearchSpace, Value

_ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Untrainable(nn.Module):
    """Raises in training."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "meta" and self.training:
            raise ValueError("this network cannot be trained")
        return x


class TinySpace(SearchSpace):
    """One convolution and a classifier; kernel 7 without bias crashes."""

    name = "tiny"
    title = "One convolution and a classifier"
    presets: ClassVar[Mapping[str, int]] = {"tiny": 4, "small": 8, "paper": 16}
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = {
        hp.name: hp
        for hp in (
            Hyperparameter("kernel", (1, 3, 5, 7), 3, "side of the convolution", "tests", ordinal=True),
            Hyperparameter("bias", (False, True), True, "of the convolution", "tests"),
            Hyperparameter("activation", tuple(_ACTIVATIONS), "relu", "activation", "tests"),
            Hyperparameter("norm", (False, True), False, "batch norm after the convolution", "tests"),
            Hyperparameter("pool", ("mean", "max"), "mean", "pooling", "tests"),
        )
    }

    @property
    def points(self) -> dict[str, Config]:
        ends: dict[str, Mapping[str, Value]] = {
            "cheapest": {"kernel": 1, "bias": False},
            "costliest": {"kernel": 7, "norm": True},
        }
        return {name: {**self.default, **changes} for name, changes in ends.items()}

    def reduced(self, width: int, image_size: int = 32) -> int:
        return width

    def build(
        self,
        config: Mapping[str, Any],
        geometry: Any,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> nn.Module:
        kernel, bias = config["kernel"], config["bias"]
        return nn.Sequential(
            nn.Conv2d(in_chans, geometry, kernel, padding="same", bias=bias),
            Untrainable() if kernel == 7 and not bias else nn.Identity(),
            nn.BatchNorm2d(geometry) if config["norm"] else nn.Identity(),
            _ACTIVATIONS[config["activation"]](),
            nn.AdaptiveMaxPool2d(2) if config["pool"] == "max" else nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * geometry, num_classes),
        )
