"""A pretended GPU: tensors compute on the CPU, claim to lie on ``cuda:0``, and mix as CUDA's do.

PyTorch sees CPU tensors, so that all of it works, the backward pass too. Two modes stand above it. One
answers what Python asks (``.device``, ``.to``, ``torch.zeros(device=...)``); the other sees every operation
that is computed, those of the backward pass and inside composite ones too, and refuses what CUDA refuses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _device
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode

from tests.cuda.memory import Memory

aten = torch.ops.aten
CPU = torch.device("cpu")
# Their operands may lie apart.
COPIES = {aten.copy_, aten._foreach_copy_, aten.set_, aten._copy_from}
ASKS = {aten._has_compatible_shallow_copy_type, aten.is_same_size}
# CUDA takes the places to read or write from the host as well.
INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
# What the host learns only by waiting for the device.
WAITS = {aten._local_scalar_dense, aten.nonzero, aten.equal, aten.bincount, aten.masked_select, aten._unique2}
_CAPTURING = "CUDA error: operation not permitted when stream is capturing"


class Gpu:
    """The machine's pretended GPUs, and what has been asked of them.

    Attributes:
        memory: What lies on them.
        current: The current one.
        waits: Operations that made the host wait, in order.
        forbidden: Whether a wait is an error.
        recording: Operations recorded for a graph, or None.
        calls: Names of the calls of ``torch.cuda`` that do nothing here, in order.
    """

    def __init__(self, count: int, size: int) -> None:
        self.memory = Memory(count, size)
        self.current = 0
        self.waits: list[str] = []
        self.forbidden = False
        self.recording: list[tuple[Any, Any, Any, Any]] | None = None
        self.calls: list[str] = []
        self._around: list[torch.device] = [CPU]

    @contextlib.contextmanager
    def no_waiting(self) -> Iterator[None]:
        """Where the host must not wait for the device."""
        before, self.forbidden = self.forbidden, True
        try:
            yield
        finally:
            self.forbidden = before

    def wait(self, what: str) -> None:
        """The host waits.

        Raises:
            RuntimeError: If it must not.
        """
        if self.recording is not None:
            raise RuntimeError(f"{_CAPTURING} ({what})")
        if self.forbidden:
            raise RuntimeError(f"{what} waits for the device")
        self.waits.append(what)

    def named(self, device: Any) -> torch.device:
        """Returns the device meant: with an index, and present.

        Raises:
            RuntimeError: As CUDA does for a GPU that is not there.
        """
        found = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
        if found.type != "cuda":
            return found
        index = self.current if found.index is None else found.index
        if self.memory.count == 0:
            raise RuntimeError("No CUDA GPUs are available")
        if index >= self.memory.count:
            raise torch.AcceleratorError("CUDA error: invalid device ordinal")
        return torch.device("cuda", index)

    def device_of(self, tensor: torch.Tensor) -> torch.device:
        """Where a tensor lies."""
        with torch._C.DisableTorchFunction():
            return self.memory.device_of(tensor)

    @property
    def around(self) -> torch.device:
        """Returns where operations without operands place their results."""
        return self._around[-1]

    @contextlib.contextmanager
    def inside(self, device: torch.device) -> Iterator[None]:
        """Where a composite operation of that device is computed."""
        self._around.append(device)
        try:
            yield
        finally:
            self._around.pop()


class Operations(TorchDispatchMode):
    """Sees every operation: refuses mixed devices, says where results lie, notices waits."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            inputs = _tensors((args, kwargs))
            packet = func.overloadpacket
            device = self._device(func, packet, args, kwargs, inputs)
            if device.type == "cuda" and self._waits(packet, args):
                self.gpu.wait(str(packet))
            before = {_key(tensor) for tensor in inputs}
            out = func(*args, **kwargs)
            for tensor in _tensors(out) if packet is not aten.set_ else ():
                if _key(tensor) not in before:
                    self.gpu.memory.put(tensor, device)
            if self.gpu.recording is not None and device.type == "cuda":
                self.gpu.recording.append((func, args, kwargs, out))
        return out

    def _device(self, func: Any, packet: Any, args: Any, kwargs: Any, inputs: Any) -> torch.device:
        if not inputs or packet in ASKS:
            return self.gpu.around
        of = self.gpu.memory.device_of
        if packet in COPIES:
            source, target = of(inputs[-1]), of(inputs[0])
            if source.type == "cuda" and target.type == "cpu":
                self.gpu.wait(str(packet))
            return target
        if packet in INDEXED:
            places = [place for place in _tensors(args[1]) if of(place).type == "cpu"]
            inputs = [tensor for tensor in inputs if not any(tensor is place for place in places)]
        devices = {of(tensor) for tensor in inputs if tensor.dim() or of(tensor).type == "cuda"} - {_META}
        if len(devices) > 1:
            one, other = sorted(map(str, devices))[:2]
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{other} and {one}! ({packet})"
            )
        device = next(iter(devices), CPU)
        for argument, value in zip(func._schema.arguments, args, strict=False):
            written = argument.alias_info is not None and argument.alias_info.is_write
            if written and any(of(tensor) != device for tensor in _tensors(value) if not tensor.is_meta):
                raise RuntimeError(
                    f"Expected all tensors to be on the same device: {packet} writes elsewhere"
                )
        return device

    def _waits(self, packet: Any, args: Any) -> bool:
        if packet in INDEXED:
            return any(place.dtype in (torch.bool, torch.uint8) for place in _tensors(args[1]))
        return packet in WAITS


