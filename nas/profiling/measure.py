"""Times networks in turns, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import contextlib
import ctypes
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.errors import UserError
from nas.evaluation.predict import autocast_dtype
from nas.models.stats import count
from nas.profiling.published import TABLE_3
from nas.publish import folder, loading
from nas.training.memory import PeakMemory, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from nas.profiling.settings import ProfileSettings
    from nas.publish.loading import Named


@dataclass(frozen=True)
class Times:
    """Mean and sample standard deviation over the repeats."""

    mean: float
    sd: float

    @classmethod
    def of(cls, values: list[float]) -> Times:
        """Sums values up."""
        return cls(statistics.fmean(values), statistics.stdev(values))


@dataclass(frozen=True)
class Profile:
    """One network.

    Attributes:
        model: Its name.
        image_size: Height and width of the images, pixels.
        params: Trainable numbers.
        macs: Multiply-accumulates of one image, see :mod:`nas.models.stats`.
        flops: Twice as many.
        activations: Numbers that convolutions and linear layers put out for one image.
        memory: Peak bytes of inference at ``batch_size``: the weights, and what a pass adds.
        batch_size: Images at once for memory and throughput.
        latency: Milliseconds for one image.
        throughput: Images a second.
        top1: Accuracy in percent, if known.
    """

    model: str
    image_size: int
    params: int
    macs: int
    flops: int
    activations: int
    memory: int
    batch_size: int
    latency: Times
    throughput: Times
    top1: float | None


class _Subject:
    """A network on the device, with the images it is shown."""

    def __init__(self, named: Named, settings: ProfileSettings, device: torch.device) -> None:
        from timm.data import resolve_model_data_config

        self.name = named.name
        model: Any = named.create()
        self.channels, self.size = resolve_model_data_config(model)["input_size"][:2]
        self.size = settings.input_size or (_published_size(named, settings) or self.size)
        try:
            self.stats = count(model, self.size, self.channels)
            self.activations = _activations(model, self.size, self.channels)
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = (str(error).splitlines() or ["unknown"])[0]
            raise UserError(
                f"--input-size {self.size}: does not fit {named.name} ({reason}); leave it out"
            ) from error
        self.model = model.eval().to(device=device, memory_format=torch.channels_last)
        self._device = device
        self._amp = autocast_dtype(settings.amp, device)

    def images(self, batch_size: int) -> torch.Tensor:
        """Random pixels, ``(B, C, H, W)``."""
        images = torch.randn(batch_size, self.channels, self.size, self.size, device=self._device)
        return images.to(memory_format=torch.channels_last)

    def seconds(self, images: torch.Tensor) -> float:
        """Wall time of one forward pass."""
        began = time.perf_counter()
        with torch.autocast(self._device.type, dtype=self._amp, enabled=self._amp is not None):
            self.model(images)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - began

    def memory(self, images: torch.Tensor) -> int:
        """Peak bytes: the weights, and what a pass adds to what was there."""
        self.seconds(images)
        _give_back()
        with PeakMemory(self._device) as peak:
            before = peak.bytes
            self.seconds(images)
            added = peak.bytes - before
        weights = [*self.model.parameters(), *self.model.buffers()]
        return added + sum(tensor.numel() * tensor.element_size() for tensor in weights)


def profile(settings: ProfileSettings, note: Callable[[str], object] = lambda _: None) -> list[Profile]:
    """Measures networks.

    Args:
        settings: Which, and how.
        note: Told what is being done.

    Raises:
        UserError: If a network is unknown, does not take the images, or memory is short.
    """
    from nas.engine.machine import find_device

    device = find_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    batch_size = settings.batch_size or (256 if device.type == "cuda" else 16)
    found = [loading.find(name) for name in settings.models]
    accuracies = [_top1(named, settings) for named in found]
    benchmark, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        with torch.inference_mode():
            subjects = [_Subject(named, settings, device) for named in found]
            memory = [subject.memory(subject.images(batch_size)) for subject in subjects]
            note(f"latency, {settings.repeats} passes of one image each")
            latency = _in_turns(subjects, 1, settings)
            note(f"throughput, {settings.repeats} passes of {batch_size} images each")
            batches = _in_turns(subjects, batch_size, settings)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(f"--batch-size {batch_size}: out of memory; must be smaller") from error
    finally:
        torch.backends.cudnn.benchmark = benchmark
    return [
        Profile(
            model=subject.name,
            image_size=subject.size,
            params=subject.stats.params,
            macs=subject.stats.macs,
            flops=subject.stats.flops,
            activations=subject.activations,
            memory=memory[i],
            batch_size=batch_size,
            latency=Times.of([1000 * seconds for seconds in latency[i]]),
            throughput=Times.of([batch_size / seconds for seconds in batches[i]]),
            top1=accuracies[i],
        )
        for i, subject in enumerate(subjects)
    ]


def _in_turns(subjects: list[_Subject], batch_size: int, settings: ProfileSettings) -> list[list[float]]:
    """Seconds of every repeat, by network."""
    images = {(s.channels, s.size): s.images(batch_size) for s in subjects}
    for subject in subjects:
        for _ in range(settings.warm_up):
            subject.seconds(images[subject.channels, subject.size])
    seconds: list[list[float]] = [[] for _ in subjects]
    for _ in range(settings.repeats):
        for own, subject in zip(seconds, subjects, strict=True):
            own.append(subject.seconds(images[subject.channels, subject.size]))
    return seconds


def _give_back() -> None:
    """Lets glibc return freed memory to the system: what is used again would not count as added."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _activations(model: nn.Module, size: int, channels: int) -> int:
    """Counts what convolutions and linear layers put out, without computing it."""
    import copy

    total = 0

    def add(_: nn.Module, __: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel()

    ghost = copy.deepcopy(model).to("meta").eval()
    for module in ghost.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    ghost(torch.empty(1, channels, size, size, device="meta"))
    return total


def _top1(named: Named, settings: ProfileSettings) -> float | None:
    if named.name in settings.accuracies:
        return settings.accuracies[named.name]
    trained = named.config.get(folder.OWN_KEY, {}).get("trained") or {}
    if trained.get("test"):
        return 100 * float(trained["test"]["top1"])
    published = TABLE_3.get(named.name) if settings.published else None
    return None if published is None else published.top1


def _published_size(named: Named, settings: ProfileSettings) -> int | None:
    """The image size that the accuracy of a published network belongs to."""
    known = TABLE_3.get(named.name) if settings.published and named.path is None else None
    return None if known is None else known.image_size
