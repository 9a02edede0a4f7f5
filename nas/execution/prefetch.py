"""What a trial process does before a trial starts, and to measure how many trials can share a GPU."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from nas.execution.faults import kind_of
from nas.execution.messages import DEVICE, GO, READY, Speed
from nas.trial import speed
from nas.util import system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from torch import nn

    from nas.execution.messages import TrialSpec
    from nas.trial.trainer import Trainer
    from nas.util.counts import Stats


@dataclass(frozen=True)
class Prepared:
    """A trial's network before its first step, and its counts."""

    config_id: str
    seed: int
    model: nn.Module
    stats: Stats

    def fits(self, spec: TrialSpec) -> bool:
        """Whether this network is that of a trial."""
        return (self.config_id, self.seed) == (spec.config_id, spec.seed)


def prepare(
    spec: TrialSpec,
    build: Callable[[], tuple[nn.Module, Stats]],
    trainer: Callable[[nn.Module], Trainer],
    device: torch.device,
) -> Prepared | None:
    """Builds and counts a trial's network, and compiles its kernels on a copy of it.

    Args:
        spec: The trial.
        build: Builds the network and returns it with its counts.
        trainer: Builds the trainer of a network.
        device: The device that will train it; another process trains there meanwhile.

    Returns:
        None if anything failed: the trial will fail in the same way when it runs, and report it.

    Raises:
        RuntimeError: If the device failed, which leaves this process unusable.
    """
    try:
        model, stats = build()
        with contextlib.closing(trainer(copy.deepcopy(model))) as throwaway, _half_of_free(device):
            speed.warm(throwaway)
    except Exception as error:
        if kind_of(error) == DEVICE:
            raise
        return None
    return Prepared(spec.config_id, spec.seed, model, stats)


def answer_speed(trainer: Trainer, seconds: float, pipe: Connection) -> Speed:
    """Gets ready to train, waits for the signal and measures the speed.

    Args:
        trainer: A new trainer.
        seconds: Length of the window.
        pipe: Connection to the process that gives the signal.

    Raises:
        EOFError: If that process is gone.
    """
    device = trainer.data.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    steps = speed.warm(trainer)
    pipe.send(READY)
    while pipe.recv() != GO:
        pass
    epoch = speed.epoch_seconds(trainer, steps, seconds)
    peak = free = 0
    if device.type == "cuda":
        peak = torch.cuda.max_memory_reserved(device)
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return Speed(epoch, peak, free, system.proc_bytes("/proc/self/status", "VmRSS"))


@contextlib.contextmanager
def _half_of_free(device: torch.device) -> Iterator[None]:
    """Limits PyTorch to half of the GPU's free memory; the running trial gets the other half."""
    if device.type != "cuda":
        yield
        return
    free, total = torch.cuda.mem_get_info(device)
    torch.cuda.set_per_process_memory_fraction(free / 2 / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
