"""Update rules whose changing numbers are on the device, so that a step can be recorded and replayed.

Optimizers keep their rates and counters on the host, and each step sends new ones to the device. Here the
numbers of an epoch's steps are computed beforehand in double precision, one row per step, and a step gets its
row as tensors. The state is that of the optimizer: up to rounding, its ``state_dict`` is the same as after as
many calls of its ``step``, and either can continue where the other stopped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from timm.optim import Lamb
from torch.optim import SGD, AdamW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from torch.optim import Optimizer


class _Group(NamedTuple):
    """Parameters that have a gradient, with the group's settings and the tensors of its state by name."""

    settings: dict[str, Any]
    params: list[Tensor]
    grads: list[Tensor]
    state: dict[str, list[Tensor]]


class UpdateRule(ABC):
    """Does the same as an optimizer's ``step``.

    Args:
        optimizer: The optimizer whose parameters, settings and state are used.
    """

    numbers: int  # how many a group needs per step
    averages: tuple[str, ...]  # names of the state's tensors
    counted_by: Literal["group", "parameter", "nobody"] = "parameter"

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    @abstractmethod
    def row(self, group: dict[str, Any], lr: float, step: int) -> list[float]:
        """Computes the numbers that change from step to step, for one group of parameters.

        Args:
            group: The group's settings.
            lr: The learning rate.
            step: Number of the step, counted from 1.
        """

    @abstractmethod
    def _update(self, group: _Group, numbers: Sequence[Tensor]) -> None: ...

    def rows(self, lr: float, step: int) -> list[float]:
        """Concatenates the numbers of all groups; ``step`` counts from 1."""
        return [number for group in self.optimizer.param_groups for number in self.row(group, lr, step)]

    def prepare(self) -> None:
        """Creates missing state, as the optimizer would at its first step."""
        for group in self.optimizer.param_groups:
            if self.counted_by == "group" and "step" not in group:
                group["step"] = torch.zeros(())
            for parameter in group["params"]:
                state = self.optimizer.state[parameter]
                if self.counted_by == "parameter" and "step" not in state:
                    state["step"] = torch.zeros(())
                for name in self.averages:
                    if state.get(name) is None:
                        state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)

    def counted(self, lr: float, step: int) -> None:
        """Records on the host the last step's rate and that ``step`` steps are done."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            if self.counted_by == "group":
                group["step"].fill_(step)
            elif self.counted_by == "parameter":
                for parameter in group["params"]:
                    self.optimizer.state[parameter]["step"].fill_(step)

    @property
    def tensors(self) -> dict[str, list[Tensor]]:
        """Returns the state's tensors by name; after :meth:`prepare`."""
        params = [p for group in self.optimizer.param_groups for p in group["params"]]
        return {name: [self.optimizer.state[p][name] for p in params] for name in self.averages}

    @torch.no_grad()
    def update(self, numbers: Sequence[Tensor]) -> None:
        """Updates parameters and state by the present gradients.

        Args:
            numbers: Numbers of this step, ``()`` each, in the order of :meth:`rows`.
        """
        groups = self.optimizer.param_groups
        for number, group in enumerate(groups):
            params = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not params:
                continue
            own = numbers[number * self.numbers : (number + 1) * self.numbers]
            state = {name: [self.optimizer.state[p][name] for p in params] for name in self.averages}
            self._update(_Group(group, params, [p.grad for p in params], state), own)


class LambRule(UpdateRule):
    """LAMB (arXiv 1904.00962) with the gradient's norm clipped over all parameters, as timm has it.

    An update is ``m / (sqrt(v) / sqrt(c2) + eps)`` plus the weight decay; the division of it all by ``c1``,
    which corrects the bias of the first average, is part of the step size.
    """

    numbers = 4
    averages = ("exp_avg", "exp_avg_sq")
    counted_by = "group"

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        self._clip: Tensor | None = None
        self._spreads: dict[tuple[int, int], _Spread] = {}

    def row(self, group: dict[str, Any], lr: float, step: int) -> list[float]:
        """Returns step size, root of the second average's correction, the first's, and the weight decay."""
        beta1, beta2 = group["betas"]
        first = 1 - beta1**step
        return [lr / first, math.sqrt(1 - beta2**step), first, group["weight_decay"] * first]

    @torch.no_grad()
    def update(self, numbers: Sequence[Tensor]) -> None:
        """See the base class; leaves the gradients unchanged."""
        groups = self.optimizer.param_groups
        grads = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        largest = self.optimizer.defaults["max_grad_norm"]
        self._clip = None
        if grads and largest is not None:
            norm = torch.linalg.vector_norm(torch.stack(list(torch._foreach_norm(grads))))
            self._clip = (norm / largest).clamp_(min=1.0)
        super().update(numbers)

    def _update(self, group: _Group, numbers: Sequence[Tensor]) -> None:
        settings, params, (size, root, first, decay) = group.settings, group.params, numbers
        if self._clip is not None:
            group = group._replace(grads=list(torch._foreach_div(group.grads, self._clip)))
        updates = _adam(group, root)
        if settings["weight_decay"]:
            torch._foreach_add_(updates, torch._foreach_mul(params, decay))
        if settings["weight_decay"] or settings["always_adapt"]:
            lengths = torch.stack(list(torch._foreach_norm(params)))
            steps = torch.stack(list(torch._foreach_norm(updates))) / first
            ratio = torch.where((lengths > 0) & (steps > 0), lengths / steps, 1.0)
            if settings["trust_clip"]:
                ratio = ratio.clamp(max=1.0)
            torch._foreach_mul_(updates, self._spread(params)(ratio * size))
        else:
            torch._foreach_mul_(updates, size)
        torch._foreach_sub_(params, updates)

    def _spread(self, params: list[Tensor]) -> _Spread:
        key = id(params[0]), len(params)
        if key not in self._spreads:
            self._spreads[key] = _Spread(params)
        return self._spreads[key]


