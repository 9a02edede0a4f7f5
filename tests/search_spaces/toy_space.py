"""A second search space, which shows that registry and conformance tests depend on no architecture."""

from typing import Any

from search_spaces.base import Config, Hyperparameter, SearchSpace


class ToySpace(SearchSpace):
    name = "toy"
    title = "One convolution and a classifier"
    presets = {"tiny": 4}  # noqa: RUF012
    hyperparameters = {  # noqa: RUF012
        hp.name: hp
        for hp in (
            Hyperparameter("kernel_size", (1, 3, 5), 3, "of the convolution", "none", ordinal=True),
            Hyperparameter("bias", (False, True), True, "of the convolution", "none"),
            Hyperparameter(
                "act", ("relu", "elu", "celu"), "relu", "activation", "none", synonyms=("elu", "celu")
            ),
        )
    }

    @property
    def points(self) -> dict[str, Config]:
        cheapest: Config = {"kernel_size": 1, "bias": False, "act": "relu"}
        costliest: Config = {**self.default, "kernel_size": 5}
        return {"toy": self.default, "cheapest": cheapest, "costliest": costliest}

    def reduced(self, width: Any, image_size: int = 32) -> Any:
        return width

    def build(
        self,
        config: Config,
        geometry: Any,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> Any:
        from torch import nn

        values: dict[str, Any] = {**self.validate(config)}
        act = {"relu": nn.ReLU, "elu": nn.ELU, "celu": nn.CELU}[values["act"]]
        return nn.Sequential(
            nn.Conv2d(in_chans, geometry, values["kernel_size"], padding="same", bias=values["bias"]),
            act(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(geometry, num_classes),
        )
