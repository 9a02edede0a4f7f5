"""Groups runs that differ only in their seeds, and compares the groups at equal times."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.importance.marginals import confidence
from nas.util import records
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analysis.frames import Run

SIGNIFICANT = 0.05
_POINTS = 200

# Settings that do not change what is measured; runs that differ in no others are repeats.
_REPEATS = {("choice", "seed"), ("data", "data_dir"), ("budget", "budget"), ("budget", "trials")}


@dataclass(frozen=True)
class Group:
    """Runs of the same optimiser and settings."""

    label: str
    runs: tuple[Run, ...]


def group(runs: Sequence[Run]) -> list[Group]:
    """Puts repeats together; a label names the optimiser and whatever else differs.

    Raises:
        UserError: If there are fewer than two runs, one occurs twice, or their errors do not
            compare: other data, another space, another highest rung.
    """
    if len(runs) < 2:
        raise UserError("compare: give at least two run folders")
    paths = [run.path.resolve() for run in runs]
    if len(set(paths)) < len(paths):
        twice = next(run.path for run, path in zip(runs, paths, strict=True) if paths.count(path) > 1)
        raise UserError(f"{twice}: occurs twice; give every run folder once")
    for run in runs[1:]:
        _check(runs[0], run)
    settings = [_settings(run) for run in runs]
    differing = [key for key in settings[0] if len({str(found.get(key)) for found in settings}) > 1]
    labels = [_label(run, found, differing) for run, found in zip(runs, settings, strict=True)]
    return [
        Group(label, tuple(run for run, other in zip(runs, labels, strict=True) if other == label))
        for label in dict.fromkeys(labels)
    ]


def _check(first: Run, other: Run) -> None:
    for name, values in (
        ("search spaces", [run.search.space.fingerprint for run in (first, other)]),
        ("data", [run.search.data.fingerprint for run in (first, other)]),
        ("highest rungs", [run.rungs[-1] for run in (first, other)]),
    ):
        if values[0] != values[1]:
            raise UserError(
                f"{other.path}: cannot be compared with {first.path}, their {name} differ; compare runs on "
                "the same images, space and highest number of epochs"
            )


def _settings(run: Run) -> dict[str, Any]:
    """Returns the settings, flattened; ``width`` is the resolved one."""
    flat = {
        f"{part} {key}".replace("choice ", ""): value
        for part, values in records.write(run.search.settings).items()
        if part != "machine"
        for key, value in values.items()
        if (part, key) not in _REPEATS and key != "width"
    }
    return {**flat, "width": run.search.width}


def _label(run: Run, settings: Mapping[str, Any], differing: Sequence[str]) -> str:
    others = [f"{key} {settings.get(key)}" for key in differing if key != "optimizer"]
    return ", ".join([run.search.settings.choice.optimizer, *others])


def shared_time(runs: Sequence[Run]) -> float:
    """Returns the seconds that every run has searched, at which all are compared."""
    return min(run.clock for run in runs)


def best_at(run: Run, seconds: np.ndarray) -> np.ndarray:
    """Returns the top-1 of the incumbent at times of the search clock, NaN before the first."""
    clock, top1 = run.incumbents["clock"].to_numpy(), run.incumbents["top1"].to_numpy()
    place = np.searchsorted(clock, seconds, side="right")
    return np.r_[np.nan, top1][place]


def progress(groups: Sequence[Group]) -> pd.DataFrame:
    """The incumbent's mean top-1 over time in each group.

    Returns:
        One row a group and moment: ``group``, ``seconds``, ``runs`` (with an incumbent by then),
        ``top1`` (their mean; NaN until every run of the group has one), ``low`` and ``high``: for
        three runs or more the mean's 95 % confidence interval by Student's t, for two the two, for
        one NaN.
    """
    end = shared_time([run for part in groups for run in part.runs])
    moments = np.linspace(0, end, _POINTS)
    frames = []
    for part in groups:
        values = np.stack([best_at(run, moments) for run in part.runs])
        bands = np.array([_band(column) for column in values.T])
        frames.append(
            pd.DataFrame(
                {
                    "group": part.label,
                    "seconds": moments,
                    "runs": (~np.isnan(values)).sum(axis=0),
                    "top1": values.mean(axis=0),
                    "low": bands[:, 0],
                    "high": bands[:, 1],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _band(values: np.ndarray) -> tuple[float, float]:
    if np.isnan(values).any() or len(values) < 2:
        return float("nan"), float("nan")
    return (float(values.min()), float(values.max())) if len(values) == 2 else confidence(values)


def finals(groups: Sequence[Group]) -> pd.DataFrame:
    """One row a run: ``run``, ``group``, ``seed``, ``seconds`` compared at, ``top1`` there,
    ``base_top1``, ``trials`` measured, ``crashed`` and the winner's choices.
    """
    end = shared_time([run for part in groups for run in part.runs])
    rows = []
    for part in groups:
        for run in part.runs:
            base = run.baseline(run.rungs[-1])
            winner = run.incumbent
            rows.append(
                {
                    "run": run.name,
                    "group": part.label,
                    "seed": run.search.settings.choice.seed,
                    "seconds": end,
                    "top1": float(best_at(run, np.array([end]))[0]),
                    "base_top1": float("nan") if base is None else 1 - base["error"],
                    "trials": len(run.measured),
                    "crashed": len(run.crashed),
                    **{name: None if winner is None else winner[name] for name in run.hyperparameters},
                }
            )
    return pd.DataFrame(rows)


def tests(table: pd.DataFrame) -> pd.DataFrame:
    """Whether two groups differ beyond chance, by the exact two-sided Mann-Whitney U test of final top-1.

    It assumes nothing of how top-1 is distributed. With ``n`` and ``m`` runs it cannot give less than
    ``2 / C(n + m, n)``: below four and four runs a difference rarely can be shown.

    Args:
        table: From :func:`finals`.

    Returns:
        One row a pair of groups: ``a``, ``b``, ``runs_a``, ``runs_b``, ``better`` (probability that a
        run of ``a`` beats one of ``b``, ties as half), ``p`` (Holm-corrected for the number of pairs),
        ``least_p`` attainable, and ``verdict`` in words.
    """
    from scipy.stats import mannwhitneyu

    known = table.dropna(subset=["top1"])
    rows: list[dict[str, Any]] = []
    for a, b in combinations(dict.fromkeys(table["group"]), 2):
        x, y = (known.loc[known["group"] == label, "top1"].to_numpy() for label in (a, b))
        n, m = len(x), len(y)
        if min(n, m) < 1:
            found = {"better": float("nan"), "p": float("nan"), "least_p": 1.0}
        else:
            result = mannwhitneyu(x, y, alternative="two-sided", method="exact" if _no_ties(x, y) else "auto")
            p = float(np.nan_to_num(result.pvalue, nan=1.0))  # NaN if all runs are equal
            least = min(2 / comb(n + m, n), 1.0)
            found = {"better": result.statistic / (n * m), "p": max(p, least), "least_p": least}
        rows.append({"a": a, "b": b, "runs_a": n, "runs_b": m, **found})
    columns = ["a", "b", "runs_a", "runs_b", "better", "p", "least_p"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["p"] = _holm(frame["p"].to_numpy(dtype=float))
    frame["least_p"] = np.minimum(frame["least_p"] * len(frame), 1.0)
    frame["verdict"] = [_verdict(row) for _, row in frame.iterrows()]
    return frame


def _no_ties(x: np.ndarray, y: np.ndarray) -> bool:
    return len(np.unique(np.r_[x, y])) == len(x) + len(y)


def _holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (Scandinavian Journal of Statistics, 1979)."""
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def _verdict(row: pd.Series) -> str:
    if row["least_p"] > SIGNIFICANT:
        return (
            f"too few runs ({row['runs_a']} and {row['runs_b']}) to tell: no outcome could give "
            f"p < {row['least_p']:.2g}"
        )
    if row["p"] > SIGNIFICANT:
        return f"no difference shown (p = {row['p']:.2g})"
    better = row["a"] if row["better"] > 0.5 else row["b"]
    return f"{better} is better (p = {row['p']:.2g})"
