"""The published networks once more, assembled and named as in the authors' files."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import torch
from timm.layers import BlurPool2d, SeparableConv2d, SqueezeExcite
from torch import nn

if TYPE_CHECKING:
    from pathlib import Path

    from search_spaces.nexception.geometry import Geometry


def excite(chs: int) -> nn.Module:
    return SqueezeExcite(chs, act_layer=nn.GELU, norm_layer=nn.BatchNorm2d)


class NamedLayers(nn.Module):
    """Named layers, run one after another, with a shortcut around them."""

    def __init__(self, layers: dict[str, nn.Module], skip: dict[str, nn.Module] | None = None) -> None:
        super().__init__()
        for name, layer in {**layers, **(skip or {})}.items():
            self.add_module(name, layer)
        self._order, self._skip = list(layers), list(skip or {})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x
        for name in self._skip:
            shortcut = getattr(self, name)(shortcut)
        for name in self._order:
            x = getattr(self, name)(x)
        return x + shortcut


def down(in_chs: int, middle: int, out_chs: int) -> NamedLayers:
    rep = nn.Sequential(
        *(SeparableConv2d(in_chs, middle, 5), nn.BatchNorm2d(middle), nn.GELU()),
        *(SeparableConv2d(middle, out_chs, 5), nn.BatchNorm2d(out_chs)),
        *(nn.MaxPool2d(3, 1, 1), BlurPool2d(out_chs, filt_size=3, stride=2)),
    )
    skip = {"skip": nn.Conv2d(in_chs, out_chs, 1, 2, bias=False), "skipbn": nn.BatchNorm2d(out_chs)}
    return NamedLayers({"rep": rep, "block_end": excite(out_chs)}, skip)


def middle(chs: int) -> NamedLayers:
    return NamedLayers(
        {
            "sepconv1": SeparableConv2d(chs, 3 * chs, 5),
            "norm1": nn.BatchNorm2d(3 * chs),
            "act": nn.GELU(),
            "sepconv2": SeparableConv2d(3 * chs, chs, 5),
            "norm2": nn.BatchNorm2d(chs),
            "sepconv3": SeparableConv2d(chs, chs, 5),
            "block_end": excite(chs),
        }
    )


class Isotropic(nn.Module):
    """NEXcepTion-T and -S."""

    def __init__(self, geometry: Geometry, num_classes: int) -> None:
        super().__init__()
        (a, b, c), (d, e, f) = geometry.widths, geometry.exit_chs
        stem = geometry.patchify_chs
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 2, 2), nn.GELU(), nn.BatchNorm2d(stem))
        self.downsampling_block1 = down(stem, a, a)
        self.downsampling_block2 = down(a, b, b)
        self.downsampling_block3 = down(b, c, c)
        self.middle_flow = nn.Sequential(*(middle(c) for _ in range(geometry.depths[-1])))
        self.exit_flow = nn.Sequential(
            *(down(c, c, d), SeparableConv2d(d, e, 3), nn.BatchNorm2d(e), nn.GELU()),
            *(SeparableConv2d(e, f, 3), nn.BatchNorm2d(f), nn.GELU()),
        )
        self.fc = nn.Linear(f, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.downsampling_block1(self.stem(x))
        x = self.downsampling_block3(self.downsampling_block2(x))
        return self.fc(self.exit_flow(self.middle_flow(x)).mean((2, 3)))


class Pyramid(nn.Module):
    """NEXcepTion-TP."""

    def __init__(self, geometry: Geometry, num_classes: int) -> None:
        super().__init__()
        widths, last = geometry.widths, geometry.widths[-1]
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), nn.BatchNorm2d(widths[0]))
        self.stages = nn.Sequential()
        for i, (width, depth) in enumerate(zip(widths, geometry.depths, strict=True)):
            stage = nn.Sequential()
            if i:
                between = (nn.BatchNorm2d(widths[i - 1]), nn.Conv2d(widths[i - 1], width, 2, 2))
                stage.add_module("downsample", nn.Sequential(*between))
            stage.add_module("blocks", nn.Sequential(*(middle(width) for _ in range(depth))))
            self.stages.append(stage)
        self.head = nn.Sequential()
        self.head.add_module("global_pool", nn.AdaptiveAvgPool2d(1))
        self.head.add_module("norm", nn.BatchNorm2d(last))
        self.head.add_module("flatten", nn.Flatten())
        self.head.add_module("fc", nn.Linear(last, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.stem(x)))


def network(geometry: Geometry, num_classes: int = 1000, seed: int = 0) -> nn.Module:
    """A network whose every weight and statistic has a value of its own."""
    torch.manual_seed(seed)
    model = (Pyramid if geometry.pyramid else Isotropic)(geometry, num_classes)
    for name, value in model.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 1.5)
        elif value.ndim == 1:
            value.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
        elif value.ndim == 0:
            value.fill_(390_290)  # updates seen by a batch norm
    return model.eval()


def checkpoint(model: nn.Module, path: Path, **more: Any) -> Path:
    """Saves as timm's ``train.py`` does: the weights beside options, optimiser and accuracy."""
    contents = {
        "epoch": 309,
        "arch": "nexception-t",
        "state_dict": model.state_dict(),
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-6}]},
        "version": 2,
        "args": argparse.Namespace(lr=2e-3, aa="rand-m7-mstd0.5-inc1", input_size=[3, 224, 224], amp=True),
        "amp_scaler": {"scale": 65536.0, "_growth_tracker": 3},
        "metric": 81.5,
    }
    torch.save({**contents, **more}, path)
    return path
