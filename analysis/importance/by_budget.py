"""Which choices matter, rung by rung: LPI, fANOVA and the ablation path."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nas.util.errors import SettingError, UserError
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    import pandas as pd

    from analysis.frames import Run
    from analysis.importance.engines import Names, Scores

OVERALL = "overall"


@dataclass(frozen=True)
class ImportanceSettings:
    """How importances are computed."""

    engine: Literal["auto", "deepcave", "local"] = "auto"
    """deepcave: DeepCAVE's fANOVA, ablation and LPI; local: ours, which need no further environment; auto:
    deepcave if its environment is installed."""
    trees: int = 64
    """Trees per forest."""
    bootstrap: int = 10
    """Repeats on resampled trials, for error bars; 0: none."""
    seed: int = 0
    """Seed of the forests and of the resampling."""

    def __post_init__(self) -> None:
        for field, value, least in (("trees", self.trees, 2), ("bootstrap", self.bootstrap, 0)):
            if value < least:
                raise SettingError(field, value, f"must be at least {least}")
        if not 0 <= self.seed < 2**31:
            raise SettingError("seed", self.seed, "must be at least 0 and below 2^31")


@dataclass(frozen=True)
class Importances:
    """The results of the methods.

    Attributes:
        table: One row a method, rung and hyperparameter or pair. ``method`` (``lpi``, ``lpi_stock``,
            ``fanova``, ``fanova_pairs``, ``ablation``), ``engine``, ``budget`` (epochs as text, or
            ``overall``), ``trials``, ``hyperparameter``, ``partner`` (the pair's other one, else ""),
            ``importance`` (a share of the variance, 0 to 1; for ablation the error taken away),
            ``std_trees``, ``std_bootstrap`` (NaN without repeats), ``step`` and ``error`` (the place on
            the ablation path and the predicted error after it, else missing).
        centre: Number of the trial whose configuration LPI and ablation examine.
        notes: Notes for the reader, one sentence each.
    """

    table: pd.DataFrame
    centre: int
    notes: tuple[str, ...]

    def of(self, method: str) -> pd.DataFrame:
        """Returns the rows of one method."""
        return self.table[self.table["method"] == method]


def importances(run: Run, settings: ImportanceSettings = ImportanceSettings()) -> Importances:
    """Computes LPI, fANOVA and the ablation path for every rung with enough trials.

    LPI and the ablation path are about the winner: the best at the highest rung that has one.
    ``overall`` is about the highest rung too, but learns from the trials of all rungs: one
    forest that has the epochs as an input (see :func:`analysis.importance.engines.fit`).

    Raises:
        UserError: If no rung has ten measured trials, or DeepCAVE's environment cannot be built.
    """
    import pandas as pd

    from analysis.importance import engines, marginals

    _check(run)
    budgets = marginals.enough(run)
    centre = find_centre(run)
    notes = _notes(run)
    parts = {str(epochs): run.budget(epochs) for epochs in budgets} | {OVERALL: run.measured}
    config = run.config(centre)
    with _deepcave_meanwhile(run, budgets, centre, settings) as asked:
        found = {
            budget: engines.local(run, trials, config, trees=settings.trees, seed=settings.seed)
            for budget, trials in parts.items()
        }
        repeats = {budget: _bootstrap(run, trials, config, settings) for budget, trials in parts.items()}
    if asked is not None:
        for epochs, scores in asked.result().items():
            found[str(epochs)].update(scores)
            missing = {"fanova", "fanova_pairs", "ablation"} - set(scores)
            if missing and not marginals.all_equal(run, epochs):
                listed = ", ".join(sorted(missing))
                rung = counted(epochs, "epoch")
                notes.append(f"{rung}: DeepCAVE gave no {listed}; scikit-learn's forest did")
        notes += _sampled(run, budgets, engines.MOST_TRIALS)
    elif settings.engine == "auto":
        notes.append(
            "fANOVA and ablation by scikit-learn's forest, no stock LPI: DeepCAVE's environment is not "
            "built yet; the engine deepcave builds it"
        )
    rows = [
        row
        for budget, trials in parts.items()
        for row in _rows(budget, len(trials), found[budget], repeats[budget])
    ]
    table = pd.DataFrame(rows)
    table["step"] = table["step"].astype("Int64")
    return Importances(table, centre, tuple(notes))


def find_centre(run: Run) -> int:
    """Returns the trial that LPI and ablation examine: the winner, or the best of the highest rung so far."""
    if run.incumbent is not None:
        return int(run.incumbent["trial"])
    highest = run.measured[run.measured["epochs"] == run.measured["epochs"].max()]
    return int(highest.loc[highest["error"].idxmin(), "trial"])


def _check(run: Run) -> None:
    from analysis.importance import marginals

    if run.measured.empty:
        crashed = f"; {len(run.crashed)} crashed" if len(run.crashed) else ""
        raise UserError(
            f"{run.path}: no trial has succeeded yet{crashed}; come back when the search has more"
        )
    if not marginals.enough(run):
        counts = Counter(run.measured["epochs"].tolist())
        listed = ", ".join(f"{n} at {counted(epochs, 'epoch')}" for epochs, n in sorted(counts.items()))
        raise UserError(
            f"{run.path}: too few trials to tell what matters ({listed}); it takes "
            f"{marginals.MIN_TRIALS} at one rung"
        )


def _notes(run: Run) -> list[str]:
    from analysis.importance import marginals

    notes = []
    enough = marginals.enough(run)
    for epochs in run.rungs:
        trials, rung = len(run.budget(epochs)), counted(epochs, "epoch")
        if epochs not in enough:
            notes.append(
                f"{rung}: only {counted(trials, 'trial')}, {marginals.MIN_TRIALS} are needed; left out"
            )
        elif marginals.all_equal(run, epochs):
            notes.append(f"{rung}: all {trials} trials have the same error; no choice can be seen to matter")
        elif few := marginals.one_sided(run, epochs):
            notes.append(
                f"{rung}: nearly all trials share {'; '.join(few.values())}; what is said about "
                "these rests on very few trials"
            )
    if len(run.crashed):
        reasons = sorted((-len(trials), reason) for reason, trials in marginals.crash_reasons(run).items())
        listed = "; ".join(f"{-count} x {reason}" for count, reason in reasons[:3])
        notes.append(f"{counted(len(run.crashed), 'crashed trial')} left out ({listed})")
    return notes


def _sampled(run: Run, budgets: Sequence[int], most: dict[str, int]) -> list[str]:
    large = [counted(epochs, "epoch") for epochs in budgets if len(run.budget(epochs)) > min(most.values())]
    limits = f"{most['fanova']}, {most['fanova_pairs']} for pairs"
    words = f"at {', '.join(large)} DeepCAVE saw a random part of the trials ({limits} at most)"
    return [words] if large else []


def _use_deepcave(engine: str) -> bool:
    from analysis.deepcave import environment

    return engine == "deepcave" or (engine == "auto" and environment.find() is not None)


@contextlib.contextmanager
def _deepcave_meanwhile(
    run: Run, budgets: Sequence[int], centre: int, settings: ImportanceSettings
) -> Iterator[Future[dict[int, dict[str, Scores]]] | None]:
    """Runs DeepCAVE's processes while our forests are fitted; yields None where it is not used.

    Raises:
        UserError: If DeepCAVE's environment cannot be built, before anything else is computed.
    """
    from concurrent.futures import ThreadPoolExecutor

    from analysis.deepcave import environment
    from analysis.importance import engines

    if not _use_deepcave(settings.engine):
        yield None
        return
    environment.ensure()
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(engines.deepcave, run, budgets, centre, trees=settings.trees, seed=settings.seed)


def _bootstrap(
    run: Run, trials: pd.DataFrame, config: dict[str, Any], settings: ImportanceSettings
) -> dict[str, list[Scores]]:
    """Computes scores on resampled trials, by our forest for every engine, which is ten times as fast."""
    from analysis.importance import engines
    from nas.util.seeds import derive

    repeats: dict[str, list[Scores]] = {}
    for repeat in range(settings.bootstrap):
        seed = derive(settings.seed, "bootstrap", repeat)
        resampled = trials.sample(frac=1.0, replace=True, random_state=seed)
        trees = max(settings.trees // 4, 2)
        for method, scores in engines.local(run, resampled, config, trees=trees, seed=seed).items():
            repeats.setdefault(method, []).append(scores)
    return repeats


def _rows(
    budget: str, trials: int, found: dict[str, Scores], repeats: dict[str, list[Scores]]
) -> list[dict[str, Any]]:
    rows = []
    for method, scores in found.items():
        drawn = _by_name(repeats.get(method, []))
        for place, names in enumerate(scores.names):
            rows.append(
                {
                    "method": method,
                    "engine": scores.engine,
                    "budget": budget,
                    "trials": trials,
                    "hyperparameter": names[0],
                    "partner": names[1] if len(names) > 1 else "",
                    "importance": float(scores.mean[place]),
                    "std_trees": float(scores.std[place]),
                    "std_bootstrap": _std(drawn.get(names, [])),
                    "step": None if scores.errors is None else place + 1,
                    "error": None if scores.errors is None else float(scores.errors[place + 1]),
                }
            )
    return rows


def _by_name(repeats: Sequence[Scores]) -> dict[Names, list[float]]:
    """Returns the values of each hyperparameter or pair over the repeats."""
    drawn: dict[Names, list[float]] = {}
    for scores in repeats:
        for names, value in zip(scores.names, scores.mean, strict=True):
            drawn.setdefault(names, []).append(float(value))
    return drawn


def _std(values: Sequence[float]) -> float:
    import numpy as np

    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
