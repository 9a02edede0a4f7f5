"""MLflow: a run for the search, nested ones for its trials, found again by tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from nas.tracking.entries import CRASH, KILLED, NAN, PAUSED, RUNNING, SEARCH, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from nas.tracking.entries import Entry

_ID, _KEY, _STATE, _REASON, _FILE = (f"smacnas.{name}" for name in ("id", "key", "state", "reason", "file"))
_PARENT, _NAME = "mlflow.parentRunId", "mlflow.runName"
_STATUS = {
    RUNNING: "RUNNING",
    PAUSED: "SCHEDULED",
    KILLED: "KILLED",
    SUCCESS: "FINISHED",
    CRASH: "FAILED",
    NAN: "FAILED",
    # Why a search stops
    "crashes": "FAILED",
    "error": "FAILED",
    "interrupted": "KILLED",
    "terminated": "KILLED",
}
_AT_A_TIME, _LONGEST = 100, 5000  # MLflow's limits: of params and tags in a request, and of their characters
_METRICS = 1000


class _Run:
    """One run of MLflow and what it was sent."""

    def __init__(self, client: MlflowClient, found: Any) -> None:
        self._client, self.id = client, found.info.run_id
        self._status: str = found.info.status
        self._tags = dict(found.data.tags)
        self._params = set(found.data.params)
        self._keys = set(found.data.metrics)
        self._sent: set[int] | None = None  # steps; None: not looked up yet

    @property
    def complete(self) -> bool:
        """Whether its end was sent."""
        return self._status in ("FINISHED", "FAILED")

    def update(self, entry: Entry) -> None:
        """Sends what is new."""
        params = {name: _text(value) for name, value in entry.settings.items()}
        new = [Param(name, value) for name, value in params.items() if name not in self._params]
        for part in _parts(new, _AT_A_TIME):
            self._client.log_batch(self.id, params=part)
        self._params |= set(params)
        self._metrics(entry)
        self._tag({_STATE: entry.state, _REASON: entry.reason, _NAME: entry.name})
        status = _STATUS.get(entry.state, "FINISHED")
        if status != self._status:
            if entry.ended is not None and status != _STATUS[RUNNING]:
                self._client.set_terminated(self.id, status, _ms(entry.ended))
            else:
                self._client.update_run(self.id, status=status)
            self._status = status

    def _metrics(self, entry: Entry) -> None:
        steps = self._steps(entry)
        new = [
            Metric(name, value, _ms(point.time), step)
            for step, point in entry.curve.items()
            if step not in steps
            for name, value in point.values.items()
        ]
        if entry.complete:
            at, last = _ms(entry.ended or entry.began), max(entry.curve, default=0)
            results = entry.results.items()
            new += [Metric(name, value, at, last) for name, value in results if name not in self._keys]
        for part in _parts(new, _METRICS):
            self._client.log_batch(self.id, metrics=part)
        steps |= set(entry.curve)

    def _steps(self, entry: Entry) -> set[int]:
        """Returns the steps for which the run has every metric; none, without a request, for a new run."""
        if self._sent is None:
            names = {name for point in entry.curve.values() for name in point.values} & self._keys
            have = {
                name: {metric.step for metric in self._client.get_metric_history(self.id, name)}
                for name in names
            }
            self._sent = {
                step
                for step, point in entry.curve.items()
                if all(step in have.get(name, ()) for name in point.values)
            }
        return self._sent

    def _tag(self, tags: Mapping[str, str]) -> None:
        new = {name: _text(value) for name, value in tags.items() if self._tags.get(name, "") != _text(value)}
        if new:
            self._client.log_batch(self.id, tags=[RunTag(name, value) for name, value in new.items()])
            self._tags |= new

    def file(self, name: str, path: Path) -> None:
        """Uploads a file or folder, unless the same one is there."""
        stats = [one.stat() for one in ([path] if path.is_file() else sorted(path.rglob("*")))]
        mark = f"{sum(stat.st_size for stat in stats)}-{max((stat.st_mtime_ns for stat in stats), default=0)}"
        tag = f"{_FILE}.{name}"
        if self._tags.get(tag) == mark:
            return
        if path.is_file():
            self._client.log_artifact(self.id, str(path))
        else:
            self._client.log_artifacts(self.id, str(path), name)
        self._tag({tag: mark})


class MLflow:
    """Writes to the store that the environment names, or to a database in the run folder."""

    def __init__(self, uri: str, artifacts: Path | None, run_id: str, experiment: str) -> None:
        """Opens the store and finds what it has of this run.

        Args:
            uri: The store.
            artifacts: Where a new experiment keeps its files; None for the store's own place.
            run_id: The run's own id.
            experiment: Name of the experiment, created if missing.
        """
        if uri.startswith("sqlite:///") and artifacts is not None:
            artifacts.mkdir(parents=True, exist_ok=True)
        self._id = run_id
        self._client = MlflowClient(tracking_uri=uri)
        place = None if artifacts is None else artifacts.resolve().as_uri()
        self._experiment = self._found_or_made(experiment, place)
        self._runs = {run.data.tags[_KEY]: _Run(self._client, run) for run in self._known()}

    def _found_or_made(self, name: str, place: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, artifact_location=place))
            except MlflowException:  # made by another search, meanwhile
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _known(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                f"tags.`{_ID}` = '{self._id}'",
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=_METRICS,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def send(self, entry: Entry) -> None:
        """Takes an entry as far as it has come."""
        run = self._runs.get(entry.key)
        if run is not None and run.complete and entry.key != SEARCH:
            return
        if run is None:
            tags = {_ID: self._id, _KEY: entry.key, "smacnas.kind": entry.kind}
            if entry.key != SEARCH:
                tags[_PARENT] = self._runs[SEARCH].id
            made = self._client.create_run(self._experiment, _ms(entry.began), tags, entry.name)
            run = self._runs[entry.key] = _Run(self._client, made)
        run.update(entry)

    def artifacts(self, found: Mapping[str, Path]) -> None:
        """Uploads those that have changed to the search's run."""
        for name, path in found.items():
            self._runs[SEARCH].file(name, path)

    def close(self) -> None:
        """Does nothing: every request has been answered."""


def _text(value: object) -> str:
    return str(value)[:_LONGEST]


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(values), size):
        yield values[begin : begin + size]
