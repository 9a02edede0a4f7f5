"""A run as pandas frames, on which everything in this package is based."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
import pandas as pd

from analysis import levels, spaces
from nas.run import folder
from nas.run.events import NewIncumbent, SessionStarted, SessionStopped
from nas.run.journal import Contents
from nas.run.objectives import COST, Objectives
from nas.run.state import SearchState
from nas.util.errors import UserError
from search_spaces.base import Hyperparameter, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from nas.run.search_file import SearchFile
    from nas.run.state import Trial
    from search_spaces.base import Parameter

METRICS = ("top1", "top5", "val_loss", "train_loss", "params", "macs", "peak_memory", "train_seconds")


@dataclass(frozen=True)
class Run:
    """A search, finished or not, at the time of reading.

    Attributes:
        path: The run folder.
        name: Name of the run.
        search: ``search.json``: command, settings, data, hardware, versions.
        hyperparameters: Hyperparameters of the space by name, in its order.
        trials: One row a trial, by number. ``config_id``, ``epochs``, ``origin``, ``status``
            (``success``, ``crashed``, ``running`` or ``asked``), ``error`` (``1 - top-1``, NaN unless
            it succeeded), ``top1``, ``top5``, ``val_loss``, ``train_loss``, ``params``, ``macs``,
            ``peak_memory`` (bytes), ``train_seconds``, ``seconds`` and ``clock`` (search clock at its
            end, s), ``started`` and ``ended`` (UTC), ``attempts``, ``reason``, ``cached`` (answered
            from an earlier trial), ``replicate`` (which further training of its configuration with a
            fresh seed it is, from 1; 0: its own), one column for each hyperparameter, and for each cost
            that is minimised or limited besides the error ``cost_`` and its name.
        curves: One row an epoch trained: ``trial``, ``config_id``, ``epoch`` and its metrics. A
            promoted configuration's epochs lie with the trials that trained them.
        incumbents: One row a lead, or what more seeds said of it: ``trial``, ``config_id``, ``epochs``,
            ``error``, ``top1``, ``seeds``, ``low`` and ``high`` (95 % interval of the error, NaN before any
            configuration has a second seed), ``clock`` (s) and ``time`` (UTC).
        sessions: One row a session: ``started``, ``ended`` (NaT while it runs or after a kill),
            ``reason``, ``command`` and ``host``.
        state: The fold of the journal, of which the frames are made.
        clock: Seconds of search time used.
        begun_by: The command line that began the run; that of a resumed session does not show the settings.
        running: Whether a search writes to the folder now.
        dropped: Size of a half-written last line that was left out, bytes.
    """

    path: Path
    name: str
    search: SearchFile
    hyperparameters: dict[str, Hyperparameter]
    trials: pd.DataFrame
    curves: pd.DataFrame
    incumbents: pd.DataFrame
    sessions: pd.DataFrame
    state: SearchState
    clock: float
    begun_by: tuple[str, ...]
    running: bool
    dropped: int

    @property
    def analysis(self) -> Path:
        """Folder of the run's figures and tables."""
        return self.path / "analysis"

    @property
    def default(self) -> dict[str, Any]:
        """The base architecture; None for inactive hyperparameters."""
        known = self.search.space.default
        return {
            name: known.get(name) if levels.optional(hp) else hp.default
            for name, hp in self.hyperparameters.items()
        }

    @property
    def rungs(self) -> list[int]:
        """Rungs of the search, epochs, ascending."""
        return self.search.rungs

    @property
    def measured(self) -> pd.DataFrame:
        """Successful trials without cached results and further seeds.

        Trainings with further seeds (:attr:`replicates`) are no trials of anything new.
        """
        return self._succeeded[self._succeeded["replicate"] == 0]

    @property
    def replicates(self) -> pd.DataFrame:
        """Successful trials with further seeds."""
        return self._succeeded[self._succeeded["replicate"] > 0]

    @property
    def _succeeded(self) -> pd.DataFrame:
        return self.trials[(self.trials["status"] == "success") & ~self.trials["cached"]]

    @property
    def crashed(self) -> pd.DataFrame:
        """Trials that crashed."""
        return self.trials[self.trials["status"] == "crashed"]

    @property
    def incumbent(self) -> pd.Series | None:
        """Row of the winner in ``trials``: the best at the highest rung, None before the first.

        Once configurations were trained with further seeds, its ``error`` and ``top1`` are what is expected
        over all seeds.
        """
        if self.incumbents.empty:
            return None
        lead = self.incumbents.iloc[-1]
        row = self.trials.loc[lead["trial"]].copy()
        if pd.notna(lead["low"]):
            row["error"], row["top1"] = lead["error"], lead["top1"]
        return row

    def baseline(self, epochs: int) -> pd.Series | None:
        """Returns the base architecture's trial at a rung, None if it has not succeeded."""
        rows = self.measured
        rows = rows[(rows["origin"] == "baseline") & (rows["epochs"] == epochs)]
        return None if rows.empty else rows.iloc[0]

    def config(self, trial: int) -> dict[str, Any]:
        """Returns the configuration of a trial; None for inactive hyperparameters."""
        row = self.trials.loc[trial]
        return plain({name: row[name] for name in self.hyperparameters})

    def differing(self, config: Mapping[str, Any] | pd.Series) -> list[str]:
        """Returns the hyperparameters in which a configuration or a trial's row differs from the base."""
        default = self.default
        return [name for name in self.hyperparameters if config[name] != default[name]]

    def changes(self, row: Mapping[str, Any] | pd.Series) -> str:
        """Describes a trial's differences from the base architecture."""
        words = [f"{name} {levels.shown(row[name])}" for name in self.differing(row)]
        return ", ".join(words) or "the base architecture"

    def budget(self, epochs: int) -> pd.DataFrame:
        """Returns the measured trials of one rung."""
        return self.measured[self.measured["epochs"] == epochs]


