"""A small comparison that can fail: ours must beat the same rungs without a model, and random search.

``python -m benchmarks.quality.gate`` races five seeds on the surrogate of our own space and exits 1 if
the mean regret of the default search is not the least.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.quality.compare import at
from benchmarks.quality.opponents import OPPONENTS
from benchmarks.quality.problems import load
from benchmarks.quality.race import race

SEEDS = 5
MARKS = (10, 20, 40)
RACERS = ("ours", "hyperband", "random")


def main() -> int:
    """Races; gives the exit status."""
    problem = load("nexception")
    means = {}
    for name in RACERS:
        traces = [race(problem, OPPONENTS[name], seed=seed, evaluations=MARKS[-1]) for seed in range(SEEDS)]
        regrets = [[at(steps, mark) for mark in MARKS] for steps in traces]
        means[name] = float(np.mean(regrets))
        by_mark = "  ".join(
            f"{mark}: {100 * r:.2f}" for mark, r in zip(MARKS, np.mean(regrets, 0), strict=True)
        )
        print(f"{name:10} {by_mark}   mean regret {100 * means[name]:.2f} points", flush=True)
    won = min(means, key=lambda name: means[name]) == "ours"
    print("ours is ahead" if won else "FAILED: ours is not ahead")
    return 0 if won else 1


if __name__ == "__main__":
    sys.exit(main())
