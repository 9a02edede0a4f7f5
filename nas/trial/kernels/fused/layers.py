"""Chooses by fixed rules which of a network's layers between convolutions are computed in fewer passes.

On a GPU: norms with the activation that follows them, both poolings, squeeze-and-excitation; each after it
agreed with the plain layer on an example. On a CPU squeeze-and-excitation only (measured:
``benchmarks/NOTES.md``).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import torch
from timm.layers import BlurPool2d, LayerNorm2d, SqueezeExcite
from torch import nn

from nas.trial.kernels.checked import TOLERANCES, example
from nas.trial.kernels.fused.activation import LAYERS, NONE, kind_of
from nas.trial.kernels.fused.batch_norm import BatchNormAct2d
from nas.trial.kernels.fused.layer_norm import LayerNormAct2d
from nas.trial.kernels.fused.pooling import FastMaxPool2d, MaxBlurPool2d
from nas.trial.kernels.fused.squeeze import FastSqueezeExcite

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from nas.trial.kernels.checked import Checks

# Shape of the examples: real widths are multiples of these channels, no power of two; the side is odd.
_SHAPE = (4, 48, 7, 7)


def use_fast_squeeze(model: nn.Module) -> None:
    """Replaces squeeze-and-excitation by its faster form in plain PyTorch.

    Args:
        model: The network, changed in place; parameters, their names and results are unchanged.
    """
    for name, module in list(model.named_modules()):
        if FastSqueezeExcite.takes(module):
            model.set_submodule(name, FastSqueezeExcite(module, in_triton=False))


class FusedLayers:
    """Replaces layers by implementations in Triton.

    Args:
        checks: Compare each implementation with the plain layer before it is used.
        device: Device that trains the networks.
        dtype: Data type of their forward passes.
    """

    def __init__(self, checks: Checks, device: torch.device, dtype: torch.dtype) -> None:
        self._checks, self._device, self._dtype = checks, device, dtype

    def install(self, model: nn.Module) -> None:
        """Changes a network in place; parameters, their names and results are unchanged."""
        for module in list(model.modules()):
            self._replace_norms(module)
        for name, module in list(model.named_modules()):
            fast = self._faster(module) if name else None  # the network itself cannot be replaced in place
            if fast is not None:
                model.set_submodule(name, fast)

    def _replace_norms(self, parent: nn.Module) -> None:
        """Replaces a module's norms, together with the activation after each if its children run in order."""
        children = list(parent.named_children())
        in_order = type(parent) in (nn.Sequential, SqueezeExcite)
        for number, (name, norm) in enumerate(children):
            follower, kind = "", NONE
            if in_order and number + 1 < len(children):
                follower, kind = children[number + 1][0], kind_of(children[number + 1][1]) or NONE
            fast = self._faster_norm(norm, kind)
            if fast is not None:
                parent.set_submodule(name, fast)
                if kind != NONE:
                    parent.set_submodule(follower, nn.Identity())

    def _faster_norm(self, norm: Any, kind: str) -> nn.Module | None:
        """Fuses a norm with an activation; None if that is not possible or does not work here."""
        plain: type[nn.Module]
        fast: type[BatchNormAct2d | LayerNormAct2d]
        if BatchNormAct2d.takes(norm):
            name, plain, fast = "batch norm", nn.BatchNorm2d, BatchNormAct2d
        elif LayerNormAct2d.takes(norm):
            name, plain, fast = "layer norm", LayerNorm2d, LayerNormAct2d
        else:
            return None
        works = self._works(
            name if kind == NONE else f"{name} with {kind.upper()}",
            lambda: nn.Sequential(plain(_SHAPE[1]), LAYERS[kind]()),
            lambda layers: fast(layers[0], kind),
        )
        return fast(norm, kind) if works else None

    def _faster(self, layer: nn.Module) -> nn.Module | None:
        """Returns pooling or squeeze-and-excitation in fewer passes; None if it does not work here."""
        if MaxBlurPool2d.takes(layer):
            blur = functools.partial(BlurPool2d, _SHAPE[1], filt_size=3, stride=2)
            works = self._works(
                "blur pooling",
                lambda: nn.Sequential(nn.MaxPool2d(3, 1, 1), blur()),
                lambda _: MaxBlurPool2d(),
            )
            return MaxBlurPool2d() if works else None
        if FastMaxPool2d.takes(layer):
            works = self._works("max pooling", lambda: nn.MaxPool2d(3, 2, 1), lambda _: FastMaxPool2d())
            return FastMaxPool2d() if works else None
        if FastSqueezeExcite.takes(layer):
            works = self._works(
                "squeeze-and-excitation",
                lambda: SqueezeExcite(_SHAPE[1], rd_ratio=1 / 4),
                lambda plain: FastSqueezeExcite(plain, in_triton=True),
            )
            return FastSqueezeExcite(layer, in_triton=True) if works else None
        return None

    def _works(self, name: str, plain: Callable[[], nn.Module], faster: Callable[[Any], nn.Module]) -> bool:
        """Whether the faster form of a layer agrees with the layer in double precision."""
        return self._checks.passes(
            f"{name} in Triton",
            self._dtype,
            lambda: self._computed(faster(self._trained(plain)), self._dtype),
            lambda: self._computed(self._trained(plain).double(), torch.float64),
            TOLERANCES[self._dtype],
        )

    def _trained(self, plain: Callable[[], nn.Module]) -> nn.Module:
        """Returns a layer with weights as after some training."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            layer = plain().to(self._device)
            for number, parameter in enumerate(layer.parameters()):
                numbers = example(*parameter.shape, device=self._device, dtype=torch.float32, seed=number)
                parameter.copy_(
                    1 + numbers / 4 if parameter.dim() == 1 else numbers / math.sqrt(numbers[0].numel())
                )
        return layer

    def _computed(self, layer: nn.Module, dtype: torch.dtype) -> list[Tensor]:
        """Returns a layer's output, gradients and statistics in training, then its output in evaluation."""
        x = example(*_SHAPE, device=self._device, dtype=self._dtype).to(dtype).requires_grad_()
        half = dtype in (torch.bfloat16, torch.float16)
        with torch.autocast(self._device.type, dtype if half else None, enabled=half):
            trained = layer.train()(x)
        gradient = example(*trained.shape, device=self._device, dtype=self._dtype, seed=1)
        trained.backward(gradient.to(trained.dtype))
        with torch.no_grad(), torch.autocast(self._device.type, dtype if half else None, enabled=half):
            judged = layer.eval()(x)
        parameters = dict(layer.named_parameters())
        found = [trained, judged, *(p.grad for p in (x, *parameters.values()) if p.grad is not None)]
        return [*found, *(kept for name, kept in layer.state_dict().items() if name not in parameters)]
