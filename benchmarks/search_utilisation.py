"""A whole search of short trials: how much of its wall time the device trains, and trials an hour.

Runs ``python -m nas.search`` on random images and reads its journal. Between the first trial's start and
the last one's end, ``steps`` is the share of wall time spent in training and validation steps, ``trial``
the share with a trial under way. With several searches at once, each with one thread and its own seed,
shares are means and trials an hour add up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from benchmarks.workload import machine, random_images
from nas.engine import journal
from nas.engine.state import SearchState


@dataclass(frozen=True)
class Options:
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
    json: Path | None = None
    """Writes all figures there."""


def search(options: Options, folder: Path, seed: int) -> subprocess.Popen[bytes]:
    """Starts a search."""
    flags = {
        "--dataset": f"npz:{folder / 'random.npz'}",
        "--width": options.width,
        "--min-epochs": options.epochs[0],
        "--max-epochs": options.epochs[1],
        "--eta": options.epochs[2],
        "--trials": options.trials,
        "--device": options.device,
        "--threads": options.threads,
        "--seed": seed,
        "--runs-dir": folder,
        "--name": f"seed{seed}",
    }
    words = [str(word) for item in flags.items() for word in item]
    return subprocess.Popen([sys.executable, "-m", "nas.search", *words, "--quiet"])


def shares(path: Path) -> dict[str, float]:
    """What a journal says of a search's use of its device."""
    state = SearchState.of(journal.read(path).events)
    done = [trial for trial in state.trials.values() if trial.finished and not trial.cached]
    span = max(t.clock_ended for t in done) - min(t.clock_started for t in done)
    return {
        "steps": state.train_seconds / span,
        "trial": state.busy_seconds / span,
        "fixed_seconds": (state.busy_seconds - state.train_seconds) / len(done),
        "gap_seconds": (span - state.busy_seconds) / len(done),
        "trials_an_hour": 3600 * len(done) / span,
        "ask_seconds": state.ask_seconds / len(state.trials),
        "crashed": float(len(state.crashed)),
    }


def main(options: Options) -> dict[str, Any]:
    """Prints a Markdown table; returns all figures."""
    print(
        "| searches at once | steps | trial under way | beyond steps, s a trial | between trials, s", end=" "
    )
    print("| trials an hour |\n|---|---|---|---|---|---|", flush=True)
    results = []
    for number in options.at_once:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            images, labels = random_images(options.images)
            np.savez(folder / "random.npz", x_train=images, y_train=labels)
            running = [search(options, folder, seed) for seed in range(number)]
            codes = [process.wait() for process in running]
            if any(codes):
                sys.exit(f"a search ended with code {max(codes)}")
            found = [shares(folder / f"seed{seed}" / "trials.jsonl") for seed in range(number)]
        mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
        mean["trials_an_hour"] *= number
        results.append({"at_once": number, **mean})
        print(
            f"| {number} | {100 * mean['steps']:.1f} % | {100 * mean['trial']:.1f} % "
            f"| {mean['fixed_seconds']:.2f} | {mean['gap_seconds']:.3f} | {mean['trials_an_hour']:,.0f} |",
            flush=True,
        )
    record = {**machine(torch.device(options.device)), "results": results}
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return record


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
