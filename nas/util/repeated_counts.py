"""Counts many networks on the meta device, computing the outcome of each operation once per shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nas.util.counts import Stats, refuse_other_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

_SELF = "what it was given"


@dataclass(frozen=True, slots=True)
class _Known:
    """The outcome of an operation: shape, strides and type of its tensors, and its cost."""

    out: Any
    flops: int


class RepeatedCounts:
    """Counts networks of one space like :func:`nas.util.counts.count`, but faster.

    On the meta device PyTorch computes shapes in Python, which takes nearly all of the time. Networks of one
    space repeat their layers, so the outcome of each operation is cached per shape. Operations that change a
    tensor, share its memory or compute with numbers (not on the meta device) are never cached.
    """

    def __init__(self) -> None:
        self._known: dict[Any, _Known] = {}
        self._pure: dict[Any, bool] = {}

    def count(
        self,
        build: Callable[[], nn.Module],
        input_size: int,
        in_chans: int = 3,
        num_classes: int | None = None,
    ) -> Stats:
        """Builds a network on the meta device and counts it.

        Args:
            build: Builds the network.
            input_size: Height and width of the image, pixels.
            in_chans: Number of image channels.
            num_classes: Required number of outputs per image; None accepts any.

        Raises:
            ValueError: If its output has another shape.
        """
        with torch.no_grad(), torch.device("meta"):
            with _Remembering(self._known, self._pure):
                model = build().eval()
            image = torch.empty(1, in_chans, input_size, input_size)
            with _Remembering(self._known, self._pure) as counter:
                given = model(image)
        refuse_other_shape(given, num_classes)
        params = sum(parameter.numel() for parameter in model.parameters())
        return Stats(params=params, macs=counter.flops // 2, flops=counter.flops)


class _Remembering(TorchDispatchMode):
    """Answers operations from the cache, by their input shapes, and sums their costs."""

    def __init__(self, known: dict[Any, _Known], pure: dict[Any, bool]) -> None:
        super().__init__()
        self._known, self._pure = known, pure
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        key = self._key(func, args, kwargs)
        known = self._known.get(key) if key else None
        if known is not None:
            self.flops += known.flops
            return args[0] if known.out is _SELF else _made(known.out)
        before, formula = self.flops, flop_registry.get(getattr(func, "overloadpacket", func))
        out = NotImplemented
        if formula is None:
            with self:  # in inference mode layers come here before they are taken apart
                out = func.decompose(*args, **kwargs)
        if out is NotImplemented:
            out = func(*args, **kwargs)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        if key:
            same = bool(args) and out is args[0]
            if not same or _shape(out) == key[1]:  # else it was resized
                self._known[key] = _Known(_SELF if same else _shape(out), self.flops - before)
        return out

    def _key(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Returns the cache key of a call; None for one that must not be cached."""
        pure = self._pure.get(func)
        if pure is None:
            pure = self._pure[func] = _is_pure(func)
        if not pure:
            return None
        found, tensors = [func], 0
        for value in (*args, *kwargs.values()) if kwargs else args:
            items = value if isinstance(value, (list, tuple)) else (value,)
            for item in items:
                if isinstance(item, torch.Tensor):
                    if not item.is_meta:
                        return None
                    tensors += 1
            found.append(_shape(value))
        return (*found, tuple(kwargs)) if tensors else None


def _is_pure(func: Any) -> bool:
    """Whether an operation only creates new tensors, or only changes the values of its first argument.

    On the meta device there are no values, so the latter has no effect.
    """
    if func in (torch.ops.aten.native_batch_norm.default, torch.ops.aten._native_batch_norm_legit.default):
        return True  # changes its running statistics
    schema = func._schema
    mutated = [place for place, one in enumerate(schema.arguments) if one.alias_info is not None]
    if not mutated:
        return all(one.alias_info is None for one in schema.returns)
    first = schema.arguments[0].alias_info
    return mutated == [0] and len(schema.returns) == 1 and bool(first.is_write)


def _shape(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype
    if isinstance(value, (tuple, list)):
        return tuple(map(_shape, value))
    return (type(value), value) if isinstance(value, (bool, int, float)) else value


def _made(shape: Any) -> Any:
    if shape is None:
        return None
    if isinstance(shape[0], torch.Size):
        return torch.empty_strided(shape[0], shape[1], dtype=shape[2], device="meta")
    return shape[1] if isinstance(shape[0], type) else tuple(map(_made, shape))
