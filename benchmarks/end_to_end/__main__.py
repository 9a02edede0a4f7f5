"""A race of whole programs on real images: our search against what a user would write with Optuna.

``python -m benchmarks.end_to_end --minutes 25 --repeats 5`` gives each program the same images, networks,
minutes and cores. Every program names a winner; all winners are then trained by our trainer with fresh seeds
and judged on test images that nobody selected on. Races that ended are kept, so that the command can be
killed and repeated.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import torch
import tyro

import search_spaces
from benchmarks.end_to_end import images, judge, results
from benchmarks.end_to_end.racers import RaceSetup, race
from benchmarks.end_to_end.settings import EndToEndSettings
from nas.util.errors import UserError
from nas.util.machine import hardware
from nas.util.quantities import counted
from search_spaces.base import config_id


def execute(options: EndToEndSettings) -> None:
    """Runs the repeats that are missing."""
    done = {row["repeat"] for row in results.read(options.results, options) if _all(row, options)}
    for repeat in range(options.repeats):
        if repeat not in done:
            row = one(options, repeat)
            options.results.parent.mkdir(parents=True, exist_ok=True)
            with options.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(results.table([row], options.racers), flush=True)


def one(options: EndToEndSettings, repeat: int) -> dict[str, object]:
    """One race, and the judgement of its winners."""
    given = images.given(options, repeat)
    folder = options.work.resolve() / str(repeat)
    shutil.rmtree(folder, ignore_errors=True)  # of a race that was cut off
    images.write(given, folder / "images.npz")
    winners = race(RaceSetup(options, repeat, folder / "images.npz", given.flip, folder))
    data = images.judged(options, given, repeat)
    base = search_spaces.get(options.space).default
    configs = {config_id(config): config for config in (base, *(w.config for w in winners.values()))}
    found = judge.accuracies(options, data, list(configs.values()), repeat)
    fresh = dict(zip(configs, found, strict=True))
    machine = hardware(torch.device(options.device))
    return {
        "repeat": repeat,
        "terms": results.terms(options),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "hardware": {name: machine[name] for name in ("device", "cpu", "cores")},
        "racers": {
            name: {**asdict(winner), "fresh": fresh[config_id(winner.config)]}
            for name, winner in winners.items()
        },
        "base": fresh[config_id(base)],
    }


def _all(row: dict[str, Any], options: EndToEndSettings) -> bool:
    return set(options.racers) <= set(row["racers"])


def main() -> None:
    """Races, and prints the table."""
    try:
        options = tyro.cli(EndToEndSettings, description=__doc__)
        execute(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    rows = [row for row in results.read(options.results, options) if _all(row, options)]
    print(
        f"\n{counted(len(rows), 'race')} of {options.minutes:g} min\n\n{results.table(rows, options.racers)}"
    )


if __name__ == "__main__":
    main()
