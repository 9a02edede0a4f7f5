"""Vision transformers around DeiT-S: what later papers changed, one choice each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

from search_spaces.base import Config, SearchSpace
from search_spaces.points import Points
from search_spaces.vit import diagram, sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from search_spaces.diagram import Part
    from search_spaces.vit.sizes import Geometry

DEIT = "DeiT (arXiv:2012.12877)"
AUTOFORMER = "AutoFormer (arXiv:2107.00651)"


def _words(meaning: str, source: str) -> dict[str, str]:
    return {"meaning": meaning, "source": source}


def _choices() -> ConfigurationSpace:
    space = ConfigurationSpace()
    layer_scale = Categorical(
        "layer_scale",
        (False, True),
        default=False,
        meta=_words("a learnt factor for each channel of a branch", "CaiT (arXiv:2103.17239)"),
    )
    init = Float(
        "layer_scale_init",
        (1e-6, 1.0),
        default=1e-4,
        log=True,
        meta=_words(
            "what the factors are at first: of each branch, or of the norm behind it",
            "CaiT (arXiv:2103.17239), DeiT III (arXiv:2204.07118)",
        ),
    )
    space.add(
        Categorical(
            "stem",
            ("patch", "conv"),
            default="patch",
            meta=_words(
                "one convolution over each patch, or 3x3 convolutions of stride 2 with batch norm",
                "Early Convolutions Help Transformers See Better (arXiv:2106.14881)",
            ),
        ),
        Categorical(
            "patch",
            (8, 16, 32),
            default=16,
            ordered=True,
            meta=_words(
                "side of a patch, pixels at full size",
                "ViT (arXiv:2010.11929) 4.1, DINO (arXiv:2104.14294) Table 1",
            ),
        ),
        Integer(
            "depth",
            (3, 8),
            default=6,
            meta=_words("blocks, in pairs at full size", f"{DEIT} Table 1, {AUTOFORMER}"),
        ),
        Categorical(
            "width",
            (192, 288, 384, 480, 576),
            default=384,
            ordered=True,
            meta=_words("channels of a token, at full size", f"{DEIT} Table 1, {AUTOFORMER}"),
        ),
        Categorical(
            "heads",
            (3, 6, 12),
            default=6,
            ordered=True,
            meta=_words("heads of the attention", f"{DEIT} Table 1"),
        ),
        Integer(
            "mlp_ratio",
            (2, 6),
            default=4,
            meta=_words("channels inside a block's MLP, times those of a token", f"{DEIT}, {AUTOFORMER}"),
        ),
        Categorical(
            "norm_place",
            ("pre", "res_post"),
            default="pre",
            meta=_words(
                "layer norm before attention and MLP, or after them within the branch",
                "ViT (arXiv:2010.11929) 3.1, Swin V2 (arXiv:2111.09883)",
            ),
        ),
        Categorical(
            "pool",
            ("token", "avg"),
            default="token",
            meta=_words(
                "what is classified: a class token, or the mean of all tokens",
                "ViT (arXiv:2010.11929) appendix D.3",
            ),
        ),
        layer_scale,
        init,
        Float(
            "drop_path_rate",
            (0.0, 0.4),
            default=0.1,
            meta=_words("probability with which the last block is dropped in training", f"{DEIT} Table 9"),
        ),
    )
    space.add(EqualsCondition(init, layer_scale, True))
    return space


class ViTSpace(SearchSpace):
    """Vision transformers, DeiT-S the default; drop path and the first layer scale are numbers."""

    name = "vit"
    title = "ViT and DeiT-S: patch, depth, width, heads, MLP, norm place, pooling, layer scale, stem"
    space = _choices()
    presets: ClassVar[Mapping[str, int]] = {"tiny": 48, "small": 96, "paper": 384}
    full_sizes: ClassVar[Mapping[str, Any]] = {"small": sizes.DEIT_S}
    training = ("drop_path_rate",)

    @property
    def points(self) -> dict[str, Config]:
        """DeiT-S (arXiv:2012.12877, Table 1) and the ends of the cost (measured: see the tests)."""
        shape = {"depth": 3, "width": 192, "heads": 3, "mlp_ratio": 2}
        cheapest = {**self.default, **shape, "stem": "patch", "patch": 32, "pool": "avg"}
        shape = {"depth": 8, "width": 576, "heads": 12, "mlp_ratio": 6}
        costliest = {**self.default, **shape, "stem": "conv", "patch": 8}
        scale = {"layer_scale": True, "layer_scale_init": 1e-4}
        return Points(
            {
                "deit_small_patch16_224": self.default,
                "cheapest": self.validate(cheapest),
                "costliest": self.validate({**costliest, **scale}),
            }
        )

    def reduced(self, width: int, image_size: int = 32) -> Geometry:
        """Returns a geometry that is narrower, half as deep and has smaller patches; width at least 48."""
        return sizes.reduced(width, image_size)

    def diagram(self, config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:
        """Tokens, blocks and head; see :mod:`search_spaces.vit.diagram`."""
        return diagram.parts(config, width, image_size)

    def build(
        self,
        config: Mapping[str, Any],
        geometry: Geometry,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> nn.Module:
        """Builds the network; see :func:`search_spaces.vit.network.build`."""
        from search_spaces.vit.network import build

        return build(config, geometry, num_classes, in_chans, drop_path_rate)
