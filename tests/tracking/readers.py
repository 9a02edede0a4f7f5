"""Contents of trackers, read back by their own programs, and what they should be by a run's journals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nas.run.folder import Run
from nas.run.state import SearchState
from nas.run.tail import Tail


@dataclass
class Held:
    """A tracker's data on a search or a trial: the value of every metric at each step."""

    settings: dict[str, str]
    state: str
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


def expected(run: Run) -> dict[str, Held]:
    """Computes what a tracker must hold on a run's trials, from the journals alone."""
    found = {}
    for kind, path in (("trial", run.journal), ("confirmation", run.confirm_journal)):
        for trial in SearchState.of(Tail(path).more()).trials.values():
            if not trial.attempts and not trial.finished:
                continue
            held = Held({name: str(value) for name, value in trial.config.items()}, trial.status)
            for epoch, values in sorted(trial.curve.items()):
                for name, value in values.items():
                    held.metrics.setdefault(name, []).append((epoch, value))
            if trial.finished:
                results = {**trial.metrics, "seconds": trial.seconds}
                if trial.error is not None:
                    results["error"] = trial.error
                at = max(trial.curve, default=0)
                held.metrics |= {f"result/{name}": [(at, value)] for name, value in results.items()}
            if trial.status == "crashed":
                held.state = "nan" if "loss is nan" in trial.reason else "crash"
            found[f"{kind}-{trial.trial:04}"] = held
    return found


def tensorboard(run: Run) -> dict[str, Held]:
    """Reads by TensorBoard's own reader of events."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import (
        SESSION_START_INFO_TAG,
        parse_session_start_info_plugin_data,
    )

    found = {}
    for path in (run.path / "tensorboard").iterdir():
        if not path.is_dir():
            continue
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0}).Reload()
        texts = {
            tag: [b"".join(point.tensor_proto.string_val).decode() for point in events.Tensors(tag)]
            for tag in events.Tags()["tensors"]
        }
        held = Held({}, texts["state"][-1].partition(":")[0])
        for tag in events.Tags()["scalars"]:
            held.metrics[tag] = [(point.step, point.value) for point in events.Scalars(tag)]
        content = events.summary_metadata.get(SESSION_START_INFO_TAG)
        if content is not None:
            told = parse_session_start_info_plugin_data(content.plugin_data.content).hparams
            for name, value in told.items():
                kind = value.WhichOneof("kind")
                held.settings[name] = str(getattr(value, kind))
        found[path.name] = held
    return found


def mlflow(uri: str, run_id: str) -> dict[str, Held]:
    """Reads by MLflow's client; a key that is there twice is an error."""
    from mlflow.tracking import MlflowClient

    client, found = MlflowClient(tracking_uri=uri), {}
    experiment = client.get_experiment_by_name("smacnas")
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id], f"tags.`smacnas.id` = '{run_id}'"):
        held = Held(dict(run.data.params), run.data.tags["smacnas.state"])
        for name in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, name)
            held.metrics[name] = sorted((point.step, point.value) for point in history)
        key = run.data.tags["smacnas.key"]
        assert key not in found, f"{key} is there twice"
        found[key] = held
    return found


def wandb(run: Run) -> dict[str, Held]:
    """Reads by the library's own program for offline data; a run with two folders is an error."""
    found: dict[str, Held] = {}
    for path in (run.path / "wandb").glob("offline-run-*"):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        records = [json.loads(line) for line in said.splitlines()]
        key = "-".join(path.name.split("-")[4:])
        assert key not in found, f"{key} is there twice"
        found[key] = _of_records(records)
    return found


def _of_records(records: list[dict[str, Any]]) -> Held:
    held = Held({}, "")
    summary: dict[str, Any] = {}
    for record in records:
        values = record.get(record["type"], {})
        config = values.get("config", {}) if record["type"] != "config" else values
        held.settings |= {name: str(value) for name, value in config.get("update", {}).items()}
        summary |= values.get("update", {}) if record["type"] == "summary" else {}
        if record["type"] == "history":
            for name, value in values["item"].items():
                if not name.startswith("_"):
                    held.metrics.setdefault(name, []).append((values["step"]["num"], value))
    held.state = summary.get("state", "")
    last = max((step for points in held.metrics.values() for step, _ in points), default=0)
    held.metrics |= {name: [(last, value)] for name, value in summary.items() if name.startswith("result/")}
    return held


def differences(
    found: dict[str, Held], wanted: dict[str, Held], same: Callable[[float, float], bool]
) -> list[str]:
    """Lists where a tracker's data are not what they should be, except the search's own entry."""
    told = {key: held for key, held in found.items() if key != "search"}
    said = [f"{key}: only on one side" for key in told.keys() ^ wanted.keys()]
    for key in told.keys() & wanted.keys():
        mine, theirs = told[key], wanted[key]
        if mine.state != theirs.state:
            said.append(f"{key}: {mine.state} instead of {theirs.state}")
        for name in mine.metrics.keys() | theirs.metrics.keys():
            a, b = mine.metrics.get(name, []), theirs.metrics.get(name, [])
            steps = [step for step, _ in a] == [step for step, _ in b]
            if not steps or not all(same(x, y) for (_, x), (_, y) in zip(a, b, strict=True)):
                said.append(f"{key} {name}: {a} instead of {b}")
        for name, value in theirs.settings.items():
            if str(mine.settings.get(name)).removesuffix(".0") != value.removesuffix(".0"):
                said.append(f"{key} {name}: {mine.settings.get(name)} instead of {value}")
    return said
