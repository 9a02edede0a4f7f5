"""A space with everything in it: every kind, a condition on a condition, and a forbidden pair."""

from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    GreaterThanCondition,
    Integer,
)

from search_spaces.base import SearchSpace


def mixed() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add(
        stem := Categorical("stem", ("conv", "patch"), default="conv", meta={"meaning": "the first layer"}),
        patch := Integer("patch", (1, 4), default=2),
        kernel := Categorical("kernel", (1, 3, 5), default=3, ordered=True),
        depth := Integer("depth", (1, 3), default=1),
        width := Integer("width", (4, 64), default=8, log=True),
        Float("dropout", (0.0, 0.5), default=0.1),
        decay := Float("decay", (1e-6, 1e-1), default=1e-3, log=True),
        Constant("bias", "yes"),
    )
    space.add(EqualsCondition(patch, stem, "patch"), GreaterThanCondition(decay, depth, 1))
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kernel, 5), ForbiddenEqualsClause(depth, 3)))
    del width
    return space


class Mixed(SearchSpace):
    """Everything at once."""

    space = mixed()

    def build(self, config, num_classes, in_chans, image_size):  # type: ignore[no-untyped-def]
        from torch import nn

        width = config["width"]
        if config["stem"] == "patch":
            layers = [nn.Conv2d(in_chans, width, config["patch"], config["patch"])]
        else:
            layers = [nn.Conv2d(in_chans, width, 3, padding=1)]
        for _ in range(config["depth"]):
            layers += [nn.ReLU(), nn.Conv2d(width, width, config["kernel"], padding="same")]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config["dropout"])]
        return nn.Sequential(*layers, *head, nn.Linear(width, num_classes))
