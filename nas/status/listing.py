"""All runs of a folder, one line each, without reading every line of their journals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nas.run import journal, liveness
from nas.run.events import NewIncumbent, SessionStarted, SessionStopped
from nas.run.folder import CONFIRMING, Run
from nas.run.state import SearchState
from nas.util import locks
from nas.util.errors import UserError, one_line
from nas.util.timestamps import from_iso

if TYPE_CHECKING:
    from pathlib import Path

    from nas.run.events import Event

BEING_CONFIRMED = "confirming"
_SESSION = b'"event":"session","phase":'


@dataclass(frozen=True)
class Confirmed:
    """The result of ``nas.confirm``.

    Attributes:
        trial: The winner's trial in the search; None for a base architecture without one.
        baseline: Whether the winner is the base architecture.
        mean_error: The winner's mean error over ``compared`` fresh seeds.
        sd_error: Standard deviation over these seeds, None for one seed.
        mean_gain: Mean error saved against the base architecture, seed by seed; None for the base itself.
        sd_gain: Standard deviation of that.
        seeds: Number of seeds requested; all are compared once the confirmation is complete.
    """

    trial: int | None
    baseline: bool
    mean_error: float
    sd_error: float | None
    mean_gain: float | None
    sd_gain: float | None
    compared: int
    seeds: int


@dataclass(frozen=True)
class ListedRun:
    """One run of a folder.

    Attributes:
        status: The status of :class:`nas.run.liveness.Liveness`, or ``confirming``.
        stop_reason: Why it stopped, "" otherwise.
        used_seconds: Seconds of the time budget used so far.
        trial_limit: Maximum number of trials, None without one.
        finished: Number of trials that were trained and ended, including crashed ones.
        best_error: Error of the incumbent at the highest rung; None before the first.
        begun: Start of its last session, UTC in ISO 8601; "" before the first.
        last: Time of its journal's last line, UTC in ISO 8601; "" without any.
    """

    name: str
    path: str
    status: str
    stop_reason: str
    space: str
    dataset: str
    device: str
    optimizer: str
    used_seconds: float
    budget_seconds: float
    trial_limit: int | None
    finished: int
    crashed: int
    best_trial: int | None
    best_error: float | None
    confirmed: Confirmed | None
    begun: str
    last: str

    def to_json(self) -> dict[str, Any]:
        """Returns nested plain values."""
        return asdict(self)


@dataclass(frozen=True)
class RunList:
    """The runs of a folder, running ones first, then the latest; and those that cannot be read, with why."""

    runs: list[ListedRun]
    left_out: list[tuple[str, str]]

    def to_json(self) -> dict[str, Any]:
        """Returns nested plain values."""
        return {
            "runs": [run.to_json() for run in self.runs],
            "left_out": [{"name": name, "reason": reason} for name, reason in self.left_out],
        }


def holds_runs(path: Path) -> bool:
    """Whether a folder is not a run itself but holds runs."""
    own = Run(path)
    if own.search_json.exists() or own.journal.exists() or not path.is_dir():
        return False
    return any(_is_run(inner) for inner in path.iterdir())


def _is_run(path: Path) -> bool:
    return Run(path).search_json.exists() and Run(path).journal.exists()


def read(folder: Path) -> RunList:
    """Lists the runs of a folder.

    Args:
        folder: The folder, such as ``runs``.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[:1] != ".")
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from error
    runs, left_out = [], []
    for path in inside:
        try:
            runs.append(_listed(Run.open(path)))
        except UserError as error:
            said = str(error).removeprefix(f"{path}: ").removeprefix(f"{path}/")
            left_out.append((one_line(path.name), one_line(said)))
        except OSError as error:
            left_out.append((one_line(path.name), f"cannot be read ({error.strerror})"))
    return RunList(sorted(runs, key=_order), left_out)


def _order(run: ListedRun) -> tuple[bool, float]:
    busy = run.status in (liveness.RUNNING, BEING_CONFIRMED)
    at = run.begun if busy else run.last
    return not busy, -(from_iso(at) if at else 0.0)


def _listed(run: Run) -> ListedRun:
    search = run.read_search()
    found = _Skimmed.of(run)
    now = liveness.of(run, found.state)
    used = found.clock + (now.silent_seconds if now.status == liveness.RUNNING and found.last else 0.0)
    being_confirmed = (locks.holder(run.lock_file) or "").endswith(CONFIRMING)
    return ListedRun(
        name=one_line(run.name),
        path=str(run.path),
        status=BEING_CONFIRMED if being_confirmed else now.status,
        stop_reason=one_line(found.stopped),
        space=one_line(search.space.name),
        dataset=one_line(search.data.name),
        device=one_line(search.hardware.device),
        optimizer=one_line(search.settings.choice.optimizer),
        used_seconds=used,
        budget_seconds=search.limits.seconds,
        trial_limit=search.limits.trials,
        finished=found.finished,
        crashed=found.crashed,
        best_trial=None if found.best is None else found.best.trial,
        best_error=None if found.best is None else found.best.error,
        confirmed=_confirmed(run),
        begun="" if found.session is None else found.session.time,
        last=found.last,
    )


def _confirmed(run: Run) -> Confirmed | None:
    found = run.read_confirmed()
    best = None if found is None else found.best
    if found is None or best is None or best.mean_error is None:
        return None
    return Confirmed(
        trial=best.searched_trial,
        baseline=best.baseline,
        mean_error=best.mean_error,
        sd_error=best.sd_error,
        mean_gain=best.mean_gain,
        sd_gain=best.sd_gain,
        compared=len(found.compared),
        seeds=found.seeds,
    )


@dataclass(frozen=True)
class _Skimmed:
    """What a journal's bytes show without parsing all of its lines; a search writes tens of thousands.

    Lines are found and counted by the order of keys that :meth:`nas.run.events.Event.to_json` writes. No text
    of users or errors can look like that, since quotes inside a text are escaped.

    Attributes:
        session: The start of the last session.
        stopped: Why it stopped, "" if it has not.
        clock: Seconds of the time budget used.
        last: Time of the last line, UTC; "" without any.
        finished: Number of trials that were trained and ended.
        crashed: Number of these that crashed.
        best: The incumbent.
    """

    session: SessionStarted | None
    stopped: str
    clock: float
    last: str
    finished: int
    crashed: int
    best: NewIncumbent | None

    @classmethod
    def of(cls, run: Run) -> _Skimmed:
        """Skims a run's journal.

        Raises:
            UserError: If a line that matters is damaged.
        """
        data = run.journal.read_bytes()
        data = data[: data.rfind(b"\n") + 1]  # a half-written last line does not count
        latest, end = _last(data, _SESSION), _last(data, b'"event":"')
        start, best = _last(data, _SESSION + b'"start"'), _last(data, b'"event":"incumbent",')
        return cls(
            session=start if isinstance(start, SessionStarted) else None,
            stopped=latest.reason if isinstance(latest, SessionStopped) else "",
            clock=0.0 if end is None else end.clock,
            last="" if end is None else end.time,
            finished=data.count(b'"event":"ended","trial":') - data.count(b'"cached":true,"crc":'),
            crashed=data.count(b'"status":"crashed","error":'),
            best=best if isinstance(best, NewIncumbent) else None,
        )

    @property
    def state(self) -> SearchState:
        """Returns as much of the state as is needed to tell whether the search runs."""
        return SearchState(sessions=[] if self.session is None else [self.session], stopped=self.stopped)


def _last(data: bytes, mark: bytes) -> Event | None:
    """Finds the last event of a kind, None if there is none.

    Raises:
        UserError: If its line is damaged.
    """
    at = data.rfind(mark)
    if at < 0:
        return None
    begin = data.rfind(b"\n", 0, at) + 1
    try:
        return journal.decode(data[begin : data.find(b"\n", at)])
    except ValueError as error:
        number = data.count(b"\n", 0, begin) + 1
        raise UserError(f"line {number} of its journal is damaged ({error})") from None
