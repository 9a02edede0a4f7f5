"""A running average of a network's weights, swapped in for validation."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn


class WeightAverage:
    """Polynomial averaging (Shamir and Zhang, arXiv 1212.1824), whose window grows with the number of steps.

    The results are those of timm's ``ModelEmaV3``, which copies the whole module and walks through both
    copies at every step. Buffers are not averaged: the statistics of batch norms are estimated for whatever
    weights are validated, and training never reads them.

    Args:
        model: The network, already on its device; its parameters must stay the same objects.
        share: Share of all steps, counted from the last, that weigh most.
    """

    def __init__(self, model: nn.Module, share: float) -> None:
        parameters = dict(model.named_parameters())
        self._names = list(parameters)
        self._live: list[Tensor] = list(parameters.values())
        self._mean = [parameter.detach().clone() for parameter in self._live]
        self._gamma = 1 / share

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Averages in the weights after step ``step``, counted from 0; the first are copied."""
        torch._foreach_lerp_(self._mean, self._live, weight=self.weight(step))

    def weight(self, step: int) -> float:
        """Returns the share of the average that the weights after step ``step`` get."""
        decay = 1 - (1 + step / self._gamma) ** -1.0
        return 1.0 - decay

    @torch.no_grad()
    def blend(self, weight: Tensor) -> None:
        """Averages in the weights with a share ``()`` on their device."""
        taken = torch._foreach_mul(self._live, weight)
        torch._foreach_mul_(self._mean, 1 - weight)
        torch._foreach_add_(self._mean, taken)

    @property
    def tensors(self) -> list[Tensor]:
        """Returns the averages in the order of the network's parameters."""
        return self._mean

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Gives the network the averaged weights inside the block, and its own ones back at the end."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the averaged weights by name."""
        return dict(zip(self._names, self._mean, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Loads weights from :meth:`state_dict`.

        Raises:
            KeyError: If one is missing.
            RuntimeError: If one has another shape.
        """
        for name, mean in zip(self._names, self._mean, strict=True):
            if state[name].shape != mean.shape:
                raise RuntimeError(f"{name} has shape {tuple(state[name].shape)}, not {tuple(mean.shape)}")
            mean.copy_(state[name])

    def _swap(self) -> None:
        for live, mean in zip(self._live, self._mean, strict=True):
            live.data, mean.data = mean.data, live.data