def load(path: Path) -> Run:
    """Reads a run folder; a search may be writing to it.

    Raises:
        UserError: If it is not a run, or a file in it is damaged.
    """
    opened = folder.Run.open(path)
    running = opened.is_locked()
    search = opened.read_search()
    hyperparameters = _hyperparameters(opened.configspace_json, search)
    contents = opened.read_journal()
    state = SearchState.of(contents.events)
    objectives = Objectives.of(search)
    costs = () if objectives is None else tuple(COST + name for name in objectives.names)
    trials = _trials(state.trials.values(), hyperparameters, costs)
    return Run(
        path=path,
        name=opened.name,
        search=search,
        hyperparameters=hyperparameters,
        trials=trials,
        curves=_curves(state.trials.values()),
        incumbents=_incumbents(contents, trials),
        sessions=_sessions(contents),
        state=state,
        clock=state.clock,
        begun_by=_begun_by(contents, search),
        running=running,
        dropped=contents.dropped,
    )


def _hyperparameters(path: Path, search: SearchFile) -> dict[str, Hyperparameter]:
    """Returns the run's hyperparameters from its record, with words and order of the space if it exists."""
    try:
        found = levels.of(orjson.loads(path.read_bytes()))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise UserError(f"{path}: not readable as a configuration space ({error})") from None
    space = spaces.registered(search)
    known = {} if space is None else space.hyperparameters
    order = [name for name in known if name in found] + [name for name in found if name not in known]
    return {name: _with_words(found[name], known.get(name)) for name in order}


def _with_words(found: Hyperparameter, known: Parameter | None) -> Hyperparameter:
    """Takes the words, which files of older runs lack, from the space if the hyperparameter is the same."""
    if known is None:
        return found
    if isinstance(known, Hyperparameter) and known.choices == found.choices:
        return known
    return replace(found, meaning=found.meaning or known.meaning, source=found.source or known.source)


