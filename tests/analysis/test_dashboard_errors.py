"""What the dashboard says when it cannot start: one line each, nothing left behind."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.dashboard.__main__ import main
from nas.util.errors import UserError


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    return copy


def cut(run: Path, lines: int) -> None:
    journal = run / "trials.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:lines]))


def said(args: list[str]) -> str:
    with pytest.raises(UserError) as error:
        main(args)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_no_run_given() -> None:
    assert "name at least one run folder" in said([])


def test_not_a_run(tmp_path: Path) -> None:
    assert "not a run folder" in said([str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_no_trial_finished(run: Path) -> None:
    cut(run, 3)
    assert "no trial has finished with success yet" in said([str(run)])


def test_one_run_of_two_is_not_ready(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    cut(other, 3)
    assert str(other) in said([str(run), str(other)])


def test_a_damaged_journal(run: Path) -> None:
    journal = run / "trials.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"success"', b'"succesz"', 1))
    assert "is damaged" in said([str(run)])


def test_redis_missing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = said([str(run)])
    assert line.startswith("redis-server: not found")
    assert "apt-get install redis-server" in line


@pytest.fixture
def some_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redis-server to find; these tests end before it would be started."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "redis-server").write_text("#!/bin/sh\nexit 1\n")
    (folder / "redis-server").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.usefixtures("some_redis")
def test_port_taken(run: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        line = said([str(run), "--port", str(port)])
    assert line.startswith(f"--port: {port} cannot be used")


@pytest.mark.usefixtures("some_redis")
@pytest.mark.parametrize("port", ["-1", "70000"])
def test_port_out_of_range(run: Path, port: str) -> None:
    assert "must be from 0 to 65535" in said([str(run), "--port", port])


@pytest.mark.usefixtures("some_redis")
def test_a_redis_that_does_not_start(run: Path) -> None:
    before = set(Path("/tmp").glob("smacnas-dashboard-*"))
    assert "redis-server did not start" in said([str(run), "--port", "0"])
    assert set(Path("/tmp").glob("smacnas-dashboard-*")) <= before


def test_the_command_ends_with_code_2_and_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "analysis.dashboard", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("python -m analysis.dashboard: ")


@pytest.mark.parametrize("module", ["analysis.dashboard", "analysis.history"])
def test_help_answers_at_once(module: str) -> None:
    def ask() -> float:
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, check=True)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime  # of CPU: others may use it too

    assert min(ask() for _ in range(3)) < 0.5
