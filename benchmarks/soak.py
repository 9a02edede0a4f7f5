"""Memory of both processes over a search of many tiny real trials: does anything grow?

Starts ``python -m nas.search`` on embedded images, samples the resident memory of the search and of its
trial process by the number of finished trials, and prints both along the way. Growth is the slope of
Theil and Sen (the median over all pairs of samples) over the second half, when caches are full.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tyro
from scipy.stats import theilslopes

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class SoakSettings:
    """How long to soak."""

    trials: int = 2000
    """Finished trials."""
    minutes: float = 60.0
    """Longest time."""
    device: str = "cpu"
    """Where trials run."""
    every: float = 2.0
    """Seconds between samples."""
    max_images: int = 120
    """Images of the embedded digits to train on and judge by."""
    json: Path | None = None
    """Writes all samples there."""


def start(options: SoakSettings, folder: Path) -> subprocess.Popen[bytes]:
    """Starts the search: one- and two-epoch trials at the least width."""
    flags = {
        "--dataset": "digits",
        "--max-images": options.max_images,
        "--val-fraction": 0.25,
        "--width": "tiny",
        "--min-epochs": 1,
        "--max-epochs": 2,
        "--eta": 2,
        "--budget": f"{options.minutes:.0f}m",
        "--trials": options.trials,
        "--device": options.device,
        "--runs-dir": folder,
        "--name": "soak",
    }
    words = [str(word) for item in flags.items() for word in item]
    return subprocess.Popen([sys.executable, "-m", "nas.search", *words, "--quiet"])


def sample(search: subprocess.Popen[bytes], run: Path) -> dict[str, float]:
    """Returns finished trials, and resident memory of the search and of its children, bytes."""
    journal = run / "trials.jsonl"
    ended = journal.read_bytes().count(b'"event":"ended"') if journal.exists() else 0
    children = sum(_resident(pid) for pid in _children(search.pid))
    return {"trials": ended, "search": _resident(search.pid), "trial process": children}


def _children(parent: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == parent:
            yield int(stat.parent.name)


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def growth(samples: list[dict[str, float]], who: str) -> tuple[float, float, float]:
    """Returns bytes per thousand trials over the second half of the samples, with a 95 % interval."""
    half = [s for s in samples if s["trials"] >= samples[-1]["trials"] / 2 and s[who]]
    slope, _, low, high = theilslopes([s[who] for s in half], [s["trials"] for s in half])
    return 1000 * slope, 1000 * low, 1000 * high


def main(options: SoakSettings) -> dict[str, Any]:
    """Prints a Markdown table; returns all figures."""
    samples: list[dict[str, float]] = []
    print("| trials | seconds | search, MB | trial process, MB |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        began, shown = time.monotonic(), 0.0
        search = start(options, Path(folder))
        try:
            while search.poll() is None:
                time.sleep(options.every)
                now = sample(search, Path(folder) / "soak")
                if search.poll() is not None or not all(now.values()):
                    continue  # it begins or ends
                samples.append({**now, "seconds": time.monotonic() - began})
                if now["trials"] >= shown + options.trials / 20:
                    shown = now["trials"]
                    sizes = (now[who] / _MEGABYTE for who in ("search", "trial process"))
                    figures = " | ".join(f"{size:.0f}" for size in sizes)
                    print(f"| {shown:.0f} | {samples[-1]['seconds']:.0f} | {figures} |", flush=True)
        finally:
            search.terminate()
            search.wait()
    found: dict[str, Any] = {"samples": samples, "exit": search.returncode}
    for who in ("search", "trial process"):
        slope, low, high = (value / _MEGABYTE for value in growth(samples, who))
        print(f"\n{who}: {slope:+.1f} MB a thousand trials ({low:+.1f} to {high:+.1f})")
        found[f"{who}, MB a thousand trials"] = [slope, low, high]
    found["peak MB"] = max(np.add([s["search"] for s in samples], [s["trial process"] for s in samples]))
    found["peak MB"] = float(found["peak MB"]) / _MEGABYTE
    if options.json is not None:
        options.json.write_text(json.dumps(found) + "\n")
    return found


if __name__ == "__main__":
    main(tyro.cli(SoakSettings, description=__doc__))