def _trials(
    trials: Iterable[Trial], hyperparameters: Mapping[str, Hyperparameter], costs: tuple[str, ...] = ()
) -> pd.DataFrame:
    rows = list(trials)
    plain_columns = (
        *("trial", "config_id", "epochs", "origin", "status", "error", "seconds"),
        *("attempts", "reason", "cached"),
    )
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in plain_columns}
    columns["error"] = [float("nan") if row.error is None else row.error for row in rows]
    columns["replicate"] = [row.repeat for row in rows]
    columns["clock"] = [row.clock_ended if row.finished else float("nan") for row in rows]
    for name in ("started", "ended"):
        times = pd.Series([getattr(row, name) or None for row in rows], dtype=object)
        columns[name] = pd.to_datetime(times, utc=True)
    for name in (*METRICS, *costs):
        columns[name] = [row.metrics.get(name, float("nan")) for row in rows]
    for name in hyperparameters:
        if name in columns:
            raise UserError(
                f"configspace.json: a hyperparameter is called {name}, as a figure of every trial is; rename "
                f"it in the search space, such as network_{name}, and begin a new run"
            )
        values = [row.config.get(name) for row in rows]
        if None in values and not levels.optional(hyperparameters[name]):
            number = rows[values.index(None)].trial
            raise UserError(f"trials.jsonl: trial {number} has no {name}; the journal is of another space")
        # As objects, since integers would become floats beside trials in which they are inactive.
        columns[name] = pd.Series(values, dtype=object) if None in values else values
    types = {"epochs": int, "attempts": int, "replicate": int, "cached": bool, "error": float, "clock": float}
    return pd.DataFrame(columns).astype(types).set_index("trial", drop=False).rename_axis(None)


def _curves(trials: Iterable[Trial]) -> pd.DataFrame:
    points = [(row, epoch, metrics) for row in trials for epoch, metrics in sorted(row.curve.items())]
    names = dict.fromkeys(name for _, _, metrics in points for name in metrics) or ["top1"]
    columns: dict[str, Any] = {
        "trial": [row.trial for row, _, _ in points],
        "config_id": [row.config_id for row, _, _ in points],
        "epoch": [epoch for _, epoch, _ in points],
        **{name: [metrics.get(name, float("nan")) for _, _, metrics in points] for name in names},
    }
    return pd.DataFrame(columns)


def _incumbents(contents: Contents, trials: pd.DataFrame) -> pd.DataFrame:
    leads = [event for event in contents.events if isinstance(event, NewIncumbent)]
    rows = trials.loc[[event.trial for event in leads], ["trial", "config_id", "epochs", "error", "top1"]]
    for column, event in enumerate(leads):
        if event.low is not None and event.error is not None:
            rows.iloc[column, 3:] = event.error, 1 - event.error
    return rows.assign(
        seeds=[event.seeds for event in leads],
        low=[float("nan") if event.low is None else event.low for event in leads],
        high=[float("nan") if event.high is None else event.high for event in leads],
        clock=[float(event.clock) for event in leads],
        time=pd.to_datetime([event.time for event in leads], utc=True),
    ).reset_index(drop=True)


def _begun_by(contents: Contents, search: SearchFile) -> tuple[str, ...]:
    starts = [event for event in contents.events if isinstance(event, SessionStarted)]
    return tuple((starts[0] if starts else search).command or ())


def _sessions(contents: Contents) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for event in contents.events:
        if isinstance(event, SessionStarted):
            command = " ".join(event.command or ())
            begun = {"started": event.time, "ended": None, "reason": "", "command": command}
            rows.append({**begun, "host": event.host})
        elif isinstance(event, SessionStopped) and rows:
            rows[-1].update(ended=event.time, reason=event.reason)
    frame = pd.DataFrame(rows, columns=["started", "ended", "reason", "command", "host"])
    for name in ("started", "ended"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame
