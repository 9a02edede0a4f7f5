"""Stem, residual block and the layer between stages, as one configuration shapes them."""

from __future__ import annotations

from dataclasses import dataclass

from timm.layers import DropPath, LayerScale2d, create_act_layer, get_norm_layer
from torch import Tensor, nn

# LayerNorm2d normalises channels at each pixel: no parameter depends on the image size.
NORM_LAYERS = {"batch": "batchnorm2d", "layer": "layernorm2d"}
EXPANSION = 4  # the wide layer of a block, times the narrow one: both papers'
LAYER_SCALE_INIT = 1e-6  # arXiv:2201.03545, Table 5


@dataclass(frozen=True)
class Choices:
    """A configuration of the ``resnet`` space, and the layers it stands for.

    ``block`` and ``kernel`` are choices of depthwise convolutions: a dense one stays ResNet's.
    """

    stage_ratio: str
    stem: str
    conv: str
    width: int
    activation: str
    activations: str
    norm: str
    norms: str
    downsampling: str
    layer_scale: bool
    block: str = "bottleneck"
    kernel: int = 3

    @property
    def norm_layer(self) -> type[nn.Module]:
        """Class of the norms; it is called with the number of channels."""
        return get_norm_layer(NORM_LAYERS[self.norm])

    def act_layer(self) -> nn.Module:
        """Builds an activation that may overwrite its input."""
        layer: nn.Module = create_act_layer(self.activation, inplace=True)
        return layer

    def conv_norm(
        self, in_chs: int, out_chs: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False
    ) -> list[nn.Module]:
        """Builds a convolution and its norm; a batch norm replaces the bias."""
        conv = _conv(in_chs, out_chs, kernel, stride, depthwise=depthwise, bias=self.norm != "batch")
        return [conv, self.norm_layer(out_chs)]

    def stage_chs(self, narrow: int) -> int:
        """Returns the channels between the blocks of a stage, given those of a block's narrow layers."""
        return EXPANSION * narrow if self.block == "bottleneck" else narrow


def stem(choices: Choices, in_chans: int, chs: int, stride: int) -> nn.Sequential:
    """Builds the first layers: ``(B, in_chans, H, W)`` to ``(B, chs, H / stride, W / stride)``.

    ``conv`` is ResNet's (arXiv:1512.03385, Table 1), for small images 3x3 and without pooling, as in its
    section 4.2; ``patchify`` is ConvNeXt's (arXiv:2201.03545, section 2.2).
    """
    if choices.stem == "patchify":
        return nn.Sequential(*choices.conv_norm(in_chans, chs, stride, stride))
    first = choices.conv_norm(in_chans, chs, 7 if stride == 4 else 3, 2)
    pool = [nn.MaxPool2d(3, 2, 1)] if stride == 4 else []
    return nn.Sequential(*first, choices.act_layer(), *pool)


def between(choices: Choices, in_chs: int, out_chs: int) -> nn.Sequential:
    """Builds a separate downsampling layer (arXiv:2201.03545, section 2.6)."""
    return nn.Sequential(choices.norm_layer(in_chs), nn.Conv2d(in_chs, out_chs, 2, 2))


class Block(nn.Module):
    """Residual block of three convolutions, one of them spatial (arXiv:2201.03545, figures 3 and 4).

    Args:
        choices: The configuration.
        in_chs: Channels of the input.
        narrow: Channels of the narrow layers; the wide ones have four times as many.
        stride: 2 to halve the map in the spatial convolution.
        drop_path: Probability with which the branch is dropped in training.
    """

    def __init__(self, choices: Choices, in_chs: int, narrow: int, stride: int, drop_path: float) -> None:
        super().__init__()
        out_chs = choices.stage_chs(narrow)
        layers: list[nn.Module] = []
        for place, (before, after, spatial) in enumerate(_places(choices.block, in_chs, narrow)):
            shape = (before, after, choices.kernel, stride) if spatial else (before, after, 1, 1)
            depthwise = spatial and choices.conv == "depthwise"
            if spatial or choices.norms == "all":
                layers += choices.conv_norm(*shape, depthwise=depthwise)
            else:
                layers.append(_conv(*shape))
            if place == 1 or (place == 0 and choices.activations == "all"):
                layers.append(choices.act_layer())
        if choices.layer_scale:
            layers.append(LayerScale2d(out_chs, LAYER_SCALE_INIT))
        self.branch = nn.Sequential(*layers)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_chs != out_chs:
            self.shortcut = nn.Sequential(*choices.conv_norm(in_chs, out_chs, 1, stride))
        self.act = choices.act_layer() if choices.activations == "all" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_chs, H, W)`` to ``(B, out_chs, H / stride, W / stride)`` rounded up."""
        out: Tensor = self.act(self.drop_path(self.branch(x)) + self.shortcut(x))
        return out


def _places(block: str, in_chs: int, narrow: int) -> list[tuple[int, int, bool]]:
    """Lists a block's three convolutions: channels before and after, and whether it is the spatial one."""
    wide = EXPANSION * narrow
    if block == "bottleneck":
        return [(in_chs, narrow, False), (narrow, narrow, True), (narrow, wide, False)]
    if block == "inverted":
        return [(in_chs, wide, False), (wide, wide, True), (wide, narrow, False)]
    return [(in_chs, in_chs, True), (in_chs, wide, False), (wide, narrow, False)]


def _conv(
    in_chs: int, out_chs: int, kernel: int, stride: int, *, depthwise: bool = False, bias: bool = True
) -> nn.Conv2d:
    """Builds a convolution that divides the map's sides by the stride; patches do not overlap."""
    padding = 0 if kernel == stride else kernel // 2
    groups = in_chs if depthwise else 1
    return nn.Conv2d(in_chs, out_chs, kernel, stride, padding, groups=groups, bias=bias)