def _adam(group: _Group, root: Tensor) -> list[Tensor]:
    """Updates the averages and returns ``m / (sqrt(v) / root + eps)`` (Adam, arXiv 1412.6980)."""
    (beta1, beta2), grads = group.settings["betas"], group.grads
    mean, square = group.state["exp_avg"], group.state["exp_avg_sq"]
    torch._foreach_lerp_(mean, grads, weight=1 - beta1)
    torch._foreach_mul_(square, beta2)
    torch._foreach_addcmul_(square, grads, grads, value=1 - beta2)
    below = torch._foreach_sqrt(square)
    torch._foreach_div_(below, root)
    torch._foreach_add_(below, group.settings["eps"])
    return list(torch._foreach_div(mean, below))


class _Spread:
    """Expands one number per tensor to the tensors' shapes and layouts in one gather.

    Multiplying each tensor by its number takes a launch per tensor; by a tensor of its shape, a few in all.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._layouts = [(tensor.shape, tensor.stride()) for tensor in tensors]
        self._sizes = [tensor.numel() for tensor in tensors]
        owner = np.repeat(np.arange(len(tensors), dtype=np.int32), self._sizes)
        self._owner = torch.from_numpy(owner).to(tensors[0].device)

    def __call__(self, numbers: Tensor) -> list[Tensor]:
        """Maps ``(N,)`` to N tensors."""
        parts = numbers.index_select(0, self._owner).split(self._sizes)
        return [
            part.as_strided(shape, stride, part.storage_offset())
            for part, (shape, stride) in zip(parts, self._layouts, strict=True)
        ]


class AdamWRule(UpdateRule):
    """AdamW (arXiv 1711.05101), as in PyTorch."""

    numbers = 3
    averages = ("exp_avg", "exp_avg_sq")

    def row(self, group: dict[str, Any], lr: float, step: int) -> list[float]:
        """Returns the remaining share of a weight, step size, and root of the second average's correction."""
        beta1, beta2 = group["betas"]
        return [1 - lr * group["weight_decay"], lr / (1 - beta1**step), math.sqrt(1 - beta2**step)]

    def _update(self, group: _Group, numbers: Sequence[Tensor]) -> None:
        kept, size, root = numbers
        if group.settings["weight_decay"]:
            torch._foreach_mul_(group.params, kept)
        updates = _adam(group, root)
        torch._foreach_mul_(updates, size)
        torch._foreach_sub_(group.params, updates)


class SgdRule(UpdateRule):
    """SGD with plain or Nesterov momentum, as in PyTorch: the first step's average is its gradient."""

    numbers = 1
    counted_by = "nobody"

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        self.averages = ("momentum_buffer",) if optimizer.defaults["momentum"] else ()

    def row(self, group: dict[str, Any], lr: float, step: int) -> list[float]:  # noqa: ARG002
        """Returns the learning rate alone."""
        return [lr]

    def _update(self, group: _Group, numbers: Sequence[Tensor]) -> None:
        settings, params, grads, state = group
        if settings["weight_decay"]:
            grads = list(torch._foreach_add(grads, params, alpha=settings["weight_decay"]))
        updates = grads
        if settings["momentum"]:
            updates = mean = state["momentum_buffer"]
            torch._foreach_mul_(mean, settings["momentum"])
            torch._foreach_add_(mean, grads)
            if settings["nesterov"]:
                updates = list(torch._foreach_add(grads, mean, alpha=settings["momentum"]))
        torch._foreach_sub_(params, torch._foreach_mul(updates, numbers[0]))


def rule_of(optimizer: Optimizer) -> UpdateRule:
    """Returns the rule that does the same as an optimizer."""
    rules: dict[type, type[LambRule] | type[AdamWRule] | type[SgdRule]]
    rules = {Lamb: LambRule, AdamW: AdamWRule, SGD: SgdRule}
    return rules[type(optimizer)](optimizer)
