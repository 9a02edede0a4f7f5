"""A small comparison that can fail: the default search against random search on a problem of each kind.

``python -m benchmarks.quality.gate`` races five seeds of each and exits 1 if the default search is behind
where it has to be ahead. Races are functions of their seeds: two runs of one version give one answer.
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.compare import run
from benchmarks.quality.registry import PROBLEMS
from benchmarks.quality.traces import at

SEEDS = 5
MARKS = (10, 20, 40)
_POOLED = 0.9
_LEAST = 0.1  # points: regrets below are taken for the same


@dataclass(frozen=True)
class Check:
    """What must hold on a problem.

    Attributes:
        problem: Its name.
        rival: Who must be beaten.
        limit: Greatest ratio of the default search's mean regret to the rival's. Above 1 where five races
            tell little, or time goes by before the default knows better: there it only must not fall apart.
    """

    problem: str
    rival: str = "random"
    limit: float = 1.0


CHECKS = (
    Check("nexception"),
    Check("nexception", "hyperband"),
    Check("perceptron"),
    Check("flat", limit=1.1),
    Check("graded", limit=0.6),
    Check("opposed", limit=1.4),  # three evaluations go by before it is clear that low rungs mislead
    Check("noisy", limit=1.2),
    Check("small", limit=1.5),
    Check("huge", limit=1.2),
    Check("crashing", limit=1.2),
    Check("continuous", limit=0.7),
)


def means(pairs: set[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Mean regret over races and marks of every problem and racer, in points.

    Raises:
        RuntimeError: If a race fails.
    """
    races = [(*pair, seed) for pair in sorted(pairs) for seed in range(SEEDS)]
    found: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver")) as pool:
        rows = [pool.submit(run, *one, MARKS[-1]) for one in races]
        for (problem, racer, seed), future in zip(races, rows, strict=True):
            row = future.result()
            if row.get("failed"):
                raise RuntimeError(f"{racer} on {problem}, seed {seed}: {row['failed']}")
            found[problem, racer].append(100 * float(np.mean([at(row["steps"], mark) for mark in MARKS])))
    return {pair: float(np.mean(regrets)) for pair, regrets in found.items()}


def verdict(mean: dict[tuple[str, str], float], checks: tuple[Check, ...] = CHECKS) -> list[str]:
    """Lines to print, one a check and one for all together; those that begin with FAILED did."""
    lines, ratios = [], []
    for check in checks:
        ours, rival = mean[check.problem, "ours"], mean[check.problem, check.rival]
        ratio = (ours + _LEAST) / (rival + _LEAST)
        ratios.append(ratio)
        kind = PROBLEMS[check.problem].kind
        said = f"{check.problem} ({kind}): {ours:.2f} points, {check.rival} {rival:.2f}, ratio {ratio:.2f}"
        lines.append(_judged(said, ratio, check.limit))
    pooled = float(np.exp(np.mean(np.log(ratios))))
    return [*lines, _judged(f"all together: ratio {pooled:.2f}", pooled, _POOLED)]


def _judged(said: str, ratio: float, limit: float) -> str:
    return f"{'ok    ' if ratio <= limit else 'FAILED'} {said}, at most {limit:g}"


def main() -> int:
    """Races; gives the exit status."""
    pairs = {(check.problem, racer) for check in CHECKS for racer in ("ours", check.rival)}
    lines = verdict(means(pairs))
    print("\n".join(lines))
    return int(any(line.startswith("FAILED") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
