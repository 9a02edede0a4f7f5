"""Which storages lie on which pretended GPU, and how much of its memory they take."""

from __future__ import annotations

import torch
from torch.multiprocessing.reductions import StorageWeakRef


class Memory:
    """GPUs that hold storages of the host: a tensor lies where its storage was said to lie.

    A storage is known by its address, which is not reused while a weak reference to it is kept.

    Args:
        count: Number of GPUs.
        size: Bytes of each.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size
        self._held: dict[int, tuple[StorageWeakRef, torch.device, int]] = {}
        self._pinned: dict[int, StorageWeakRef] = {}
        self._sum = dict.fromkeys(range(count), 0)
        self.peak = dict.fromkeys(range(count), 0)

    def device_of(self, tensor: torch.Tensor) -> torch.device:
        """Where a tensor lies."""
        if tensor.layout != torch.strided or tensor.is_meta:
            return _CPU if tensor.layout != torch.strided else torch.device("meta")
        return self.of_storage(tensor.untyped_storage())

    def of_storage(self, storage: torch.UntypedStorage) -> torch.device:
        """Where a storage lies."""
        held = self._held.get(storage._cdata)
        return _CPU if held is None else held[1]

    def put(self, tensor: torch.Tensor, device: torch.device) -> None:
        """Says where a tensor's storage lies.

        Raises:
            torch.OutOfMemoryError: If it does not fit there.
        """
        if tensor.layout == torch.strided and not tensor.is_meta:
            self.put_storage(tensor.untyped_storage(), device)

    def put_storage(self, storage: torch.UntypedStorage, device: torch.device) -> None:
        """As :meth:`put`."""
        old = self._held.pop(storage._cdata, None)
        if old is not None:
            self._sum[old[1].index] -= old[2]
        if device.type != "cuda":
            return
        index, size = device.index, storage.nbytes()
        if self._sum[index] + size > min(self.peak[index], self.size):
            self._forget_freed()
            if self._sum[index] + size > self.size:
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes.")
        self._held[storage._cdata] = (StorageWeakRef(storage), device, size)
        self._sum[index] += size
        self.peak[index] = max(self.peak[index], self._sum[index])

    def pin(self, tensor: torch.Tensor) -> None:
        """Says that a tensor of the host cannot be moved in its memory."""
        storage = tensor.untyped_storage()
        self._pinned[storage._cdata] = StorageWeakRef(storage)

    def is_pinned(self, tensor: torch.Tensor) -> bool:
        """Whether :meth:`pin` was told of it."""
        return tensor.untyped_storage()._cdata in self._pinned

    def allocated(self, index: int) -> int:
        """Bytes in use."""
        self._forget_freed()
        return self._sum[index]

    def reset_peak(self, index: int) -> None:
        """Resets the peak to the memory in use."""
        self.peak[index] = self.allocated(index)

    def _forget_freed(self) -> None:
        for key in [key for key, (ref, _, _) in self._held.items() if ref.expired()]:
            _, device, size = self._held.pop(key)
            self._sum[device.index] -= size
        for key in [key for key, ref in self._pinned.items() if ref.expired()]:
            del self._pinned[key]


_CPU = torch.device("cpu")
