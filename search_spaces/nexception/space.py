"""Xception with the design decisions of "From Xception to NEXcepTion", one by one to choose."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from search_spaces.base import Config, Hyperparameter, SearchSpace
from search_spaces.nexception import diagram, geometry
from search_spaces.nexception.builder import build
from search_spaces.nexception.exporting import NEXcepTionExporting
from search_spaces.points import Points

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.diagram import Part
    from search_spaces.nexception.geometry import Geometry
    from search_spaces.nexception.network import NEXcepTion

# The non-empty subsets of a block's three places, few before many.
POSITIONS = ("1", "2", "3", "12", "13", "23", "123")


class NEXcepTionSpace(SearchSpace):
    """The search space of NEXcepTion, section 3: 150,528 networks, Xception the default.

    The paper speaks of "more than fifty thousand" configurations and does not list them. Here each
    of its choices is one hyperparameter, kernel sizes apart for downsampling and middle blocks.
    Activation and norm type govern stem, shortcuts, tail and squeeze-and-excitation too, so that
    every choice counts in every configuration. ELU and CELU are one function (both have alpha 1, as
    in PyTorch): 112,896 of the networks are distinct.
    """

    name = "nexception"
    title = "Xception to NEXcepTion: stem, kernels, pooling, bottleneck, SE, activations, norms"
    presets: ClassVar[Mapping[str, int]] = {"tiny": 16, "small": 64, "paper": 512}
    full_sizes: ClassVar[Mapping[str, Any]] = {
        "t": geometry.NEXCEPTION_T,
        "s": geometry.NEXCEPTION_S,
        "tp": geometry.NEXCEPTION_TP,
        "xception": geometry.XCEPTION,
    }
    hyperparameters = (
        Hyperparameter(
            name="stem",
            choices=("conv", "patchify"),
            default="conv",
            meaning="first layers: two 3x3 convolutions, or one 2x2 convolution of stride 2",
            source="NEXcepTion 3.2, 'Soft' Patchify Stem",
        ),
        Hyperparameter(
            name="kernel_down",
            choices=(3, 5, 7, 9),
            default=3,
            meaning="kernel size in the downsampling blocks, pixels",
            source="NEXcepTion 3.2, Larger Kernels",
            ordinal=True,
        ),
        Hyperparameter(
            name="kernel_mid",
            choices=(3, 5, 7, 9),
            default=3,
            meaning="kernel size in the middle blocks, pixels",
            source="NEXcepTion 3.2, Larger Kernels",
            ordinal=True,
        ),
        Hyperparameter(
            name="pool",
            choices=("max", "blur", "conv"),
            default="max",
            meaning="downsampling: 3x3 max pooling, max pooling then blur, or separable 3x3 convolution",
            source="NEXcepTion 3.2, Blur Pooling",
        ),
        Hyperparameter(
            name="bottleneck",
            choices=(False, True),
            default=False,
            meaning="middle blocks three times as wide after their first convolution",
            source="NEXcepTion 3.2, Bottleneck",
        ),
        Hyperparameter(
            name="se",
            choices=(False, True),
            default=False,
            meaning="squeeze-and-excitation at the end of every block",
            source="NEXcepTion 3.2, Squeeze-and-Excitation Block",
        ),
        Hyperparameter(
            name="activation",
            choices=("relu", "gelu", "elu", "celu"),
            default="relu",
            meaning="activation function",
            source="NEXcepTion 3.2, Activation Function",
            synonyms=("elu", "celu"),
        ),
        Hyperparameter(
            name="activation_positions",
            choices=POSITIONS,
            default="123",
            meaning="convolutions of a block (1st, 2nd, 3rd) with an activation before them",
            source="NEXcepTion 3.2, Fewer Activations",
        ),
        Hyperparameter(
            name="norm",
            choices=("batch", "layer"),
            default="batch",
            meaning="batch normalization, or layer normalization over the channels",
            source="NEXcepTion 3",
        ),
        Hyperparameter(
            name="norm_positions",
            choices=POSITIONS,
            default="123",
            meaning="convolutions of a block (1st, 2nd, 3rd) with a norm after them",
            source="NEXcepTion 3.2, Fewer Normalizations",
        ),
    )

    @property
    def points(self) -> dict[str, Config]:
        """Xception, NEXcepTion (Table 5), and the two ends of the cost (measured: see the tests)."""
        return Points(
            {
                "xception": self.default,
                "nexception": self.validate(
                    {
                        "stem": "patchify",
                        "kernel_down": 5,
                        "kernel_mid": 5,
                        "pool": "blur",
                        "bottleneck": True,
                        "se": True,
                        "activation": "gelu",
                        "activation_positions": "2",
                        "norm": "batch",
                        "norm_positions": "12",
                    }
                ),
                "cheapest": self.validate(
                    {**self.default, "stem": "patchify", "activation_positions": "3", "norm_positions": "3"}
                ),
                "costliest": self.validate(
                    {
                        **self.default,
                        "kernel_down": 9,
                        "kernel_mid": 9,
                        "pool": "conv",
                        "bottleneck": True,
                        "se": True,
                        "activation": "gelu",
                        "norm": "layer",
                    }
                ),
            }
        )

    def reduced(self, width: int, image_size: int = 32) -> Geometry:
        """Returns four middle blocks and one entry block (NEXcepTion, section 3); width at least 16."""
        return geometry.reduced(width, image_size)

    def diagram(self, config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:
        """Stem, blocks, tail and head; see :mod:`search_spaces.nexception.diagram`."""
        return diagram.parts(config, width, image_size)

    @cached_property
    def exporting(self) -> NEXcepTionExporting:
        """Xception beside, geometries in files, and the weights that the authors released."""
        return NEXcepTionExporting(self)

    def build(
        self,
        config: Mapping[str, Any],
        geometry: Geometry,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> NEXcepTion:
        """Builds the network; see :func:`search_spaces.nexception.builder.build`."""
        return build(self.validate(config), geometry, num_classes, in_chans, drop_path_rate)
