"""ResNet with the design decisions of "A ConvNet for the 2020s", each a separate choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition

from search_spaces.base import Config, SearchSpace
from search_spaces.resnet import diagram, sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from search_spaces.diagram import Part
    from search_spaces.resnet.sizes import Geometry


def _choice(name: str, choices: tuple[Any, ...], meaning: str, section: str, *, ordered: bool = False) -> Any:
    """Builds a choice of the roadmap; ResNet-50 has the first of its values."""
    meta = {"meaning": meaning, "source": f"ConvNeXt (arXiv:2201.03545) {section}"}
    return Categorical(name, choices, default=choices[0], ordered=ordered, meta=meta)


def _roadmap() -> ConfigurationSpace:
    space = ConfigurationSpace()
    conv = _choice(
        "conv",
        ("dense", "depthwise"),
        "a block's spatial convolution: over all channels, or each by itself",
        "2.3",
    )
    block = _choice(
        "block",
        ("bottleneck", "inverted", "conv_first"),
        "depthwise convolution on the narrow middle, on the wide middle, or before the wide middle",
        "2.4 and 2.5, figure 3",
    )
    pixels = "kernel size of the depthwise convolution, pixels"
    kernel = _choice("kernel", (3, 5, 7, 9, 11), pixels, "2.5", ordered=True)
    space.add(
        _choice(
            "stage_ratio",
            ("3:4:6:3", "3:3:9:3"),
            "blocks of the four stages: ResNet-50's ratio or Swin-T's",
            "2.2",
        ),
        _choice(
            "stem",
            ("conv", "patchify"),
            "first layers: overlapping convolution (and pooling), or patches of 4x4",
            "2.2",
        ),
        conv,
        _choice(
            "width",
            (64, 96),
            "channels of the first stage's narrow layers, at full size",
            "2.3",
            ordered=True,
        ),
        block,
        kernel,
        _choice("activation", ("relu", "gelu"), "activation function", "2.6"),
        _choice(
            "activations",
            ("all", "one"),
            "after every convolution and the sum, or one before a block's last",
            "2.6, figure 4",
        ),
        _choice(
            "norms",
            ("all", "one"),
            "after every convolution of a block, or the spatial one only",
            "2.6, figure 4",
        ),
        _choice(
            "norm",
            ("batch", "layer"),
            "batch normalization, or layer normalization over the channels",
            "2.6",
        ),
        _choice(
            "downsampling",
            ("block", "separate"),
            "in a stage's first block, or by a norm and a 2x2 convolution before it (and a last norm)",
            "2.6",
        ),
        _choice(
            "layer_scale",
            (False, True),
            "a learnt factor for each channel of a branch, at first 1e-6",
            "Table 5",
        ),
    )
    space.add(EqualsCondition(block, conv, "depthwise"), EqualsCondition(kernel, conv, "depthwise"))
    return space


class ResNetSpace(SearchSpace):
    """The roadmap of "A ConvNet for the 2020s", section 2: ResNet-50 the default, ConvNeXt-T the other end.

    Each step is one hyperparameter. Kernels beyond 3x3 and inverted blocks are choices of depthwise
    convolutions only, as on the roadmap: a dense 11x11 convolution over 3072 channels has 10^9 weights.
    """

    name = "resnet"
    title = "ResNet-50 to ConvNeXt: stages, stem, depthwise, inverted, kernels, activations, norms"
    space = _roadmap()
    presets: ClassVar[Mapping[str, int]] = {"tiny": 8, "small": 32, "paper": 64}
    full_sizes: ClassVar[Mapping[str, Any]] = {"tiny": sizes.TINY, "small": sizes.SMALL}

    @property
    def points(self) -> dict[str, Config]:
        """Both ends of the roadmap, and the two ends of the cost (measured: see the tests)."""
        convnext = {
            "stage_ratio": "3:3:9:3",
            "stem": "patchify",
            "conv": "depthwise",
            "width": 96,
            "block": "conv_first",
            "kernel": 7,
            "activation": "gelu",
            "activations": "one",
            "norms": "one",
            "norm": "layer",
            "downsampling": "separate",
            "layer_scale": True,
        }
        return {"resnet50": self.default, "convnext_tiny": self.validate(convnext)}

    def reduced(self, width: int, image_size: int = 32) -> Geometry:
        """Returns a geometry of three stages with a third of the blocks; width at least 8."""
        return sizes.reduced(width, image_size)

    def diagram(self, config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:
        """Stem, stages and head; see :mod:`search_spaces.resnet.diagram`."""
        return diagram.parts(config, width, image_size)

    def build(
        self,
        config: Mapping[str, Any],
        geometry: Geometry,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> nn.Module:
        """Builds the network; see :class:`search_spaces.resnet.network.ResidualNetwork`."""
        from search_spaces.resnet.network import ResidualNetwork

        return ResidualNetwork(config, geometry, num_classes, in_chans, drop_path_rate)
