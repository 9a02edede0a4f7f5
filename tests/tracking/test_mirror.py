"""What a tracker holds in the end is what the journals say, whatever happened in between."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nas.execution.simulated import SimulatedResult
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.tracking import place, process
from nas.tracking.follower import remember
from nas.tracking.process import TrackerUpdater
from tests.conftest import Simulation, noise, synthetic
from tests.tracking import readers
from tests.tracking.readers import differences, expected

LOOK_AND_DIE = """
import os, pathlib, sys
from nas.run.folder import Run
from nas.tracking.process import TrackerUpdater
TrackerUpdater(Run(pathlib.Path(sys.argv[1])), print).look()
os.kill(os.getpid(), 9)
"""


def nearly(a: float, b: float) -> bool:
    """TensorBoard's scalars have 32 bits."""
    return math.isclose(a, b, rel_tol=1e-6)


def equal(a: float, b: float) -> bool:
    return a == b


def some_crash(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """One in four crashes in its second epoch, whatever the seed."""
    answer = synthetic(config, epochs, seed)
    fails = config["stem"] != "conv" and noise(*sorted(config.items())) < 0.5
    return SimulatedResult((*answer.errors[:1], None), answer.seconds) if fails else answer


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A search with crashes, further seeds and trials answered from the record; tests only read it."""
    path = tmp_path_factory.mktemp("runs") / "searched"
    Simulation(path, trials=30, problem=some_crash, optimizer="random", replicates=0.5).run()
    state = SearchState.of(Run(path).read_journal().events)
    assert state.crashed
    assert any(trial.repeat for trial in state.trials.values())
    return Run(path)


def copied(run: Run, path: Path, log: str, lines: int | None = None) -> Run:
    """A copy with the first so many lines of its journal."""
    shutil.copytree(run.path, path)
    copy = Run(path)
    if lines is not None:
        cut(run, copy, lines)
    remember(copy, log)
    return copy


def cut(run: Run, copy: Run, lines: int) -> None:
    copy.journal.write_bytes(b"".join(run.journal.read_bytes().splitlines(keepends=True)[:lines]))


def never(text: str) -> None:
    raise AssertionError(text)


def told(run: Run) -> None:
    assert TrackerUpdater(run, never).end()


@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a smaller one says no more
@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=4).map(sorted), data=st.data())
def test_killed_at_any_lines_tensorboard_holds_each_trial_once(
    searched: Run, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], data: st.DataObject
) -> None:
    run = copied(searched, tmp_path_factory.mktemp("cut") / "run", "tensorboard", cuts[0])
    for lines in cuts:
        cut(searched, run, lines)
        teller = TrackerUpdater(run, never)
        teller.look()
        if data.draw(st.booleans()):  # or else it is killed
            assert teller.end()
    shutil.copy(searched.journal, run.journal)
    told(run)
    assert differences(readers.tensorboard(run), expected(run), nearly) == []


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database without runs, which takes longer to make than all else here."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


def with_store(run: Run, empty_store: Path) -> str:
    home = place.folder("mlflow", run.path)
    home.mkdir()
    shutil.copy(empty_store, home / "mlflow.db")
    return place.mlflow_uri(run.path)


def test_killed_twice_mlflow_holds_each_trial_once(searched: Run, tmp_path: Path, empty_store: Path) -> None:
    from mlflow.tracking import MlflowClient

    run = copied(searched, tmp_path / "run", "mlflow", 12)
    uri = with_store(run, empty_store)
    TrackerUpdater(run, never).look()
    cut(searched, run, 40)
    told(run)
    early = readers.mlflow(uri, tracked_id(run))
    assert differences(early, {**expected(run), **killed(run)}, equal) == []
    shutil.copy(searched.journal, run.journal)
    told(run)
    found = readers.mlflow(uri, tracked_id(run))
    assert differences(found, expected(run), equal) == []
    state = SearchState.of(run.read_journal().events)
    assert state.incumbent is not None
    assert found["search"].state == "trials"
    assert found["search"].metrics["trials"][-1] == (state.finished, state.finished)
    assert found["search"].metrics["incumbent_error"][-1][1] == state.estimate[0]

    client = MlflowClient(tracking_uri=uri)
    runs = {one.data.tags["smacnas.key"]: one for one in client.search_runs(["1"])}
    parents = {one.data.tags.get("mlflow.parentRunId") for key, one in runs.items() if key != "search"}
    assert parents == {runs["search"].info.run_id}
    crashed = runs[f"trial-{state.crashed[0]:04}"]
    assert crashed.info.status == "FAILED"
    again = next(trial for trial in state.trials.values() if trial.repeat)
    assert "further seed" in runs[f"trial-{again.trial:04}"].info.run_name
    assert runs[f"trial-{again.trial:04}"].data.tags["smacnas.kind"] == "replicate"
    first = state.trials[1]
    assert runs["trial-0001"].info.end_time == pytest.approx(1000 * readers_time(first.ended))
    files = {one.path for one in client.list_artifacts(runs["search"].info.run_id)}
    assert "incumbent.json" in files


def tracked_id(run: Run) -> str:
    tracked = run.read_tracking()
    assert tracked is not None
    return tracked.id


def killed(run: Run) -> dict[str, readers.Held]:
    """What runs in a journal that ends without a word was killed."""
    found = expected(run)
    for key, held in found.items():
        if held.state == "running":
            found[key] = readers.Held(held.settings, "killed", held.metrics)
    return found


def readers_time(text: str) -> float:
    from nas.util.timestamps import from_iso

    return from_iso(text)


def test_killed_once_wandb_holds_each_trial_once(
    simulate: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    simulation = simulate("few", trials=6, problem=some_crash, optimizer="random")
    simulation.run()
    whole = Run(simulation.path)
    run = copied(whole, tmp_path / "run", "wandb", 9)
    for name, value in place.environment("wandb", run.path).items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-c", LOOK_AND_DIE, str(run.path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len([*run.path.glob("wandb/offline-run-*")]) == 3  # the search's and its trials' so far
    shutil.copy(whole.journal, run.journal)
    told(run)
    assert differences(readers.wandb(run), expected(run), equal) == []
    assert not (tmp_path / "wandb").exists()


def test_a_tracker_that_fails_is_told_everything_later(
    searched: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(searched, tmp_path / "run", "tensorboard", 60)
    said: list[str] = []
    times = [0]
    real = process.opened

    def opened(*args: Any) -> Any:
        times[0] += 1
        if times[0] == 1:
            raise ConnectionError("no server\nat all")
        tracker = real(*args)
        if times[0] == 2:  # it goes away in the middle
            inner, sent = tracker.send, [0]

            def send(entry: Any) -> None:
                sent[0] += 1
                if sent[0] == 5:
                    raise ConnectionError("gone")
                inner(entry)

            return SimpleNamespace(send=send, artifacts=tracker.artifacts, close=tracker.close)
        return tracker

    monkeypatch.setattr(process, "opened", opened)
    monkeypatch.setattr(process, "_WAIT", 0.0)
    teller = TrackerUpdater(run, said.append)
    teller.look()
    assert said == ["tensorboard does not take it (no server); the search goes on, it is tried again"]
    teller.look()
    assert len(said) == 1, "one note for one failure, however long it lasts"
    shutil.copy(searched.journal, run.journal)
    assert teller.end()
    assert said[1:] == ["the tracker answers again, nothing is missing"]
    assert differences(readers.tensorboard(run), expected(run), nearly) == []


def test_a_search_that_waits_sends_nothing_twice(searched: Run, tmp_path: Path) -> None:
    run = copied(searched, tmp_path / "run", "tensorboard")
    teller = TrackerUpdater(run, never)
    teller.look()
    sizes = {path: path.stat().st_size for path in run.path.rglob("events.out*")}
    teller.look()
    assert sizes == {path: path.stat().st_size for path in run.path.rglob("events.out*")}
    assert os.path.getsize(run.path / "tensorboard" / "whole.txt")
