"""A second search space: shows that the registry and the conformance tests know no architecture."""

from search_spaces.base import Hyperparameter, SearchSpace


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
    def points(self):
        cheapest = {"kernel_size": 1, "bias": False, "act": "relu"}
        return {"toy": self.default, "cheapest": cheapest, "dearest": {**self.default, "kernel_size": 5}}

    def reduced(self, width, image_size=32):
        return width

    def build(self, config, geometry, num_classes, in_chans=3, drop_path_rate=0.0):
        from torch import nn

        config = self.validate(config)
        act = {"relu": nn.ReLU, "elu": nn.ELU, "celu": nn.CELU}[config["act"]]
        return nn.Sequential(
            nn.Conv2d(in_chans, geometry, config["kernel_size"], padding="same", bias=config["bias"]),
            act(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(geometry, num_classes),
        )
