"""ResNet with the design decisions of "A ConvNet for the 2020s", one by one to choose."""

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


def _words(meaning: str, section: str) -> dict[str, str]:
    return {"meaning": meaning, "source": f"ConvNeXt (arXiv:2201.03545) {section}"}


def _roadmap() -> ConfigurationSpace:
    space = ConfigurationSpace()
    conv = Categorical(
        "conv",
        ("dense", "depthwise"),
        default="dense",
        meta=_words("a block's spatial convolution: over all channels, or each by itself", "2.3"),
    )
    block = Categorical(
        "block",
        ("bottleneck", "inverted", "conv_first"),
        default="bottleneck",
        meta=_words(
            "depthwise convolution on the narrow middle, on the wide middle, or before the wide middle",
            "2.4 and 2.5, figure 3",
        ),
    )
    kernel = Categorical(
        "kernel",
        (3, 5, 7, 9, 11),
        default=3,
        ordered=True,
        meta=_words("kernel size of the depthwise convolution, pixels", "2.5"),
    )
    space.add(
        Categorical(
            "stage_ratio",
            ("3:4:6:3", "3:3:9:3"),
            default="3:4:6:3",
            meta=_words("blocks of the four stages: ResNet-50's ratio or Swin-T's", "2.2"),
        ),
        Categorical(
            "stem",
            ("conv", "patchify"),
            default="conv",
            meta=_words("first layers: overlapping convolution (and pooling), or patches of 4x4", "2.2"),
        ),
        conv,
        Categorical(
            "width",
            (64, 96),
            default=64,
            ordered=True,
            meta=_words("channels of the first stage's narrow layers, at full size", "2.3"),
        ),
        block,
        kernel,
        Categorical(
            "activation", ("relu", "gelu"), default="relu", meta=_words("activation function", "2.6")
        ),
        Categorical(
            "activations",
            ("all", "one"),
            default="all",
            meta=_words("after every convolution and the sum, or one before a block's last", "2.6, figure 4"),
        ),
        Categorical(
            "norms",
            ("all", "one"),
            default="all",
            meta=_words("after every convolution of a block, or the spatial one only", "2.6, figure 4"),
        ),
        Categorical(
            "norm",
            ("batch", "layer"),
            default="batch",
            meta=_words("batch normalization, or layer normalization over the channels", "2.6"),
        ),
        Categorical(
            "downsampling",
            ("block", "separate"),
            default="block",
            meta=_words(
                "in a stage's first block, or by a norm and a 2x2 convolution before it (and a last norm)",
                "2.6",
            ),
        ),
        Categorical(
            "layer_scale",
            (False, True),
            default=False,
            meta=_words("a learnt factor for each channel of a branch, at first 1e-6", "Table 5"),
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
        """Three stages of a third of the blocks; width at least 8."""
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
