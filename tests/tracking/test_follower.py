"""The process beside the search: real ones, which fail, are killed and come too late."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.run.folder import Run
from nas.tracking import follower, settings
from nas.tracking.follower import following, made, remember, remembered
from nas.util import locks
from nas.util.errors import UserError
from tests.conftest import Simulation
from tests.tracking import readers
from tests.tracking.readers import differences, expected
from tests.tracking.test_mirror import nearly


@contextlib.contextmanager
def searching(run: Run, said: list[str]) -> Iterator[Any]:
    with following(run, said.append) as listener:
        yield listener


def begun(simulation: Simulation, log: str) -> Run:
    """A run that has a tracker and no trials."""
    _, journal = simulation.search()
    journal.close()
    run = Run(simulation.path)
    remember(run, log)
    return run


def test_a_search_and_its_tracker_in_two_sessions(simulate: Callable[..., Any]) -> None:
    simulation = simulate("mine", trials=6, optimizer="random", slots=3)
    run, said = begun(simulation, "tensorboard"), []
    with searching(run, said) as listener:
        simulation.run(listener)
    assert len(said) == 1
    assert said[0].startswith(f"log: TensorBoard, in {run.path}/tensorboard; look at it with: ")
    first = run.read_tracking()
    simulation.trials = 9
    with searching(run, said) as listener:
        simulation.run(listener)
    assert run.read_tracking() == first
    assert differences(readers.tensorboard(run), expected(run), nearly) == []
    assert locks.holder(run.path / follower.LOCK) is None


def test_what_is_printed_can_be_typed(simulate: Callable[..., Any]) -> None:
    run, said = begun(simulate("with space"), "tensorboard"), []
    with searching(run, said):
        pass
    command = said[0].partition("look at it with: ")[2]
    found = subprocess.run([*_words(command), "--inspect"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert str(run.path / "tensorboard" / "search") in found.stdout


def _words(command: str) -> list[str]:
    import shlex

    _, *words = shlex.split(command)
    return [sys.executable, *words]


def test_without_a_tracker_nothing_is_started(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(simulate("mine"), "none")
    assert not run.tracking_json.exists()

    def refused(*args: Any, **options: Any) -> None:
        raise AssertionError("a process")

    monkeypatch.setattr(subprocess, "Popen", refused)
    with searching(run, []) as listener:
        assert listener is None
    made(run, note=refused)
    loaded = "[name for name in sys.modules if name.startswith('nas.tracking.to_')]"
    heavy = f"import sys, nas.search.session; print({loaded})"
    monkeypatch.undo()
    assert subprocess.check_output([sys.executable, "-c", heavy], text=True) == "[]\n"


def test_one_that_is_killed_ends_nothing_and_the_next_completes_it(simulate: Callable[..., Any]) -> None:
    simulation = simulate("mine", trials=6, optimizer="random")
    run, said = begun(simulation, "tensorboard"), []
    with searching(run, said) as listener:
        os.kill(listener._process.pid, signal.SIGKILL)
        listener._process.wait()
        simulation.run(listener)
    assert said[1:] == [f"log: its process ended (-9); {listener._later}"]
    command = said[1].partition("send it with: ")[2]
    done = subprocess.run(_words(command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert differences(readers.tensorboard(run), expected(run), nearly) == []


def test_a_server_that_is_gone_holds_up_nothing(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://name:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    simulation = simulate("mine", trials=6, optimizer="random")
    run, said = begun(simulation, "mlflow"), []
    with searching(run, said) as listener:
        deadline = time.monotonic() + 60
        while len(said) < 2 and time.monotonic() < deadline:
            listener.tick()
            time.sleep(0.05)
        began = time.monotonic()
        simulation.run(listener)
        assert time.monotonic() - began < 10
    assert said[0] == "log: MLflow, at http://127.0.0.1:9"
    assert said[1].startswith("log: mlflow does not take it (")
    assert len(said) == 3, said
    assert said[2] == f"log: its process ended (1); {listener._later}"
    assert not (run.path / "mlflow").exists()


def test_one_that_takes_too_long_is_left_behind(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PATIENCE", 0.5)
    simulation = simulate("mine", trials=3, optimizer="random")
    run, said = begun(simulation, "tensorboard"), []
    with searching(run, said) as listener:
        simulation.run(listener)
        os.kill(listener._process.pid, signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert said[1:] == [f"log: the tracker has not taken everything within 0 s; {listener._later}"]


def test_a_killed_search_is_told_of_as_killed(tmp_path: Path) -> None:
    """The process outlives its search for a moment, and takes down what has become of it."""
    script = f"""
