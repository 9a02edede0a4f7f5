"""Networks of inverted residuals, stage by stage: MobileNetV2, MobileNetV3 and EfficientNet-B0 among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from search_spaces.base import Config, Hyperparameter, Integer, Parameter, SearchSpace
from search_spaces.mobilenet import diagram, sizes
from search_spaces.points import Points

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from search_spaces.diagram import Part
    from search_spaces.mobilenet.sizes import Geometry

STAGES = (1, 2, 3, 4, 5)
WIDTHS = {1: (2, 4), 2: (3, 6), 3: (7, 12), 4: (10, 16), 5: (16, 28)}  # around the three papers'
SE_CHOICES = ("none", "input", "expanded")
SE_MEANING = (
    "squeeze-and-excitation, squeezed to a quarter of the block's input (EfficientNet) or of its expanded "
    "channels, with a hard sigmoid (MobileNetV3)"
)
SE_SOURCE = "MobileNetV3 (arXiv:1905.02244) 5.3, EfficientNet (arXiv:1905.11946) 4"

# By stage: kernel, expansion, squeeze-and-excitation, depth and width of the three papers' networks.
V2 = {
    1: (3, "6", "none", 2, 3),
    2: (3, "6", "none", 3, 4),
    3: (3, "6", "none", 4, 8),
    4: (3, "6", "none", 3, 12),
    5: (3, "6", "none", 3, 20),
}
V3 = {
    1: (3, "4-3", "none", 2, 3),
    2: (5, "3", "expanded", 3, 5),
    3: (3, "6-2.5-2.3", "none", 4, 10),
    4: (3, "6", "expanded", 2, 14),
    5: (5, "6", "expanded", 3, 20),
}
B0 = {
    1: (3, "6", "input", 2, 3),
    2: (5, "6", "input", 2, 5),
    3: (3, "6", "input", 3, 10),
    4: (5, "6", "input", 3, 14),
    5: (5, "6", "input", 4, 24),
}
NAMES = ("kernel", "expansion", "se", "depth", "width")


def _of_stages(stages: Mapping[int, tuple[int | str, ...]]) -> Config:
    return {
        f"{name}_{number}": value
        for number, values in stages.items()
        for name, value in zip(NAMES, values, strict=True)
    }


def _stage(number: int) -> list[Parameter]:
    kernel, expansion, se, depth, width = (_of_stages(V2)[f"{name}_{number}"] for name in NAMES)
    stage = f"in stage {number}"
    return [
        Hyperparameter(
            f"kernel_{number}",
            (3, 5, 7),
            kernel,
            f"kernel size of the depthwise convolutions {stage}, pixels",
            "MnasNet (arXiv:1807.11626), Once-for-All (arXiv:1908.09791) 3.2",
            ordinal=True,
        ),
        Hyperparameter(
            f"expansion_{number}",
            ("3", "4", "6", "4-3", "6-2.5-2.3"),
            expansion,
            f"channels inside the blocks {stage}, times those of their input; the last number for the rest",
            "Once-for-All (arXiv:1908.09791) 3.2; MobileNetV3 (arXiv:1905.02244) Table 1",
        ),
        Hyperparameter(
            f"se_{number}", ("none", "input", "expanded"), se, f"{SE_MEANING}, {stage}", SE_SOURCE
        ),
        Integer(
            f"depth_{number}", 2, 4, int(depth), f"blocks {stage}", "Once-for-All (arXiv:1908.09791) 3.2"
        ),
        Integer(
            f"width_{number}",
            *WIDTHS[number],
            int(width),
            f"channels after the blocks {stage}, in units of 8 at full size",
            "MobileNetV2 (arXiv:1801.04381) Table 2, MobileNetV3 Table 1, EfficientNet Table 1",
        ),
    ]


class MobileNetSpace(SearchSpace):
    """MobileNetV2's layout with kernel, expansion, squeeze-and-excitation, depth and width of each stage.

    Five stages are chosen one by one, as in the factorised space of MnasNet (arXiv:1807.11626). What the
    three papers agree on stays: a stem of stride 2, a first block that does not expand, strides, 1280
    features.
    """

    name = "mobilenet"
    title = "MobileNetV2, V3 and EfficientNet: kernel, expansion, SE, depth and width of each stage"
    presets: ClassVar[Mapping[str, int]] = {"tiny": 4, "small": 6, "paper": 8}
    full_sizes: ClassVar[Mapping[str, Any]] = {"mobile": sizes.MOBILE}
    hyperparameters = (
        Hyperparameter(
            "activation",
            ("relu6", "swish", "hard_swish", "relu_hard_swish"),
            "relu6",
            "activation function; relu_hard_swish: ReLU up to stage 2, hard swish from there on",
            "MobileNetV2 (arXiv:1801.04381) 4, EfficientNet (arXiv:1905.11946) 5.2, MobileNetV3 "
            "(arXiv:1905.02244) 5.2",
        ),
        Hyperparameter(
            "head",
            ("before_pooling", "after_pooling"),
            "before_pooling",
            "where the features are computed: on every pixel after one more block, or once after the pooling",
            "MobileNetV3 (arXiv:1905.02244) 5.1, figure 5",
        ),
        Integer(
            "stem_width",
            2,
            4,
            4,
            "channels of the first convolution, in units of 8 at full size",
            "MobileNetV3 (arXiv:1905.02244) 5.1",
        ),
        Hyperparameter("se_0", SE_CHOICES, "none", f"{SE_MEANING}, in the first block", SE_SOURCE),
        *(hp for number in STAGES for hp in _stage(number)),
    )

    @property
    def points(self) -> dict[str, Config]:
        """The three papers' networks (Table 2 of MobileNetV2, Table 1 of the others), and both ends.

        ``cheapest`` has the fewest multiply-accumulates; features after the pooling take more parameters.
        """
        v3 = {"activation": "relu_hard_swish", "head": "after_pooling", "stem_width": 2, "se_0": "none"}
        b0 = {"activation": "swish", "head": "before_pooling", "stem_width": 4, "se_0": "input"}
        least = {number: (3, "3", "none", 2, low) for number, (low, _) in WIDTHS.items()}
        most = {number: (7, "6", "expanded", 4, high) for number, (_, high) in WIDTHS.items()}
        return Points(
            {
                "mobilenetv2_100": self.default,
                "mobilenetv3_large_100": self.validate({**v3, **_of_stages(V3)}),
                "efficientnet_b0": self.validate({**b0, **_of_stages(B0)}),
                "cheapest": self.validate({**v3, "activation": "relu6", **_of_stages(least)}),
                "costliest": self.validate({**b0, "se_0": "expanded", **_of_stages(most)}),
            }
        )

    def reduced(self, width: int, image_size: int = 32) -> Geometry:
        """Returns a geometry with fewer strides; width, the channels of a unit, at least 4."""
        return sizes.reduced(width, image_size)

    def diagram(self, config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:
        """Stem, first block, stages and head; see :mod:`search_spaces.mobilenet.diagram`."""
        return diagram.parts(config, width, image_size)

    def build(
        self,
        config: Mapping[str, Any],
        geometry: Geometry,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> nn.Module:
        """Builds the network; see :func:`search_spaces.mobilenet.network.build`."""
        from search_spaces.mobilenet.network import build

        return build(config, geometry, num_classes, in_chans, drop_path_rate)
