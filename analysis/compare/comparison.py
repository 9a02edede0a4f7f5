"""Runs of several seeds or optimisers side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.importance import ImportanceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from rich.console import Console

    from analysis.compare.groups import Group
    from analysis.frames import Run


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        groups: Runs that belong together.
        progress: See :func:`analysis.compare.groups.progress`.
        finals: See :func:`analysis.compare.groups.finals`.
        tests: See :func:`analysis.compare.groups.tests`.
        importances: See :func:`analysis.compare.consensus.importances`.
        agreement: See :func:`analysis.compare.consensus.agreement`.
        notes: What a reader has to know.
    """

    groups: list[Group]
    progress: pd.DataFrame
    finals: pd.DataFrame
    tests: pd.DataFrame
    importances: pd.DataFrame
    agreement: pd.DataFrame
    notes: tuple[str, ...]


def compare(runs: Sequence[Run], settings: ImportanceSettings = ImportanceSettings()) -> Comparison:  # noqa: B008 - frozen
    """Compares runs on the same images and space.

    Raises:
        UserError: If there are fewer than two, one occurs twice, or their errors do not compare.
    """
    from analysis.compare import consensus, groups

    parts = groups.group(runs)
    finals = groups.finals(parts)
    return Comparison(
        parts,
        groups.progress(parts),
        finals,
        groups.tests(finals),
        consensus.importances(parts, settings),
        consensus.agreement(runs, settings),
        tuple(_notes(runs, groups.shared_time(runs))),
    )


def _notes(runs: Sequence[Run], shared: float) -> list[str]:
    from analysis.compare import consensus
    from nas.util.quantities import counted, format_duration

    notes = []
    if max(run.clock for run in runs) > 1.05 * shared:
        notes.append(
            f"compared after {format_duration(shared)}, which every run has searched; some searched longer"
        )
    told = {run.path for run in consensus.with_importances(runs)}
    silent = [run.name for run in runs if run.path not in told]
    if silent:
        notes.append(f"too few trials to say what matters: {', '.join(silent)}")
    without = [run.name for run in runs if run.incumbent is None]
    if without:
        notes.append(f"no network trained for {counted(runs[0].rungs[-1], 'epoch')}: {', '.join(without)}")
    machines = {run.search.hardware.device for run in runs}
    if len(machines) > 1:
        notes.append(f"on different devices ({', '.join(sorted(machines))}): search times do not compare")
    return notes


def write(found: Comparison, folder: Path) -> None:
    """Writes tables (CSV) and figures (PNG and SVG).

    Raises:
        UserError: If the folder cannot be written.
    """
    from analysis import outputs
    from analysis.compare import figures as figures_compare

    with outputs.writable(folder) as place:
        for name in ("progress", "finals", "tests", "importances", "agreement"):
            outputs.write_csv(getattr(found, name), place / f"{name}.csv")
        outputs.write_figure(figures_compare.progress(found.groups, found.progress), place, "progress")
        outputs.write_figure(figures_compare.learning_curves(found.groups), place, "learning-curves")
        if not found.importances.empty:
            figure = figures_compare.importances(found.groups, found.importances)
            outputs.write_figure(figure, place, "importances")


def show(found: Comparison, console: Console) -> None:
    """Prints the results."""
    from rich.text import Text

    from nas.util import tables
    from nas.util.quantities import format_duration

    best = f"best top-1 after {format_duration(found.finals['seconds'].iloc[0])}"
    names = ("run", "group", "seed", best, "base", "trials", "crashed")
    table = tables.table(None, *names, words=names[:2], fold=True)
    for _, row in found.finals.iterrows():
        top1, base = (
            f"{100 * share:.2f}%" if share == share else "–" for share in row[["top1", "base_top1"]]
        )
        numbers = (str(row[name]) for name in ("seed", "trials", "crashed"))
        seed, trials, crashed = numbers
        table.add_row(Text(row["run"]), Text(row["group"]), seed, top1, base, trials, crashed)
    console.print(table)
    for _, row in found.tests.iterrows():
        console.print(Text(f"{row['a']} against {row['b']}: {row['verdict']} (Mann-Whitney U, two-sided)"))
    if len(found.groups) == 1:
        console.print(Text("all runs have the same settings but the seed: nothing to test against"))
    heads = ("", "best choice", "in runs", "rank correlation")
    agreement = tables.table("do the runs agree on the choices?", *heads, words=heads[:2])
    for _, row in found.agreement.iterrows():
        rho = row["rank_correlation"]
        correlation = f"{rho:.2f}" if rho == rho else "–"
        agreement.add_row(
            row["hyperparameter"], str(row["best"]), f"{row['agreeing']} of {row['runs']}", correlation
        )
    if len(found.agreement):
        console.print(agreement)
    for note in found.notes:
        console.print(Text(f"note  {note}"))
