"""``analysis.dashboard --ui optuna``: what it serves, how it ends, and what it says when it cannot start."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import resources, util
from pathlib import Path
from typing import Any

import pytest

from analysis.dashboard import optuna_page
from analysis.dashboard.__main__ import main
from analysis.studies import page
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.util.errors import UserError


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "shown"
    shutil.copytree(finished_run, copy)
    return copy


@pytest.fixture
def dashboard(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on two runs of one name, and its address."""
    other = run.parent / "other" / "shown"
    shutil.copytree(run, other)
    command = [
        sys.executable,
        "-m",
        "analysis.dashboard",
        str(run),
        str(other),
        "--ui",
        "optuna",
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready = next(line for line in process.stdout if line.startswith("optuna-dashboard shows"))
    yield process, ready.split()[-1].removesuffix("/dashboard")
    process.kill()
    process.communicate()


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return json.load(answer)


def test_it_shows_all_runs_changes_nothing_and_ends_with_ctrl_c(
    dashboard: tuple[subprocess.Popen[str], str], run: Path
) -> None:
    process, address = dashboard
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    names = [study["study_name"] for study in get(f"{address}/api/studies")["study_summaries"]]
    assert names == [str(run), str(run.parent / "other" / "shown")]
    shown = get(f"{address}/api/studies/1")
    keys = {trial.key for trial in SearchState.of(Run.open(run).read_journal().events).trials.values()}
    assert len(shown["trials"]) == len(keys)
    assert shown["objective_names"] == ["error"]
    request = urllib.request.Request(f"{address}/api/studies/0", method="DELETE")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    assert refused.value.code == 403
    assert len(get(f"{address}/api/studies")["study_summaries"]) == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_the_script_of_the_installed_page_is_changed_in_its_one_place() -> None:
    """Otherwise an open page would show a promoted trial as it was when it stopped at its first rung."""
    original = (resources.files("optuna_dashboard") / "public" / "bundle.js").read_bytes()
    assert original.count(page._UNFINISHED) == 1
    assert len(page._script()) == len(original) + len(b',"Pruned"')


def said(args: list[str]) -> str:
    with pytest.raises(UserError) as error:
        main([*args, "--ui", "optuna"])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_no_run_given() -> None:
    assert "name at least one run folder" in said([])


def test_not_a_run(run: Path, tmp_path: Path) -> None:
    assert "not a run folder" in said([str(run), str(tmp_path)])


@pytest.mark.parametrize("name", ["trials.jsonl", "search.json", "configspace.json"])
def test_a_damaged_run(run: Path, name: str) -> None:
    path = run / name
    path.write_bytes(path.read_bytes().replace(b'"', b"", 3))
    assert name in said([str(run), "--port", "0"])


def test_port_taken(run: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert said([str(run), "--port", str(port)]).startswith(f"--port: {port} cannot be used")


def test_port_out_of_range(run: Path) -> None:
    assert "must be from 0 to 65535" in said([str(run), "--port", "70000"])


@pytest.mark.parametrize("missing", ["optuna_dashboard", "optuna"])
def test_not_installed(run: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_spec", lambda name: None if name == missing else util.find_spec(name))
    line = said([str(run)])
    assert line.startswith(missing.replace("_", "-") + ": is not installed")
    assert "--extra dashboard" in line


def test_a_run_that_is_damaged_meanwhile_keeps_what_is_shown(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis.studies.live import LiveStorage, Mirror

    class Looks:
        """Ends after four looks; the journal is damaged after the first."""

        count = 0

        def wait(self, seconds: float) -> bool:
            self.count += 1
            if self.count == 2:
                with (run / "trials.jsonl").open("ab") as journal:
                    journal.write(b"nonsense\n")
            return self.count == 5

    storage = LiveStorage()
    mirror = Mirror(Run.open(run), "run", storage)
    mirror.refresh()
    before = storage.get_all_trials(0)
    optuna_page._follow([mirror], Looks(), "analysis.dashboard")  # type: ignore[arg-type]
    (line,) = capsys.readouterr().err.splitlines()
    assert "is damaged" in line
    assert storage.get_all_trials(0) == before


def test_the_command_line_without_it_does_not_import_optuna() -> None:
    code = "import sys, analysis.dashboard.__main__; print('optuna' in sys.modules, 'bottle' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
