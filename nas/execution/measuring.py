"""Latency and memory of a network on the trial's device, measured as ``nas.profile`` does."""

from __future__ import annotations

import shlex
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nas.run.objectives import COST, EPOCH_SECONDS, LATENCY, MEMORY
from nas.trial import onnx_file
from nas.trial.memory import free_memory
from nas.trial.passes import Passes, autocast_dtype
from nas.util.turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nas.execution.counted import CountedNetwork
    from nas.execution.settings import Measured
    from nas.trial.trainer import EpochMetrics
    from search_spaces.base import Config, SearchSpace

# The protocol of nas.profile for one network, and its time limits for latency.
_WARM_UP, _REPEATS = 10, 30
_GPU_SECONDS, _CPU_SECONDS = 4.0 / 3, 10.0
_GPU_BATCH, _CPU_BATCH = 256, 16
_COMMAND_SECONDS = 600.0


class CommandFailed(RuntimeError):
    """The user's latency command did not print a number."""


class CostMeter:
    """Measures the costs of configurations."""

    def __init__(
        self, wanted: Measured, network: CountedNetwork, space: SearchSpace, device: torch.device
    ) -> None:
        """Takes the costs to measure, the network to measure them of, and the device."""
        self._wanted, self._network, self._space, self._device = wanted, network, space, device

    def measure(
        self, config: Config, known: Mapping[str, float], curve: Sequence[EpochMetrics]
    ) -> dict[str, float]:
        """Measures a configuration, in the form of a trial's metrics.

        Args:
            config: The configuration.
            known: Costs that an earlier trial of it measured; they are not measured again.
            curve: The epochs of its trial so far; none, and the seconds of an epoch are left out.

        Raises:
            CommandFailed: If the user's command gave no number.
        """
        found = {
            name: value for name, value in known.items() if name.removeprefix(COST) in self._wanted.costs
        }
        if curve and EPOCH_SECONDS in self._wanted.costs:
            found[COST + EPOCH_SECONDS] = statistics.median(point.train_seconds for point in curve)
        left = [name for name in (LATENCY, MEMORY) if name in self._wanted.costs and COST + name not in found]
        if left:
            try:
                found |= self._passes(config, left)
            finally:
                free_memory(self._device)
        return found

    def _passes(self, config: Config, names: Sequence[str]) -> dict[str, float]:
        geometry, side = self._network.geometry(self._space)
        chans = self._network.in_chans
        model = self._space.network(config, geometry, self._network.num_classes, chans)
        found = {}
        if LATENCY in names and self._wanted.command is not None:
            found[COST + LATENCY] = by_command(self._wanted.command, model.eval(), (chans, side, side))
            names = [name for name in names if name != LATENCY]
        if not names:
            return found
        cuda = self._device.type == "cuda"
        passes = Passes(model, self._device, autocast_dtype("auto", self._device))
        limit = _GPU_SECONDS if cuda else _CPU_SECONDS

        def images(batch: int) -> torch.Tensor:
            pixels = torch.randn(batch, chans, side, side, device=self._device)
            return pixels.to(memory_format=torch.channels_last)

        with torch.inference_mode():
            if MEMORY in names:
                used, _ = passes.memory(images(_GPU_BATCH if cuda else _CPU_BATCH), limit)
                found[COST + MEMORY] = float(used)
            if LATENCY in names:
                found[COST + LATENCY] = 1000 * _latency(passes, images(1), limit)
        return found


class _One:
    """One network, as :mod:`nas.profile` measures in turns."""

    name = "network"

    def __init__(self, passes: Passes, image: torch.Tensor) -> None:
        self._passes, self._image = passes, image

    def seconds(self, _: int) -> float:
        return self._passes.seconds(self._image)


def _latency(passes: Passes, image: torch.Tensor, limit: float) -> float:
    """Returns the mean time of one image, seconds."""
    subject = _One(passes, image)
    times = in_turns([subject], 1, [limit], warm_up=_WARM_UP, repeats=_REPEATS, what="latency")
    return statistics.fmean(times[0])


def by_command(command: str, model: torch.nn.Module, shape: tuple[int, int, int]) -> float:
    """Returns the milliseconds that a user's command prints for a network as its last word.

    Args:
        command: With ``{onnx}`` in place of the file's path; run without a shell.
        model: The network, in evaluation mode, on the CPU.
        shape: Shape ``(C, H, W)`` of an image.

    Raises:
        CommandFailed: If it fails, takes ten minutes or prints no number above zero.
    """
    with tempfile.TemporaryDirectory(prefix="smacnas-latency-") as folder:
        path = Path(folder, "model.onnx")
        onnx_file.write(model, path, shape)
        words = [word.replace("{onnx}", str(path)) for word in shlex.split(command)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandFailed(f"{words[0]}: {error}") from None
    said = done.stdout.split()
    try:
        value = float(said[-1])
    except (IndexError, ValueError):
        value = -1.0
    if done.returncode or not 0 < value < float("inf"):
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2][:200]
        raise CommandFailed(f"{words[0]} ended with code {done.returncode} and no milliseconds: {last!r}")
    return value