import os, signal
from pathlib import Path
from nas.run.folder import Run
from nas.run.events import Epoch
from nas.tracking.follower import following, remember
from tests.conftest import Simulation

simulation = Simulation(Path({str(tmp_path / "mine")!r}), trials=9, optimizer="random")
simulation.search()[1].close()
run = Run(simulation.path)
remember(run, "tensorboard")


class Killer:
    def event(self, event, state):
        if isinstance(event, Epoch) and event.trial == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, text): pass
    def tick(self): pass


with following(run, print) as listener:
    simulation.run(listener, Killer())
"""
    subprocess.run([sys.executable, "-c", script], check=False, stdout=subprocess.DEVNULL)
    run = Run(tmp_path / "mine")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if (run.path / "tensorboard").exists() and locks.holder(run.path / follower.LOCK) is None:
            break
    found = readers.tensorboard(run)
    assert found["trial-0005"].state == "killed"
    assert found["search"].state == "killed"
    simulation = Simulation(run.path, trials=9, optimizer="random")
    said: list[str] = []
    with searching(run, said) as listener:
        simulation.run(listener)
    found = readers.tensorboard(run)
    assert found["search"].state == "trials"
    assert differences(found, expected(run), nearly) == []


def test_exported_models_and_the_report_are_shown(simulate: Callable[..., Any], tmp_path: Path) -> None:
    simulation = simulate("mine", trials=3, optimizer="random")
    simulation.run()
    run, said = Run(simulation.path), []
    for name, content in (("model", '{"smacnas": {}}'), ("private", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
    made(run, tmp_path / "model", said.append)
    assert not said, "a run that is shown nowhere"
    remember(run, "tensorboard")
    run.report.parent.mkdir()
    run.report.write_text("<html></html>")
    made(run, tmp_path / "model", said.append)
    made(run, tmp_path / "model", said.append)
    tracked = run.read_tracking()
    assert tracked is not None
    assert tracked.models == [str(tmp_path / "model")]
    run.write(replace(tracked, models=[*tracked.models, str(tmp_path / "private")]))
    made(run, None, said.append)
    (events,) = (run.path / "tensorboard" / "search").iterdir()
    assert b"| report.html | " in events.read_bytes()
    assert b"private" not in events.read_bytes(), "a folder that no export wrote"
    assert f"| models/model | {tmp_path / 'model'} |".encode() in events.read_bytes()


@pytest.mark.parametrize("folder", [True, False])
def test_what_is_not_installed_is_refused(
    folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder ``wandb``, as the library leaves behind, is not the library."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *(p for p in sys.path if "site-packages" not in p)])
    for name in [name for name in sys.modules if name.partition(".")[0] == "wandb"]:
        monkeypatch.delitem(sys.modules, name)
    if folder:
        (tmp_path / "wandb").mkdir()
    with pytest.raises(UserError, match="is not installed; install with: uv sync --extra log"):
        settings.require("wandb")


def test_the_id_is_the_folders_not_the_names(simulate: Callable[..., Any]) -> None:
    first, second = begun(simulate("a/same"), "wandb"), begun(simulate("b/same"), "wandb")
    ids = {tracked.id for run in (first, second) if (tracked := run.read_tracking())}
    assert len(ids) == 2
    remember(first, "none")
    assert remembered(first) == "none"
    remember(first, "mlflow")
    tracked = first.read_tracking()
    assert tracked is not None
    assert tracked.id in ids


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not readable .*"),
        ('{"format": 2}', "of format 2"),
        (
            '{"format": 1, "id": "../../home", "log": "wandb", "models": []}',
            "id: must be 32 hexa",
        ),
        ('{"format": 1, "id": "%s", "log": "rm", "models": []}' % ("a" * 32), "log: must be one of none, "),
    ],
)
def test_a_file_from_anywhere_is_not_believed(content: str, words: str, simulate: Callable[..., Any]) -> None:
    run = begun(simulate("mine"), "wandb")
    run.tracking_json.write_text(content)
    with pytest.raises(UserError, match=rf"tracking.json: .*{words}"):
        remembered(run)
