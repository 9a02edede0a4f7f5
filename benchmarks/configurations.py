"""Random configurations of the space, one after another in a warm process, as a search meets them.

Each is handed to a trial host, as in a search, and trained for a few short epochs. ``img/s`` is the speed of
the later ones, their harmonic mean over all configurations what bounds the trials of a search. ``before
its first epoch`` is how long the end of the first epoch is late: from handing the configuration over,
less a later epoch's length, the making of the network, kernels and recordings for its shapes therefore
included. The first configuration, with which the process itself becomes warm, does not count for that.
Every eighth is trained by the plain loop too (``benchmarks.plain``, on one batch that lies on the
device), right after ours.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.plain import Amp, Loop
from benchmarks.trial import Epoch, StopWatching, TrialSetup, TrialWatcher, batch_size
from benchmarks.workload import SPACE, ceilings, command, machine, number_type, roofline, write_json
from nas.trial.memory import free_memory
from nas.util.errors import UserError, first_line
from nas.util.machine import find_device

if TYPE_CHECKING:
    from search_spaces.base import Config

_PLAIN_WARM_UP = 2  # steps


@dataclass(frozen=True)
class ConfigurationsSettings:
    """What to train."""

    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    width: int = 16
    """Width of the reduced network."""
    count: int = 64
    """Configurations, drawn at random."""
    seed: int = 0
    """Of the draw: a longer one begins with the shorter one."""
    steps: int = 20
    """Of an epoch."""
    epochs: int = 3
    """Of a configuration, the first one included."""
    plain_every: int = 8
    """Train every so manieth in the plain loop too; 0: none."""
    batch_size: int | None = None
    """Images a step; unset: the preset's."""
    minutes: float = math.inf
    """Begin no further configuration after so long."""
    json: Path | None = None
    """Writes all figures there, after every configuration."""

    def __post_init__(self) -> None:
        for flag, least in (("count", 1), ("steps", 1), ("epochs", 2), ("plain_every", 0)):
            if getattr(self, flag) < least:
                raise UserError(f"--{flag.replace('_', '-')} {getattr(self, flag)}: must be at least {least}")


def ours(watcher: TrialWatcher, config: Config, wanted: int) -> dict[str, float]:
    """Trains a configuration as a trial; returns its speed, and how late its first epoch ended."""
    epochs: list[Epoch] = []

    def count(epoch: Epoch) -> None:
        epochs.append(epoch)
        if len(epochs) == wanted:
            raise StopWatching

    watcher.watch(config, count)
    later = epochs[1:]
    usual = (epochs[-1].done - epochs[0].done) / len(later)
    training = sum(epoch.train_seconds for epoch in later)
    return {
        "rate": sum(epoch.images for epoch in later) / training,
        "before": epochs[0].done - usual,
        "validation": 1 - training / (training + sum(epoch.val_seconds for epoch in later)),
    }


def plain(options: ConfigurationsSettings, device: torch.device, config: Config) -> float:
    """Returns images per second of the plain loop, over half as many steps as in one of our epochs."""
    amp: Amp = "off" if device.type == "cpu" else "fp16"
    steps = Loop(device, amp, with_data=False, wanted_batch=options.batch_size).steps(config, options.width)
    for _ in range(_PLAIN_WARM_UP):
        next(steps)
    began = time.perf_counter()
    images = sum(next(steps) for _ in range(max(options.steps // 2, 1)))
    rate = images / (time.perf_counter() - began)
    steps.close()
    return rate


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Summarises all configurations; NaN where nothing was measured."""
    compared = [row for row in rows if "plain" in row]
    before = [row["before"] for row in rows[1:]]
    rate, most = harmonic(rows, "rate"), harmonic(rows, "most")
    return {
        "configurations": len(rows),
        "rate": rate,
        "plain": harmonic(compared, "plain"),
        "share": rate / most,
        "against_no_data": harmonic(compared, "rate") / harmonic(compared, "plain"),
        "before_median": statistics.median(before) if before else math.nan,
        "before_max": max(before, default=math.nan),
        "validation": statistics.median([row["validation"] for row in rows]) if rows else math.nan,
    }


def harmonic(rows: list[dict[str, float]], key: str) -> float:
    """The harmonic mean of a figure: total images over total time, as many images of each."""
    return statistics.harmonic_mean([row[key] for row in rows]) if rows else math.nan


def main(options: ConfigurationsSettings) -> dict[str, Any]:
    """Prints a line for each configuration and a summary; returns all figures."""
    began = time.monotonic()
    device = find_device(options.device)
    dtype = number_type(device)
    limits = ceilings(device, dtype)
    size = batch_size(options.width, options.batch_size)
    watcher = TrialWatcher(TrialSetup(options.width, options.steps, str(device), options.batch_size))
    rows: list[dict[str, float]] = []
    found: dict[str, Any] = {
        **machine(device),
        "width": options.width,
        "batch_size": size,
        "wanted": options.count,
        "rows": rows,
        "notes": [],
    }
    print("| | kernels | img/s | plain, no data, img/s | before its first epoch, s |\n|---|---|---|---|---|")
    for number, config in enumerate(SPACE.sample(options.count, options.seed)):
        if time.monotonic() - began > 60 * options.minutes:
            break
        try:
            row = ours(watcher, config, options.epochs)
        except RuntimeError as error:
            found["notes"].append(f"configuration {number}: {first_line(error)}")
            continue
        row["most"] = roofline(config, options.width, size, limits, dtype)["most"]
        if options.plain_every and number % options.plain_every == 0:
            row["plain"] = plain(options, device, config)
            free_memory(device)
        rows.append(row)
        beside = f"{row['plain']:,.0f}" if "plain" in row else ""
        kernels = f"{config['kernel_down']}, {config['kernel_mid']}"
        print(f"| {number} | {kernels} | {row['rate']:,.0f} | {beside} | {row['before']:.2f} |", flush=True)
        write_json(options.json, found | summary(rows))
    found["notes"] += watcher.notes
    found |= summary(rows)
    write_json(options.json, found)
    print(
        f"\nwidth {options.width}, batch {size}, {len(rows)} of {options.count} configurations: "
        f"harmonic mean {found['rate']:,.0f} images/s, {100 * found['share']:.0f} % of the roofline, "
        f"{found['against_no_data']:.1f} times the plain loop; before the first epoch "
        f"{found['before_median']:.2f} s (median), {found['before_max']:.2f} s (most)"
    )
    print("".join(f"\n{note}" for note in found["notes"]))
    return found


if __name__ == "__main__":
    command(main, ConfigurationsSettings, __doc__)
