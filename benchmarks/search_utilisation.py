"""A whole search of short trials: the share of wall time in which the device trains, and trials per hour.

Runs ``python -m nas.search`` on random images and reads its journal. Between the first trial's start and
the last one's end, ``steps`` is the share of wall time spent in training and validation steps, ``trial
under way`` the share with a trial under way, ``validation`` the share of the steps' time that validation
and the estimation of batch norms took. ``idle`` is the share of the same time in which no kernel ran,
according to the GPU's driver. With several searches at once, each with one thread and its own seed, shares
are means, trials an hour and images a second add up; with several trials at once in one search
(``--trials-per-gpu``) ``steps`` is the mean over them.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.occupancy import Occupancy
from benchmarks.workload import command, machine, random_images, write_json
from nas.run import journal
from nas.run.events import Epoch
from nas.run.state import SearchState
from nas.util.errors import UserError
from nas.util.machine import find_device
from nas.util.timestamps import from_iso

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class SearchUtilisationSettings:
    """What to run."""

    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    width: str = "tiny"
    """Width of the reduced network."""
    images: int = 4000
    """Random images, a tenth of them for validation."""
    trials: int = 20
    """Finished trials of each search."""
    epochs: tuple[int, int, int] = (1, 4, 2)
    """--min-epochs, --max-epochs and --eta."""
    at_once: tuple[int, ...] = (1, 2, 4)
    """Searches at the same time on the one device."""
    threads: int = 1
    """CPU threads of a trial."""
    optimizer: str = "smac"
    """random: configurations of the space, all at --max-epochs."""
    trials_per_gpu: str | None = None
    """Passed on to the search."""
    budget: str = "1h"
    """Longest search."""
    json: Path | None = None
    """Writes all figures there."""


def search(options: SearchUtilisationSettings, folder: Path, seed: int) -> subprocess.Popen[bytes]:
    """Starts a search."""
    flags = {
        "--dataset": f"npz:{folder / 'random.npz'}",
        "--width": options.width,
        "--min-epochs": options.epochs[0],
        "--max-epochs": options.epochs[1],
        "--eta": options.epochs[2],
        "--trials": options.trials,
        "--budget": options.budget,
        "--optimizer": options.optimizer,
        "--device": options.device,
        "--threads": options.threads,
        "--seed": seed,
        "--runs-dir": folder,
        "--name": f"seed{seed}",
    }
    if options.trials_per_gpu is not None:
        flags["--trials-per-gpu"] = options.trials_per_gpu
    words = [str(word) for item in flags.items() for word in item]
    return subprocess.Popen([sys.executable, "-m", "nas.search", *words, "--quiet"])


def shares(run: Path) -> dict[str, float]:
    """Computes a run's use of the device from its journal; empty if no trial ended."""
    events = journal.read(run / "trials.jsonl").events
    state = SearchState.of(events)
    done = [trial for trial in state.trials.values() if trial.finished and not trial.cached]
    if not done:
        return {}
    begin, end = min(t.clock_started for t in done), max(t.clock_ended for t in done)
    span, under_way = end - begin, _covered((t.clock_started, t.clock_ended) for t in done)
    epochs = [event.metrics for event in events if isinstance(event, Epoch)]
    validation = sum(metrics.get("val_seconds", 0.0) for metrics in epochs)
    images = json.loads((run / "search.json").read_text())["data"]["train_images"]
    return {
        "steps": state.train_seconds / (span * state.slots),
        "trial": under_way / span,
        "validation": validation / state.train_seconds,
        "fixed_seconds": (state.busy_seconds - state.train_seconds) / len(done),
        "gap_seconds": (span - under_way) / len(done),
        "trials": float(len(done)),
        "trials_an_hour": 3600 * len(done) / span,
        "images_a_second": len(epochs) * images / span,
        "ask_seconds": state.ask_seconds / len(state.trials),
        "crashed": float(len(state.crashed)),
        "began": from_iso(min(t.started for t in done)),
        "ended": from_iso(max(t.ended for t in done)),
    }


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Returns the length of the union of time spans."""
    total, until = 0.0, -math.inf
    for begin, end in sorted(spans):
        total += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return total


def main(options: SearchUtilisationSettings) -> dict[str, Any]:
    """Prints a Markdown table; returns all figures.

    Raises:
        UserError: If a search ended with an error.
    """
    print("| searches at once | steps | trial under way | idle, by the driver | validation", end=" ")
    print("| beyond steps, s a trial | between trials, s | trials | trials an hour | images/s |")
    print("|---" * 10 + "|", flush=True)
    results: list[dict[str, float]] = []
    found: dict[str, Any] = {}
    for number in options.at_once:
        results.append({"at_once": number, **measured(options, number)})
        print(row(results[-1]), flush=True)
        # Only now is the GPU looked at: an idle process on it is none of what is measured.
        found = {**machine(find_device(options.device)), "results": results}
        write_json(options.json, found)
    return found


def measured(options: SearchUtilisationSettings, number: int) -> dict[str, float]:
    """Measures a number of searches at once.

    Raises:
        UserError: If one ended with an error.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, labels = random_images(options.images)
        np.savez(folder / "random.npz", x_train=images, y_train=labels)
        with Occupancy(options.device) as occupancy:
            running = [search(options, folder, seed) for seed in range(number)]
            try:
                codes = [process.wait() for process in running]
            finally:
                for process in running:
                    process.terminate()  # does nothing to one that has ended
        found = [shares(folder / f"seed{seed}") for seed in range(number)]
    if any(codes) or not all(found):
        raise UserError(f"a search ended with code {max(codes)} and {min(map(len, found))} figures")
    mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    mean["idle"] = 1 - occupancy.between(mean.pop("began"), mean.pop("ended"))
    for key in ("trials", "trials_an_hour", "images_a_second"):
        mean[key] *= number
    return mean


def row(result: dict[str, float]) -> str:
    """A row of the table."""
    idle = "not known" if math.isnan(result["idle"]) else f"{100 * result['idle']:.1f} %"
    cells = [f"{result['at_once']:.0f}", f"{100 * result['steps']:.1f} %", f"{100 * result['trial']:.1f} %"]
    cells += [idle, f"{100 * result['validation']:.1f} %"]
    cells += [f"{result['fixed_seconds']:.2f}", f"{result['gap_seconds']:.3f}"]
    cells += [f"{result[key]:,.0f}" for key in ("trials", "trials_an_hour", "images_a_second")]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    command(main, SearchUtilisationSettings, __doc__)