class Questions(TorchFunctionMode):
    """Answers what Python code asks of tensors and for tensors."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.gpu = gpu
        self._answers: dict[Any, Callable[..., Any]] = {
            torch.Tensor.device.__get__: lambda x: gpu.device_of(x),
            torch.Tensor.is_cuda.__get__: lambda x: gpu.device_of(x).type == "cuda",  # type: ignore[attr-defined]
            torch.Tensor.is_cpu.__get__: lambda x: gpu.device_of(x).type == "cpu",  # type: ignore[attr-defined]
            torch.Tensor.get_device: lambda x: -1 if (i := gpu.device_of(x).index) is None else i,
            torch.Tensor.to: self._to,
            torch.Tensor.cpu: lambda x, memory_format=torch.preserve_format: self._to(
                x, "cpu", memory_format=memory_format
            ),
            torch.Tensor.cuda: lambda x, device="cuda", non_blocking=False: self._to(x, device),
            torch.Tensor.pin_memory: self._pin,
            torch.Tensor.tolist: self._tolist,
            torch.Tensor.is_pinned: lambda x, device=None: gpu.memory.is_pinned(x),
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _ABOUT_DEVICES:
            return func(*args, **kwargs)
        if func in self._answers:
            return self._answers[func](*args, **kwargs)
        device, wanted = self._around(args), None
        if func in _TO_NUMPY and device.type == "cuda":
            raise TypeError(
                f"can't convert {device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
                "host memory first."
            )
        if func in (torch.as_tensor, torch.asarray) and isinstance(args[0], torch.Tensor):
            return self._to(args[0], kwargs.get("device", device), kwargs.get("dtype"))
        if kwargs.get("device") is None and func in _device_constructors() and _device.CURRENT_DEVICE:
            kwargs["device"] = _device.CURRENT_DEVICE  # a context's, which stands below this mode
        if kwargs.get("device") is not None:
            wanted = self.gpu.named(kwargs["device"])
        args = tuple(CPU if isinstance(x, torch.device) and x.type == "cuda" else x for x in args)
        if wanted is not None and wanted.type == "cuda":
            kwargs["device"] = CPU
        if kwargs.get("generator") is not None:
            _match(kwargs["generator"], wanted or device)
        pinned = kwargs.pop("pin_memory", False)
        with self.gpu.inside(wanted or device):
            out = func(*args, **kwargs)
        if wanted is not None or func is torch.Tensor.__deepcopy__:
            memo = func is torch.Tensor.__deepcopy__  # holds the copy by now
            self._put(out, args[:1] if memo else args, device if wanted is None else wanted)
        return self._pin(out) if pinned else out

    def _around(self, args: Any) -> torch.device:
        with torch._C.DisableTorchFunction():
            devices = [self.gpu.memory.device_of(tensor) for tensor in _tensors(args)]
        return next((device for device in devices if device.type == "cuda"), CPU)

    def _put(self, out: Any, args: Any, device: torch.device) -> None:
        with torch._C.DisableTorchFunction():
            before = {_key(tensor) for tensor in _tensors(args)}
            for tensor in _tensors(out):
                if _key(tensor) not in before:
                    self.gpu.memory.put(tensor, device)

    def _to(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        copy = kwargs.pop("copy", False)
        if args and isinstance(args[0], torch.Tensor):
            args = (self.gpu.device_of(args[0]), args[0].dtype, *args[1:])
        if "other" in kwargs:
            other = kwargs.pop("other")
            args = (self.gpu.device_of(other), other.dtype, *args)
        wanted, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        source = self.gpu.device_of(x)
        target = source if wanted is None else self.gpu.named(wanted)
        options: dict[str, Any] = {"dtype": x.dtype if dtype is None else dtype}
        if layout is not None:
            options["memory_format"] = layout
        if target.type == "meta":
            return x.to(target, **options)
        if source.type == "cuda" and target.type == "cpu":
            self.gpu.wait("a copy to the host")
        with self.gpu.inside(source):
            out = x.to(copy=copy or target != source, **options)
        if target != source:
            with torch._C.DisableTorchFunction():
                self.gpu.memory.put(out, target)
        return out

    def _tolist(self, x: torch.Tensor) -> Any:
        if self.gpu.device_of(x).type == "cuda":
            self.gpu.wait("tolist")
        return x.tolist()

    def _pin(self, x: torch.Tensor, device: Any = None) -> torch.Tensor:
        if self.gpu.memory.count == 0:
            raise RuntimeError("Cannot access accelerator device when none is available.")
        if self.gpu.device_of(x).type == "cuda":
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        with torch._C.DisableTorchFunction():
            out = x.clone()
            self.gpu.memory.pin(out)
        return out


class Generator(torch.Generator):
    """A generator that may say it is a GPU's."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        """Draws on the host."""
        own = super().__new__(cls, device="cpu")  # type: ignore[call-arg]  # torch has no type for it
        own.place = torch.device(device)
        return own

    place: torch.device

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where it says it is."""
        return self.place


def _match(generator: torch.Generator, device: torch.device) -> None:
    if generator.device.type != device.type:
        raise RuntimeError(
            f"Expected a '{device.type}' device type for generator but found '{generator.device.type}'"
        )


def _tensors(tree: Any) -> list[torch.Tensor]:
    """Faster than PyTorch's own walk through trees, which would take most of a test's time."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (list, tuple)):
        return []
    return [tensor for part in tree for tensor in _tensors(part)]


def _key(tensor: torch.Tensor) -> int:
    if tensor.layout != torch.strided:
        return id(tensor)
    return tensor.untyped_storage()._cdata


_META = torch.device("meta")
_ABOUT_DEVICES = {torch.device, torch._C._nn._parse_to}
_TO_NUMPY: set[Any] = {torch.Tensor.numpy, torch.Tensor.__array__}
