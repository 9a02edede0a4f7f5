"""Counts networks and times them in turns."""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.export import loading
from nas.export.published import TABLE_3
from nas.profile.front import neighbours
from nas.trial.memory import memory_advice
from nas.trial.passes import Passes, autocast_dtype
from nas.util.counts import count
from nas.util.errors import SettingError, first_line, setting
from nas.util.quantities import counted
from nas.util.turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nas.export.loading import LoadableNetwork
    from nas.profile.front import Member
    from nas.profile.settings import ProfileSettings


# Default seconds for the passes of one network. Seven networks, with building and first passes, then take
# less than a minute on a GPU.
GPU_SECONDS = 4.0
CPU_SECONDS = 30.0
_MEMORY_SHARE = 0.25  # a first pass that takes longer is not repeated
_LATENCY_SHARE = 1 / 3


@dataclass(frozen=True)
class Times:
    """Mean and sample standard deviation over the repeats, and their number."""

    mean: float
    sd: float
    repeats: int

    @classmethod
    def of(cls, values: list[float]) -> Times:
        """Summarises values."""
        return cls(statistics.fmean(values), statistics.stdev(values), len(values))


@dataclass(frozen=True)
class Profile:
    """The measurements of one network.

    Attributes:
        model: Name of the network.
        image_size: Height and width of the images, pixels.
        params: Number of trainable parameters.
        macs: Multiply-accumulates of one image, see :mod:`nas.util.counts`.
        flops: Twice ``macs``.
        activations: Number of outputs of convolutions and linear layers for one image.
        memory: Peak memory of inference at ``batch_size``, bytes: the weights and what a pass adds.
        batch_size: Images per batch for memory and throughput.
        latency: Milliseconds for one image.
        throughput: Images per second.
        top1: Top-1 accuracy in percent, if known.
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


class _Pixels:
    """Random images on a device, created once for each shape."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._made: dict[tuple[int, ...], torch.Tensor] = {}

    def images(self, *shape: int) -> torch.Tensor:
        """Returns images ``(B, C, H, W)``, channels_last."""
        if shape not in self._made:
            images = torch.randn(*shape, device=self.device)
            self._made[shape] = images.to(memory_format=torch.channels_last)
        return self._made[shape]


class _Subject:
    """A network on the device, whose passes are measured."""

    def __init__(self, named: LoadableNetwork | Member, settings: ProfileSettings, pixels: _Pixels) -> None:
        from timm.data import resolve_model_data_config

        self.name = named.name
        model: Any = named.create()
        self.channels, self.size = resolve_model_data_config(model)["input_size"][:2]
        self.size = settings.input_size or (_published_size(named, settings) or self.size)
        try:
            ghost = copy.deepcopy(model).to("meta").eval()
            self.stats = count(ghost, self.size, self.channels)
            self.activations = _activations(ghost, self.size, self.channels)
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = first_line(error)
            raise SettingError(
                "input_size", self.size, f"does not fit {named.name} ({reason}); leave it out"
            ) from error
        self._pixels = pixels
        self._passes = Passes(model, pixels.device, autocast_dtype(settings.amp, pixels.device))

    def seconds(self, batch_size: int) -> float:
        """Returns the wall time of one forward pass, seconds."""
        return self._passes.seconds(self._images(batch_size))

    def memory(self, batch_size: int, limit: float) -> tuple[int, float]:
        """Measures peak memory, bytes, and the time that took: see :meth:`nas.trial.passes.Passes.memory`."""
        return self._passes.memory(self._images(batch_size), limit)

    def _images(self, batch_size: int) -> torch.Tensor:
        return self._pixels.images(batch_size, self.channels, self.size, self.size)


def profile(
    settings: ProfileSettings,
    front: Sequence[Member] = (),
    note: Callable[[str], object] = lambda _: None,
) -> list[Profile]:
    """Measures networks.

    cuDNN chooses algorithms by its heuristics; trying them all for every shape of every network takes
    minutes.

    Args:
        settings: The networks, and how to measure them.
        front: Networks of a run's front, measured beside timm's networks of the nearest cost.
        note: Called with one line on what is being done.

    Raises:
        UserError: If a network is unknown or does not accept the images, or memory is short.
    """
    from nas.util.machine import find_device

    device = find_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    cuda = device.type == "cuda"
    batch_size = settings.batch_size or (256 if cuda else 16)
    limit = settings.seconds or (GPU_SECONDS if cuda else CPU_SECONDS)
    found: list[LoadableNetwork | Member] = [loading.find(name, *settings.space) for name in settings.models]
    if front:
        note("counting networks of timm, for those of the nearest cost")
        present = {one.name for one in found}
        found += [*front, *(one for one in neighbours(front) if one.name not in present)]
    accuracies = [_top1(named, settings) for named in found]
    short = f"{setting('batch_size', batch_size)}: out of memory; must be smaller"
    pixels = _Pixels(device)
    with memory_advice(short), torch.inference_mode():
        subjects, memory, left = [], [], []
        for named in found:
            note(f"{named.name}: building and counting")
            subjects.append(_Subject(named, settings, pixels))
        for subject in subjects:
            note(f"{subject.name}: memory, {counted(batch_size, 'image')}")
            used, seconds = subject.memory(batch_size, limit * _MEMORY_SHARE)
            memory.append(used)
            left.append(max(limit - seconds, 0.0))
        latency = in_turns(
            subjects,
            1,
            [_LATENCY_SHARE * seconds for seconds in left],
            warm_up=settings.warm_up,
            repeats=settings.repeats,
            what="latency, one image",
            note=note,
        )
        batches = in_turns(
            subjects,
            batch_size,
            [(1 - _LATENCY_SHARE) * seconds for seconds in left],
            warm_up=settings.warm_up,
            repeats=settings.repeats,
            what=f"throughput, {counted(batch_size, 'image')}",
            note=note,
        )
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


def _activations(ghost: nn.Module, size: int, channels: int) -> int:
    """Counts the outputs of the convolutions and linear layers of a network on the meta device."""
    total = 0

    def add(_: nn.Module, __: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel()

    for module in ghost.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    ghost(torch.empty(1, channels, size, size, device="meta"))
    return total


def _top1(named: LoadableNetwork | Member, settings: ProfileSettings) -> float | None:
    if named.name in settings.accuracies:
        return settings.accuracies[named.name]
    if named.training.test_top1 is not None:
        return 100 * named.training.test_top1
    published = TABLE_3.get(named.name) if settings.published else None
    return None if published is None else published.top1


def _published_size(named: LoadableNetwork | Member, settings: ProfileSettings) -> int | None:
    """Returns the image size of the published accuracy of a network."""
    known = TABLE_3.get(named.name) if settings.published and named.path is None else None
    return None if known is None else known.image_size
