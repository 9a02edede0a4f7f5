"""The calls of ``torch.cuda`` and related modules, as the pretended GPU answers them.

PyTorch's own Python stays wherever it can: for example, it refuses a device without an index.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.cuda.double import Generator, Gpu

NAME = "Pretended GPU"


def install(patch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    """Puts the double's answers in the place of the driver's."""
    _devices(patch, gpu)
    _memory(patch, gpu)
    _random(patch, gpu)
    _autocast(patch)
    _streams(patch, gpu)
    _files(patch, gpu)


def _devices(patch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    count = gpu.memory.count

    def choose(index: int) -> int:
        before = gpu.current
        if index >= 0:
            gpu.current = gpu.named(index).index
        return before

    def properties(index: int) -> SimpleNamespace:
        return SimpleNamespace(
            name=NAME,
            total_memory=gpu.memory.size,
            major=9,
            minor=0,
            multi_processor_count=132,
            warp_size=32,
            L2_cache_size=50 * 2**20,
        )

    patch.setattr("torch.cuda.device_count", lambda: count)
    patch.setattr("torch.cuda._cached_device_count", None)
    patch.setattr("torch.cuda.is_available", lambda: count > 0)
    patch.setattr("torch._C._cuda_getDeviceCount", lambda: count)
    patch.setattr("torch.accelerator.is_available", lambda: count > 0)
    patch.setattr("torch.accelerator.device_count", lambda: count)
    patch.setattr("torch.accelerator.current_accelerator", lambda check_available=False: torch.device("cuda"))
    patch.setattr("torch.accelerator.current_device_index", lambda: gpu.current)
    patch.setattr("torch.accelerator.set_device_index", lambda device: None)
    if count == 0:
        return
    patch.setattr("torch.cuda._initialized", True)
    patch.setattr("torch.cuda._lazy_init", lambda: None)
    patch.setattr("torch._C._cuda_setDevice", choose)
    patch.setattr("torch._C._cuda_getDevice", lambda: gpu.current)
    patch.setattr("torch.cuda._check_stray_context", lambda device: None, raising=False)
    patch.setattr("torch.cuda._exchange_device", choose)
    patch.setattr("torch.cuda._maybe_exchange_device", choose)
    patch.setattr("torch.cuda._get_device_properties", properties, raising=False)
    patch.setattr("torch._C._cuda_synchronize", lambda: gpu.wait("synchronize"))
    patch.setattr("torch.backends.cudnn.version", lambda: 91000)


def _memory(patch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    def stats(index: int) -> dict[str, Any]:
        here = {"current": gpu.memory.allocated(index), "peak": gpu.memory.peak[index]}
        return {"allocated_bytes": {"all": here}, "reserved_bytes": {"all": here}}

    def info(device: Any = None) -> tuple[int, int]:
        index = gpu.current if device is None else gpu.named(device).index
        return gpu.memory.size - gpu.memory.allocated(index), gpu.memory.size

    patch.setattr("torch._C._cuda_emptyCache", lambda: gpu.calls.append("empty_cache"))
    patch.setattr("torch._C._cuda_resetPeakMemoryStats", gpu.memory.reset_peak)
    patch.setattr(
        "torch.cuda.memory.memory_stats_as_nested_dict",
        lambda device=None: stats(gpu.named("cuda" if device is None else device).index),
    )
    patch.setattr("torch.cuda.mem_get_info", info)
    patch.setattr("torch.Tensor.pin_memory", _pinning(gpu))


def _pinning(gpu: Gpu) -> Any:
    """Also for the loader's thread, which knows nothing of the double's modes."""

    def pin_memory(tensor: torch.Tensor, device: Any = None) -> torch.Tensor:
        if gpu.memory.count == 0:
            raise RuntimeError("Cannot access accelerator device when none is available.")
        if gpu.device_of(tensor).type == "cuda":
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        with torch._C.DisableTorchFunction():
            out = tensor.clone()
            gpu.memory.pin(out)
        return out

    return pin_memory


def _random(patch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    generators = tuple(Generator(f"cuda:{i}") for i in range(gpu.memory.count))
    patch.setattr("torch.Generator", Generator)
    patch.setattr("torch.cuda.default_generators", generators)
    if generators:
        patch.setattr("torch.cuda.get_rng_state", lambda device="cuda": torch.get_rng_state())
        patch.setattr("torch.cuda.set_rng_state", lambda state, device="cuda": torch.set_rng_state(state))


def _autocast(patch: pytest.MonkeyPatch) -> None:
    """CUDA's is the CPU's here."""
    begin = torch.autocast.__init__

    def autocast(
        self: Any, device_type: str, dtype: Any = None, enabled: bool = True, **options: Any
    ) -> None:
        if device_type == "cuda":
            if enabled and dtype == torch.bfloat16 and not torch.cuda.is_bf16_supported():
                raise RuntimeError("Current CUDA Device does not support bfloat16.")
            device_type, dtype = "cpu", torch.float16 if dtype is None else dtype
        begin(self, device_type, dtype=dtype, enabled=enabled, **options)

    patch.setattr("torch.autocast.__init__", autocast)
    for name in ("is_autocast_enabled", "get_autocast_dtype"):
        real = getattr(torch, name)
        patch.setattr(
            f"torch.{name}", lambda device="cuda", real=real: real("cpu" if device == "cuda" else device)
        )


def _files(patch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    """Makes files say where their tensors lay; loading puts them back there unless told otherwise."""

    def tag(storage: Any) -> str | None:
        device = gpu.memory.of_storage(getattr(storage, "_untyped_storage", storage))
        return str(device) if device.type == "cuda" else None

    def restore(storage: Any, location: str) -> Any:
        if not location.startswith("cuda"):
            return None
        index = torch.device(location).index or 0
        if index >= gpu.memory.count:
            raise RuntimeError(
                f"Attempting to deserialize object on CUDA device {index} but torch.cuda.device_count() is "
                f"{gpu.memory.count}. Please use torch.load with map_location."
            )
        gpu.memory.put_storage(getattr(storage, "_untyped_storage", storage), torch.device("cuda", index))
        return storage

    registry = torch.serialization._package_registry
    patch.setattr("torch.serialization._package_registry", [(0, tag, restore), *registry])


def _streams(patch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    stream = Stream(is_capturing=lambda: gpu.recording is not None)

    @contextlib.contextmanager
    def on(_: Any) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def capture(graph: Graph, **_: Any) -> Iterator[None]:
        gpu.recording = graph.operations
        try:
            yield
        finally:
            gpu.recording = None

    patch.setattr("torch.cuda.Stream", Stream)
    patch.setattr("torch.cuda.Event", Event)
    patch.setattr("torch.cuda.current_stream", lambda device=None: stream)
    patch.setattr("torch.accelerator.current_stream", lambda device=None: stream)
    patch.setattr("torch.cuda.stream", on)
    patch.setattr("torch.cuda.set_stream", lambda stream: None)
    patch.setattr("torch.cuda.CUDAGraph", Graph)
    patch.setattr("torch.cuda.graph", capture)
    patch.setattr("torch.cuda.is_current_stream_capturing", lambda: gpu.recording is not None)


class Stream:
    """Everything is done in order anyway."""

    def __init__(
        self, device: Any = None, priority: int = 0, is_capturing: Callable[[], bool] = lambda: False
    ) -> None:
        self.device = device
        self.is_capturing = is_capturing

    def wait_stream(self, stream: Stream) -> None:
        """Nothing to wait for."""

    def synchronize(self) -> None:
        """Nothing to wait for."""


class Event:
    """A moment on the host's clock."""

    def __init__(self, enable_timing: bool = False, **_: Any) -> None:
        self._moment = 0.0

    def record(self, stream: Any = None) -> None:
        """Takes the time."""
        self._moment = time.perf_counter()

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def query(self) -> bool:
        """It has happened."""
        return True

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds."""
        return 1000 * (end._moment - self._moment)


class Graph:
    """Operations, computed again on the tensors they were recorded on."""

    def __init__(self) -> None:
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    @torch.no_grad()
    def replay(self) -> None:
        """Computes them."""
        from torch.utils._pytree import tree_leaves

        for func, args, kwargs, out in self.operations:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and not _same_memory(old, new):
                    old.copy_(new)


def _same_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    with torch._C.DisableTorchFunction():
        return one.untyped_storage()._cdata == other.untyped_storage()._cdata
