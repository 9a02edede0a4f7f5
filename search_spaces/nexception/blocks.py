"""Stem, residual block and tail, as a configuration shapes them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from timm.layers import BlurPool2d, DropPath, SeparableConv2d, SqueezeExcite, create_act_layer, get_norm_layer
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

# LayerNorm2d normalises channels at each pixel: no parameter depends on the image size.
NORM_LAYERS = {"batch": "batchnorm2d", "layer": "layernorm2d"}


@dataclass(frozen=True)
class Choices:
    """A configuration of the ``nexception`` space, and the layers it stands for.

    Positions are digits: activation i stands before convolution i of a block, norm i after it.
    """

    stem: str
    kernel_down: int
    kernel_mid: int
    pool: str
    bottleneck: bool
    se: bool
    activation: str
    activation_positions: str
    norm: str
    norm_positions: str

    @property
    def norm_layer(self) -> type[nn.Module]:
        """Class of the norms; it is called with the number of channels."""
        return get_norm_layer(NORM_LAYERS[self.norm])

    def act_layer(self, inplace: bool = True) -> nn.Module:
        """Activation; in place only where nothing else needs its input."""
        return create_act_layer(self.activation, inplace=inplace)

    def pool_layer(self, chs: int) -> nn.Module:
        """Pooling that halves the map, rounding up (``blur``: arXiv:1904.11486)."""
        if self.pool == "conv":
            return SeparableConv2d(chs, chs, 3, stride=2)
        if self.pool == "blur":
            return nn.Sequential(nn.MaxPool2d(3, 1, 1), BlurPool2d(chs, filt_size=3, stride=2))
        return nn.MaxPool2d(3, 2, 1)

    def se_layer(self, chs: int) -> nn.Module:
        """Squeeze-and-excitation (arXiv:1709.01507) with a norm inside, as NEXcepTion was released."""
        return SqueezeExcite(
            chs,
            rd_ratio=1 / 16,
            rd_divisor=8,
            norm_layer=self.norm_layer,
            act_layer=self.activation,  # type: ignore[arg-type]  # timm takes names, too
        )


class Stem(nn.Module):
    """First layers: ``(B, in_chans, H, W)`` to ``(B, out_chs, H / stride, W / stride)``.

    ``conv`` is Xception's (arXiv:1610.02357, figure 5), ``patchify`` NEXcepTion's (section 3.2).
    """

    def __init__(
        self,
        choices: Choices,
        in_chans: int,
        patchify_chs: int,
        conv_chs: Sequence[int],
        conv_padding: int,
        stride: int,
    ) -> None:
        super().__init__()
        layers: list[nn.Module]
        if choices.stem == "patchify":
            self.out_chs = patchify_chs
            layers = [nn.Conv2d(in_chans, patchify_chs, stride, stride)]
            if stride == 2:
                layers.append(choices.act_layer())
            layers.append(choices.norm_layer(patchify_chs))
        else:
            self.out_chs = conv_chs[-1]
            layers = []
            for in_chs, out_chs, step in zip((in_chans, *conv_chs), conv_chs, (2, stride // 2), strict=False):
                layers += [
                    nn.Conv2d(in_chs, out_chs, 3, step, conv_padding, bias=False),
                    choices.norm_layer(out_chs),
                    choices.act_layer(),
                ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_chans, H, W)`` to ``(B, out_chs, H / stride, W / stride)``."""
        return self.layers(x)


class Block(nn.Module):
    """Residual block of separable convolutions (NEXcepTion, figure 1).

    Args:
        choices: The configuration.
        chs: Channels before the first and after every convolution.
        kernel_size: Kernel size of every convolution, pixels.
        downsample: Pool the map to half its size, with a 1x1 convolution as the shortcut.
        leading_act: Whether an activation may stand before the first convolution.
        drop_path: Probability with which the branch is dropped in training.
    """

    def __init__(
        self,
        choices: Choices,
        chs: Sequence[int],
        kernel_size: int,
        downsample: bool,
        leading_act: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (in_chs, out_chs) in enumerate(pairwise(chs), start=1):
            if str(i) in choices.activation_positions and (i > 1 or leading_act):
                # The first one's input is the shortcut's input too.
                layers.append(choices.act_layer(inplace=i > 1))
            layers.append(SeparableConv2d(in_chs, out_chs, kernel_size))
            if str(i) in choices.norm_positions:
                layers.append(choices.norm_layer(out_chs))
        if downsample:
            layers.append(choices.pool_layer(chs[-1]))
        if choices.se:
            layers.append(choices.se_layer(chs[-1]))
        self.branch = nn.Sequential(*layers)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if downsample:
            self.shortcut = nn.Sequential(
                nn.Conv2d(chs[0], chs[-1], 1, stride=2, bias=False), choices.norm_layer(chs[-1])
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same, or to ``(B, C', H / 2, W / 2)`` rounded up."""
        return self.drop_path(self.branch(x)) + self.shortcut(x)


class Tail(nn.Module):
    """Xception's two last separable convolutions, always 3x3 (NEXcepTion, Table 5)."""

    def __init__(self, choices: Choices, chs: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for in_chs, out_chs in pairwise(chs):
            layers += [SeparableConv2d(in_chs, out_chs, 3), choices.norm_layer(out_chs), choices.act_layer()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', H, W)``."""
        return self.layers(x)
