"""A configuration as timm's vision transformer, and the layer that makes tokens of an image."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.vit.sizes import Geometry

BLOCKS = {"pre": Block, "res_post": ResPostBlock}
_NARROWEST = 8  # channels of a convolutional stem


def build(
    config: Mapping[str, Any], geometry: Geometry, num_classes: int, in_chans: int, drop_path_rate: float
) -> nn.Module:
    """Builds the network of a configuration of the ``vit`` space.

    Weights start as timm initialises them.

    Args:
        config: A valid configuration. Its ``drop_path_rate`` is the recipe's, not read here.
        geometry: Units of width, depth and patch.
        num_classes: Width of the classifier; 0 for none.
        in_chans: Image channels.
        drop_path_rate: Stochastic depth, rising linearly from 0 (arXiv:1603.09382).
    """
    token = config["pool"] == "token"
    model: nn.Module = VisionTransformer(
        img_size=geometry.image_size,
        patch_size=config["patch"] // geometry.patch_divisor,
        in_chans=in_chans,
        num_classes=num_classes,
        global_pool="token" if token else "avg",
        class_token=token,
        embed_dim=geometry.channels(config["width"]),
        depth=config["depth"] * geometry.depth_unit,
        num_heads=config["heads"],
        mlp_ratio=config["mlp_ratio"],
        init_values=config.get("layer_scale_init"),
        dynamic_img_size=True,  # other image sizes work too: the positions are resampled
        drop_path_rate=drop_path_rate,
        embed_layer=partial(Tokens, stem=config["stem"]),
        block_fn=BLOCKS[config["norm_place"]],
    )
    return model


class Tokens(nn.Module):
    """Image to tokens, ``(B, in_chans, H, W)`` to ``(B, H / patch, W / patch, C)``, rounded up.

    ``patch`` is ViT's (arXiv:2010.11929, section 3.1). ``conv`` is a 3x3 convolution of stride 2 for each
    halving, with batch norm and ReLU, whose channels double up to ``C``, then a 1x1 convolution
    (arXiv:2106.14881).

    Args:
        img_size: Height and width of the images, pixels.
        patch_size: Side of a patch, pixels; a power of 2 for ``conv``.
        in_chans: Image channels.
        embed_dim: ``C``.
        bias: Whether the last convolution has one.
        stem: ``patch`` or ``conv``.
        **kwargs: timm's further arguments, on the layout of tokens, which is always the same here.
    """

    def __init__(
        self,
        img_size: int,
        patch_size: int,
        in_chans: int,
        embed_dim: int,
        bias: bool = True,
        stem: str = "patch",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        del kwargs
        self.img_size, self.patch_size = (img_size, img_size), (patch_size, patch_size)
        self.grid_size = self.dynamic_feat_size(self.img_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        halvings = patch_size.bit_length() - 1 if stem == "conv" else 0
        layers: list[nn.Module] = []
        for left in reversed(range(halvings)):
            chs = max(_NARROWEST, embed_dim >> left)
            layers += [nn.Conv2d(in_chans, chs, 3, 2, 1, bias=False), nn.BatchNorm2d(chs), nn.ReLU(True)]
            in_chans = chs
        self.stem = nn.Sequential(*layers)
        side = 1 if layers else patch_size
        self.proj = nn.Conv2d(in_chans, embed_dim, side, side, bias=bias)

    def feat_ratio(self) -> int:
        """Returns the side of the image patch that a token covers, pixels."""
        return self.patch_size[0]

    def dynamic_feat_size(self, img_size: tuple[int, int]) -> tuple[int, int]:
        """Returns the rows and columns of tokens for an image of any size."""
        patch = self.patch_size[0]
        return math.ceil(img_size[0] / patch), math.ceil(img_size[1] / patch)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_chans, H, W)`` to ``(B, H / patch, W / patch, C)``."""
        x = self.stem(x)
        side = self.proj.stride[0]
        below, right = -x.shape[2] % side, -x.shape[3] % side
        if below or right:
            x = nn.functional.pad(x, (0, right, 0, below))
        tokens: Tensor = self.proj(x).permute(0, 2, 3, 1)
        return tokens.contiguous()
