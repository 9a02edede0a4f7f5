"""Trains one network for a number of epochs, from scratch or from a checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from nas.trial.memory import PeakMemory
from nas.trial.snapshot import Snapshot
from nas.trial.trainer import Diverged, EpochMetrics, Trainer
from nas.util.errors import first_line
from nas.util.quantities import counted
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from nas.data.device import DeviceData
    from nas.trial.graphs import Recorder
    from nas.trial.kernels import FastLayers
    from nas.trial.settings import Recipe

__all__ = ["Diverged", "EpochMetrics", "Result", "StaleCheckpoint", "State", "train"]

State = dict[str, Any]
STATE_VERSION = 3  # 2, 3: gradients of large depthwise kernels round differently on CPUs


class StaleCheckpoint(ValueError):
    """A checkpoint was made with other settings, data or seed, or is past the requested epochs."""


@dataclass(frozen=True)
class Result:
    """The result of a call of :func:`train`.

    Attributes:
        curve: Every epoch from the first, including those before the checkpoint.
        train_seconds: Wall time of training in this call, seconds.
        wall_seconds: Wall time of this call, seconds.
        peak_memory: Peak memory, bytes; see :class:`nas.trial.memory.PeakMemory`.
        paused: Whether ``on_epoch`` stopped the training before its last epoch.
    """

    curve: tuple[EpochMetrics, ...]
    train_seconds: float
    wall_seconds: float
    peak_memory: int
    paused: bool

    @property
    def last(self) -> EpochMetrics:
        """The last epoch's metrics."""
        return self.curve[-1]


def train(
    model: nn.Module,
    data: DeviceData,
    recipe: Recipe,
    *,
    epochs: int,
    max_epochs: int,
    seed: int,
    state: State | None = None,
    micro_batch: int | None = None,
    on_epoch: Callable[[EpochMetrics, Snapshot], bool | None] | None = None,
    on_evaluated: Callable[[EpochMetrics, Snapshot], object] | None = None,
    layers: FastLayers | None = None,
    recorder: Recorder | None = None,
    on_note: Callable[[str], None] = lambda _: None,
) -> Result:
    """Trains to a total of ``epochs`` epochs, on the device of the data.

    The result depends only on the model's initial weights, the data, the recipe and ``seed``, and with the
    cosine schedule on ``max_epochs``; each epoch derives a separate seed. So a training continued from any
    checkpoint ends with the same weights, bit for bit, as an uninterrupted one (on the same hardware, number
    of threads and micro-batch).

    Args:
        model: Maps ``(B, C, H, W)`` to logits ``(B, num_classes)``. Moved to the device, channels_last.
        data: Training and validation images.
        recipe: How to train.
        epochs: Total number of epochs, including those of ``state``.
        max_epochs: Epochs of the highest rung, which the cosine schedule spans.
        seed: Decides the order of images, augmentation and drop path.
        state: A checkpoint of the same training, made by a snapshot; None starts from scratch.
        micro_batch: Forward at most this many images at once, accumulating gradients; None: a batch.
            With batch norm the statistics are then those of the micro-batch.
        on_epoch: Called after each epoch with its metrics and a snapshot of the state to checkpoint.
            Returning False pauses the training.
        on_evaluated: Called after the last epoch with its metrics and a snapshot of the weights that were
            validated (their average, if there is one) and the buffers, by name.
        layers: Replaces the network's layers by faster ones; None leaves them.
        recorder: Records steps and validation batches as CUDA graphs; None runs them plainly.
        on_note: Called with one line on why they were not recorded.

    Raises:
        Diverged: If the training or validation loss is not finite.
        StaleCheckpoint: If ``state`` is not an earlier state of this training.
    """
    began = time.perf_counter()
    device = data.device
    identity = _identity(data, recipe, max_epochs, seed)
    trainer = Trainer(model, data, recipe, max_epochs, micro_batch, layers, recorder, on_note)
    curve: list[EpochMetrics] = []
    if state is not None:
        curve = _restore(trainer, state, identity, epochs)
    first, paused = len(curve), False
    with contextlib.closing(trainer), PeakMemory(device) as peak, reproducible(device):
        while len(curve) < epochs and not paused:
            curve.append(trainer.epoch(len(curve), derive(seed, "epoch", len(curve))))

            snapshot = Snapshot(lambda: _state(trainer, curve, identity), device)
            paused = on_epoch is not None and on_epoch(curve[-1], snapshot) is False
        if on_evaluated is not None and len(curve) == epochs:
            on_evaluated(curve[-1], Snapshot(trainer.evaluated, device))
        return Result(
            curve=tuple(curve),
            train_seconds=sum(metrics.train_seconds for metrics in curve[first:]),
            wall_seconds=time.perf_counter() - began,
            peak_memory=peak.bytes,
            paused=paused and len(curve) < epochs,
        )


@contextlib.contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Makes CUDA use deterministic kernels where it has them; those of the CPU are deterministic."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    cudnn = torch.backends.cudnn
    fill: Any = torch.utils.deterministic
    before = (cudnn.deterministic, cudnn.benchmark, fill.fill_uninitialized_memory)
    mode = torch.get_deterministic_debug_mode()
    cudnn.deterministic, cudnn.benchmark, fill.fill_uninitialized_memory = True, False, False
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*deterministic")
            torch.use_deterministic_algorithms(True, warn_only=True)
            yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        cudnn.deterministic, cudnn.benchmark, fill.fill_uninitialized_memory = before


def _identity(data: DeviceData, recipe: Recipe, max_epochs: int, seed: int) -> str:
    """Returns what a checkpoint must match to be continued."""
    horizon = max_epochs if recipe.schedule == "cosine" else None
    parts = [STATE_VERSION, recipe.digest, horizon, seed, data.fingerprint, data.split_fingerprint]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _state(trainer: Trainer, curve: list[EpochMetrics], identity: str) -> State:
    return {
        "identity": identity,
        "epoch": len(curve),
        "curve": [asdict(metrics) for metrics in curve],
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "average": None if trainer.average is None else trainer.average.state_dict(),
    }


def _restore(trainer: Trainer, state: State, identity: str, epochs: int) -> list[EpochMetrics]:
    if state.get("identity") != identity:
        raise StaleCheckpoint("the checkpoint belongs to other settings, data, seed or largest budget")
    if state["epoch"] > epochs:
        trained = counted(state["epoch"], "epoch")
        raise StaleCheckpoint(f"the checkpoint has {trained} already; asked for {epochs}")
    try:
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        if trainer.average is not None:
            trainer.average.load_state_dict(state["average"])
        return [EpochMetrics(**row) for row in state["curve"]]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StaleCheckpoint(f"the checkpoint does not fit: {first_line(error)}") from error
