"""Training speed in images per second, against the loop most people would write with timm.

``ours`` is what a trial does, images, deterministic kernels and all: a trial host is handed
the network, and epochs are read off the trial's own clock (``benchmarks.trial``). ``ours, N at once``, on
a CPU, are N trials of one thread each; ``ours, reference`` is a trial with ``--reference``. ``plain`` (a)
is a loop with DataLoader workers, RandAugment on PIL images, eager and channels first, in float32 and, on
a GPU, with automatic mixed precision too; ``plain, no data`` (b) is the same on one batch that lies on the
device. The update rule, LAMB, is the same everywhere; ratios are those of the fastest of ours, reference
apart, to the fastest of (a) and of (b).

Every way of training is a process of its own; they take turns, and the ratios are medians over the
turns, so that other load on the machine affects all alike. ``by CPU time`` compares images per CPU
second, ours against plain with its workers: what the clock would show on a CPU that is busy all the time.
``validation`` is its share of an epoch as long as a turn, estimation of batch norms included: on few
images more than in a search, whose own share ``benchmarks.search_utilisation`` reads from its journal.
The roofline is the larger of the floors of operations and bytes (``benchmarks.workload.floors``) at the
ceilings that a matrix product and a copy reach on the same device, in the same precision.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contest import REFERENCE, Conditions, Contest, chosen
from benchmarks.trial import batch_size
from benchmarks.workload import SPACE, ceilings, command, machine, number_type, roofline, write_json
from nas.util.machine import find_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.contest import Speed


@dataclass(frozen=True)
class TrainThroughputSettings:
    """What to time."""

    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    widths: tuple[int, ...] = tuple(SPACE.presets.values())
    """Widths of the reduced network."""
    points: tuple[str, ...] = ("xception", "nexception", "cheapest", "costliest")
    """Named points of the space."""
    ways: tuple[str, ...] = ()
    """Ways of training by name; none: all that the device has."""
    batch_size: int | None = None
    """Images a step; unset: the preset's."""
    turns: int = 5
    """How often each way of training has its turn."""
    seconds: float = 2.0
    """Length of a turn, and never less than three steps."""
    minutes: float = math.inf
    """Begin no further network after so long."""
    json: Path | None = None
    """Writes all figures there, after every network."""


def main(options: TrainThroughputSettings) -> dict[str, Any]:
    """Prints a Markdown table; returns all figures.

    Raises:
        UserError: If a way of training or the device is not there.
    """
    began = time.monotonic()
    device = find_device(options.device)
    compared = chosen(options.ways, device.type)
    limits = ceilings(device, number_type(device))
    print(f"ceilings: {limits[0] / 1e9:,.0f} GFLOP/s ({number_type(device)}), {limits[1] / 1e9:,.1f} GB/s\n")
    names = [way.name for way in compared]
    print("| width | network | batch | " + " | ".join(f"{name}, img/s" for name in names), end=" ")
    print("| ours : plain | ours : plain, no data | by CPU time | validation | share of roofline | floor |")
    print("|---" * (len(names) + 9) + "|", flush=True)
    results: list[dict[str, Any]] = []
    found = {**machine(device), "flops": limits[0], "bytes": limits[1], "results": results, "notes": []}
    conditions = Conditions(str(device), options.seconds, options.batch_size)
    with Contest(compared, conditions, options.turns) as contest:
        for width, point in itertools.product(options.widths, options.points):
            if time.monotonic() - began > 60 * options.minutes:
                found["notes"].append(f"width {width}, {point}: not measured, the time was over")
                continue
            speeds, notes = contest.speeds(point, width)
            size = batch_size(width, options.batch_size)
            results.append(
                {
                    "width": width,
                    "point": point,
                    "batch_size": size,
                    **roofline(point, width, size, limits, number_type(device)),
                }
            )
            results[-1] |= judged(speeds, results[-1]["most"])
            found["notes"] += [f"width {width}, {point}, {note}" for note in notes]
            print(row(results[-1], names), flush=True)
            write_json(options.json, found)
    write_json(options.json, found)
    print("".join(f"\n{note}" for note in found["notes"]))
    return found


def judged(speeds: Mapping[str, Iterable[Speed]], most: float) -> dict[str, Any]:
    """The fastest of our ways against the fastest plain ones and the roofline; NaN where one is missing."""
    rates = {name: [speed.by_clock for speed in turns] for name, turns in speeds.items()}
    frugality = {name: [speed.by_cpu for speed in turns] for name, turns in speeds.items()}
    validation = {name: [speed.validation for speed in turns] for name, turns in speeds.items()}
    best = _fastest(rates, "ours")
    found: dict[str, Any] = {"rates": rates, "frugality": frugality, "best": best}
    found["against_plain"] = ratio(rates, best, _fastest(rates, "plain", data=True))
    found["against_no_data"] = ratio(rates, best, _fastest(rates, "plain", data=False))
    frugal, other = _fastest(frugality, "ours"), _fastest(frugality, "plain", data=True)
    found["cpu_against_plain"] = ratio(frugality, frugal, other)
    found["share"] = statistics.median(rates[best]) / most if best else math.nan
    found["validation"] = statistics.median(validation[best]) if best else math.nan
    return found


def _fastest(rates: Mapping[str, list[float]], kind: str, data: bool | None = None) -> str:
    """The name of the fastest way of a kind, empty if there is none."""
    names = [n for n in rates if n.startswith(kind) and n != REFERENCE]
    names = [n for n in names if data is None or data != n.endswith("no data")]
    return max(names, key=lambda name: statistics.median(rates[name]), default="")


def ratio(rates: Mapping[str, list[float]], one: str, other: str) -> float:
    """The median over turns of how many times faster one is; NaN if one of them is missing."""
    if not one or not other:
        return math.nan
    return statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))


def row(result: dict[str, Any], names: Iterable[str]) -> str:
    """A row of the table."""
    rates = result["rates"]
    cells = [result["width"], result["point"], result["batch_size"]]
    cells += [f"{statistics.median(rates[name]):,.0f}" if name in rates else "" for name in names]
    cells += [times(result[key]) for key in ("against_plain", "against_no_data", "cpu_against_plain")]
    cells += [share(result["validation"]), share(result["share"])]
    bound = "bytes" if result["bytes_seconds"] > result["operations_seconds"] else "operations"
    return "| " + " | ".join(map(str, [*cells, bound])) + " |"


def times(ratio: float) -> str:
    """A ratio for a table; nothing if it was not measured."""
    return "" if math.isnan(ratio) else f"{ratio:.1f}"


def share(part: float) -> str:
    """A share for a table; nothing if it was not measured."""
    return "" if math.isnan(part) else f"{100 * part:.0f} %"


if __name__ == "__main__":
    command(main, TrainThroughputSettings, __doc__)
