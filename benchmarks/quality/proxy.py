"""Whether cheap trials rank networks as expensive ones do, and whether the paper's findings hold there.

``python -m benchmarks.quality.proxy`` prints, from the table, rank correlations between settings, seeds and
epochs, each choice's effect according to the surrogate, and NEXcepTion against Xception.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import search_spaces
from benchmarks.quality.surrogate import TABLE, Curves, fit, trainings
from nas.util.quantities import counted
from search_spaces.base import config_id

_EPOCHS = (1, 2, 3, 6, 9, 12)


def settings(frame: pd.DataFrame) -> pd.DataFrame:
    """How each part of the table ranks the configurations it shares with ``table``, last epoch, seed 0.

    Args:
        frame: The table: part, config_id, seed, epoch, error.
    """
    last = frame[(frame.epoch == frame.epoch.max()) & (frame.seed == 0)]
    wide = last.pivot_table(index="config_id", columns="part", values="error", observed=True)
    parts = [part for part in wide.columns if part != "table"]
    shared = {part: wide[["table", part]].dropna() for part in parts}
    return pd.DataFrame(
        {
            "configurations": {part: len(both) for part, both in shared.items()},
            "spearman": {part: both.corr("spearman").iloc[0, 1] for part, both in shared.items()},
        }
    )


def seeds(frame: pd.DataFrame) -> tuple[int, float, float, float]:
    """Of ``table``: configurations with two seeds, their rank correlation, noise and spread (points)."""
    table = frame[(frame.part == "table") & (frame.epoch == frame.epoch.max())]
    wide = table.pivot_table(index="config_id", columns="seed", values="error", observed=True)
    both = wide[[0, 1]].dropna()
    noise = float((both[0] - both[1]).std() / np.sqrt(2))
    return len(both), float(both.corr("spearman").iloc[0, 1]), 100 * noise, 100 * float(wide[0].std())


def epochs(data: Curves) -> dict[int, float]:
    """Rank correlation of earlier epochs' errors with the last one's."""
    curves = pd.DataFrame(data.curves)
    last = curves.iloc[:, -1]
    return {n: float(curves[n - 1].corr(last, method="spearman")) for n in _EPOCHS}


def shares(data: Curves) -> pd.Series[float]:
    """Main effect of each choice: its share of the surrogate's variance at the last epoch."""
    found = fit(data)
    frame = pd.DataFrame(found.configs)
    error = pd.Series(found.curves[:, -1].astype(float))
    effects = {name: error.groupby(frame[name]).transform("mean").var() for name in frame}
    return (pd.Series(effects) / error.var()).sort_values(ascending=False)


def main() -> None:
    """Prints everything."""
    frame = pd.read_parquet(TABLE)
    frame = frame.astype({"part": str, "config_id": str})
    data = trainings(frame)
    print(settings(frame).round(2).to_string())
    n, rank, noise, spread = seeds(frame)
    print(
        f"\ntwo seeds: {n} configurations, spearman {rank:.2f}; standard deviation between seeds "
        f"{noise:.2f} points, between configurations {spread:.2f}"
    )
    by_epoch = ", ".join(f"{epoch}: {value:.2f}" for epoch, value in epochs(data).items())
    print(f"spearman with the last epoch, {len(data.configs)} configurations: {by_epoch}\n")
    print((100 * shares(data)).round(1).to_string(header=False))
    points = search_spaces.get("nexception").points
    last = frame[frame.epoch == frame.epoch.max()]
    print()
    for part, group in last.groupby("part"):
        errors = {
            name: group[group.config_id == config_id(points[name])].error
            for name in ("xception", "nexception")
        }
        if all(map(len, errors.values())):
            shown = ", ".join(f"{name} {100 * e.mean():.1f} %" for name, e in errors.items())
            print(f"{part}: {shown} ({counted(len(errors['xception']), 'seed')})")


if __name__ == "__main__":
    main()
