"""A search space of your own: what can be chosen, and how a network is built from a choice.

python -m search_spaces check search_spaces/example.py
python -m nas.search --space search_spaces/example.py --dataset digits --budget 2m
"""

from __future__ import annotations

from search_spaces.base import Float, Hyperparameter, Integer, SearchSpace


class Example(SearchSpace):
    """Convolutions with a shortcut around each, then a classifier."""

    # What can be chosen. The defaults together are the base architecture, the measure of all others.
    #   Hyperparameter  one of a few choices; ordinal=True where their order is that of a quantity
    #   Integer, Float  a number in a range; log=True where it counts how many times as large it is
    # `meaning` and `source` are for people: the report shows them. Changing anything here later makes it
    # another space, whose runs are new ones.
    hyperparameters = (
        Hyperparameter("kernel", (3, 5, 7), default=3, ordinal=True, meaning="kernel size, pixels"),
        Hyperparameter("activation", ("relu", "gelu", "silu"), default="relu", meaning="activation function"),
        Hyperparameter("pool", ("max", "avg"), default="max", meaning="how maps are halved"),
        Integer("depth", 1, 4, default=2, meaning="convolutions at each of two sizes"),
        Integer("width", 8, 64, default=16, log=True, meaning="channels after the stem"),
        Float("dropout", 0.0, 0.5, default=0.1, meaning="share of features that are dropped in training"),
        Float("lr", 0.001, 0.1, default=0.01, log=True, meaning="peak learning rate"),
    )

    # Those among them that go to the training recipe and not to the network (the names are the recipe's).
    training = ("lr",)

    # For conditions ("this one has a meaning only if ...") give a ConfigSpace in place of hyperparameters:
    #
    #     space = ConfigurationSpace()
    #     space.add(stem := Categorical("stem", ("conv", "patch")), patch := Integer("patch", (2, 4)))
    #     space.add(EqualsCondition(patch, stem, "patch"))
    #
    # A configuration then has the key "patch" only where stem is "patch".

    def build(self, config, num_classes, in_chans, image_size):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Builds the network of a configuration: images (B, in_chans, H, W) to (B, num_classes).

        It may ask for more, by name: `width` or `geometry` (with `presets`, for `--width`), and
        `drop_path_rate`.
        """
        # Imported here, so that the search itself, which builds nothing, starts at once.
        from torch import nn

        activation = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}[config["activation"]]
        pool = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[config["pool"]]

        class Residual(nn.Module):
            """A convolution and what goes around it."""

            def __init__(self, chs):  # type: ignore[no-untyped-def]
                super().__init__()
                self.body = nn.Sequential(
                    nn.BatchNorm2d(chs),
                    activation(),
                    nn.Conv2d(chs, chs, config["kernel"], padding="same", bias=False),
                )

            def forward(self, images):  # type: ignore[no-untyped-def]
                return images + self.body(images)

        chs = config["width"]
        layers = [nn.Conv2d(in_chans, chs, 3, padding=1)]
        for _ in range(2):
            layers += [Residual(chs) for _ in range(config["depth"])]
            layers += [pool(2)]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config["dropout"])]
        return nn.Sequential(*layers, nn.BatchNorm2d(chs), *head, nn.Linear(chs, num_classes))
