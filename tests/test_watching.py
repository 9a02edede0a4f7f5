"""``nas.status --watch`` where nothing can be drawn again: lines, as they come."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nas.run.folder import Run
from nas.status import __main__ as status
from nas.status.watcher import Watcher
from nas.util.errors import UserError
from nas.view import following
from tests.terminals import on_terminal


class Growing:
    """A run whose search seems to go on: it is locked, and its journal grows when told to."""

    def __init__(self, path: Path, finished: Path) -> None:
        shutil.copytree(finished, path)
        self.path = path
        self._journal = path / "trials.jsonl"
        self._rest = self._journal.read_bytes().splitlines(keepends=True)
        self._journal.write_bytes(b"")

    def grow(self, until: Callable[[dict[str, object]], bool] = lambda event: False) -> None:
        """Adds lines up to one that is looked for, or all."""
        with self._journal.open("ab") as journal:
            while self._rest:
                line = self._rest.pop(0)
                journal.write(line)
                if until(json.loads(line)):
                    return


@pytest.fixture
def growing(finished_run: Path, tmp_path: Path) -> Growing:
    run = Growing(tmp_path / "run", finished_run)
    run.grow(lambda event: event["event"] == "ended")
    return run


def watch(run: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nas.status", str(run), "--watch", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return iter(process.stdout.readline, "")


def test_lines_come_as_things_happen(growing: Growing) -> None:
    with Run.open(growing.path).lock():
        process = watch(growing.path)
        come = lines(process)
        assert "session 1 starts" in next(come)
        assert "trial 1 " in next(come)
        growing.grow(lambda event: event["event"] == "ended" and event["trial"] == 3)
        assert "trial 2 " in next(come)  # while it runs: the pipe holds nothing back
        assert "trial 3 " in next(come)
        assert process.poll() is None
        growing.grow()
    rest = list(come)
    assert process.wait(60) == 0
    assert "search stops: the number of trials is reached" in rest[-2]
    assert "run stopped: the number of trials is reached; 150 trials in " in rest[-1]
    assert "incumbent trial " in rest[-1]


def test_a_long_past_is_told_in_its_last_ten_lines(finished_run: Path) -> None:
    process = watch(finished_run)
    come = list(lines(process))
    assert process.wait(60) == 0
    assert len(come) == 11


def test_its_own_words_are_not_among_the_lines(finished_run: Path) -> None:
    process = watch(finished_run)
    assert process.communicate(timeout=60)[1] == ""


def test_objects_come_as_things_happen(growing: Growing) -> None:
    with Run.open(growing.path).lock():
        process = watch(growing.path, "--json")
        come = lines(process)
        first = json.loads(next(come))
        growing.grow(lambda event: event["event"] == "ended" and event["trial"] == 3)
        second = json.loads(next(come))
        assert (first["status"], first["finished"]) == ("running", 1)
        assert second["finished"] == 3
        growing.grow()
    last = json.loads(list(come)[-1])
    assert process.wait(60) == 0
    assert (last["status"], last["finished"]) == ("stopped", 150)


def test_a_long_trial_has_its_epochs(
    growing: Growing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(following, "_SILENT", 0.0)
    told = following.Following(sys.stdout)
    with Run.open(growing.path).lock():
        watcher = Watcher(growing.path, told.event)
        assert told.goes_on(watcher.look())
        capsys.readouterr()
        growing.grow(lambda event: event["event"] == "epoch")
        for _ in range(2):  # said once
            time.sleep(0.01)
            assert told.goes_on(watcher.look())
    (line,) = capsys.readouterr().out.splitlines()
    assert "trial 2: epoch 2 of 3, " in line or "trial 2: epoch 1 of 3, " in line
    assert ", top-1 " in line


def test_a_terminal_that_cannot_redraw_gets_lines_too(finished_run: Path) -> None:
    command = ["-m", "nas.status", str(finished_run), "--watch"]
    with on_terminal(command, env={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.text
    assert terminal.text.count("\n") == 11


@pytest.mark.parametrize("other", ["--watch", "--json"])
def test_a_picture_is_drawn_once(finished_run: Path, tmp_path: Path, other: str) -> None:
    with pytest.raises(UserError, match="--svg draws one picture"):
        status.main([str(finished_run), "--svg", str(tmp_path / "x.svg"), other])
    assert not (tmp_path / "x.svg").exists()
