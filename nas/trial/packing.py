"""Hundreds of small tensors as one of each type: a checkpoint is then written and read ten times faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

_TENSOR = "tensor"
_PACKED = {"tree", "flat"}


def pack(state: dict[str, Any]) -> dict[str, Any]:
    """Puts the tensors of nested dictionaries, lists and tuples one behind the other.

    Args:
        state: Tensors, numbers, strings, None. Tensors may lie anywhere: most optimisers count their steps
            on the CPU while their moments lie on the GPU.

    Returns:
        ``flat``, one tensor ``(N,)`` on the CPU for each type, and ``tree``, the state with ``(_TENSOR, type,
        start, shape, stride)`` in the place of each tensor: optimisers want the memory layout back too.
        Where a tensor lay is not kept, since ``load_state_dict`` knows where it is wanted. A tensor that
        is not plain memory, such as a sparse one, stays itself, on the CPU.
    """
    parts: dict[torch.dtype, list[Tensor]] = {}
    lengths: dict[torch.dtype, int] = {}

    def place(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.is_quantized:
                return value.detach().cpu()
            if value.is_conj() or value.is_neg() or not _owns_memory(value):
                value = value.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
            value = value.detach().cpu()  # one by one, so that a GPU need not hold everything twice
            start = lengths.get(value.dtype, 0)
            lengths[value.dtype] = start + value.numel()
            parts.setdefault(value.dtype, []).append(value.as_strided((value.numel(),), (1,)))
            which = list(parts).index(value.dtype)
            return _TENSOR, which, start, tuple(value.shape), value.stride()
        return _walk(place, value)

    tree = place(state)
    return {"tree": tree, "flat": [torch.cat(some) for some in parts.values()]}


def unpack(packed: dict[str, Any]) -> dict[str, Any]:
    """What :func:`pack` was given; a state that was never packed comes back as it is."""
    if set(packed) != _PACKED:
        return packed

    def find(value: Any) -> Any:
        if isinstance(value, tuple) and value[:1] == (_TENSOR,):
            _, which, start, shape, stride = value
            some: Tensor = packed["flat"][which][start : start + torch.Size(shape).numel()]
            return some.clone().as_strided(shape, stride)
        return _walk(find, value)

    state: dict[str, Any] = find(packed["tree"])
    return state


def _owns_memory(value: Tensor) -> bool:
    """Whether it is no view of something larger, or of one number many times."""
    storage = value.untyped_storage().nbytes()
    return bool(storage == value.numel() * value.element_size() and value.storage_offset() == 0)


def _walk(visit: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: visit(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(visit(item) for item in value)
    return value
