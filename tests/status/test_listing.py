"""``nas.status`` of a folder: what it skims of the journals is what their fold says."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import pytest

import nas
from nas.run import journal
from nas.run.folder import CONFIRMING, Run
from nas.run.state import SearchState
from nas.status import __main__ as status
from nas.status import listing
from nas.status.watcher import Watcher
from nas.util.errors import UserError


@pytest.fixture
def runs(finished_run: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    shutil.copytree(finished_run, folder / "first")
    return folder


def cut(finished: Path, to: Path, size: int) -> None:
    shutil.copytree(finished, to)
    os.truncate(to / "trials.jsonl", size)


def only(folder: Path) -> listing.ListedRun:
    found = listing.read(folder)
    assert found.left_out == []
    return found.runs[0]


def test_a_journal_cut_anywhere_is_skimmed_as_it_folds(finished_run: Path, tmp_path: Path) -> None:
    whole = (finished_run / "trials.jsonl").stat().st_size
    cut(finished_run, tmp_path / "runs" / "one", whole)
    path = tmp_path / "runs" / "one" / "trials.jsonl"
    seen = set()
    for step in range(24, -1, -1):
        os.truncate(path, whole * step // 24)
        found, looked = only(tmp_path / "runs"), Watcher(path.parent).look()
        state = SearchState.of(journal.read(path).events)
        assert (found.finished, found.crashed) == (looked.finished, looked.crashed)
        assert (found.used_seconds, found.stop_reason) == (looked.used_seconds, looked.stop_reason)
        assert (found.status, found.best_trial) == (looked.status, state.incumbent)
        assert found.best_error == (looked.incumbent and looked.incumbent.error)
        seen.add((found.status, found.best_trial))
    assert len(seen) > 3


def resealed(path: Path, mark: bytes, **changes: object) -> None:
    """Changes the first line that has a mark."""
    lines = path.read_bytes().splitlines()
    at = next(number for number, line in enumerate(lines) if mark in line)
    lines[at] = journal.sealed({**journal.opened(lines[at]), **changes}).rstrip(b"\n")
    path.write_bytes(b"\n".join(lines) + b"\n")


def test_answers_from_the_record_are_not_counted_as_trained(runs: Path) -> None:
    path, before = runs / "first" / "trials.jsonl", only(runs).finished
    resealed(path, b'"event":"ended","trial":7', cached=True)
    assert SearchState.of(journal.read(path).events).finished == before - 1
    assert only(runs).finished == before - 1


def test_words_within_a_reason_are_no_events(runs: Path) -> None:
    path = runs / "first" / "trials.jsonl"
    before = only(runs)
    tricky = '"event":"ended","trial":1,"cached":true,"crc":"status":"crashed","error":'
    resealed(path, b'"status":"crashed"', reason=tricky)
    assert only(runs) == before


def test_what_runs_comes_first_then_the_latest(
    runs: Path, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (finished_run / "trials.jsonl").stat().st_size
    cut(finished_run, runs / "older", size // 2)
    cut(finished_run, runs / "going", size // 3)
    cut(finished_run, runs / "judged", size // 4)
    with Run(runs / "going").lock(), Run(runs / "judged").lock(CONFIRMING):
        found = listing.read(runs).runs
        assert {run.name for run in found[:2]} == {"going", "judged"}
        assert [run.name for run in found[2:]] == ["first", "older"]
        assert {run.name: run.status for run in found} == {
            "going": "running",
            "judged": "confirming",
            "first": "stopped",
            "older": "dead",
        }
        assert status.main([str(runs)]) == 0
    text = capsys.readouterr().out
    assert [text.index(name) for name in ("older", "first")] == sorted(
        (text.index(name) for name in ("older", "first")), reverse=True
    )
    assert "running, ends by " in text
    assert "being confirmed" in text


def test_damaged_and_foreign_folders_are_named_and_do_no_harm(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "notes").mkdir()
    (runs / ".hidden").mkdir()
    (runs / "a file").touch()
    for name in ("no json", "no journal", "a flip", "a [bold]name\x1b[31m"):
        shutil.copytree(runs / "first", runs / name)
    (runs / "no json" / "search.json").write_text("{")
    (runs / "no journal" / "trials.jsonl").unlink()
    (runs / "confirmed badly").mkdir()
    damaged = runs / "a flip" / "trials.jsonl"
    damaged.write_bytes(damaged.read_bytes()[:-20] + b"x" + damaged.read_bytes()[-19:])
    shutil.rmtree(runs / "confirmed badly")
    shutil.copytree(runs / "first", runs / "confirmed badly")
    (runs / "confirmed badly" / "confirmed.json").write_text("[]")
    assert status.main([str(runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(run["name"] for run in found["runs"]) == ["a [bold]name\\x1b[31m", "first"]
    reasons = {row["name"]: row["reason"] for row in found["left_out"]}
    assert set(reasons) == {"notes", "no json", "no journal", "a flip", "confirmed badly"}
    assert reasons["notes"] == "not a run folder (no search.json and trials.jsonl in it)"
    assert reasons["no json"].startswith("search.json: not readable")
    assert "is damaged" in reasons["a flip"]
    assert reasons["confirmed badly"].startswith("confirmed.json: not readable")
    assert status.main([str(runs)]) == 0
    text = capsys.readouterr().out
    assert "a [bold]name\\x1b[31m " in text
    assert text.count("left out: ") == 5


def test_a_folder_of_none_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="not a run folder"):
            status.main([str(folder)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^runs: not a run folder \(no such folder\)"):
        status.main([])


@pytest.mark.parametrize("flags", [["--watch"], ["--svg", "x.svg"], ["--watch", "--json"]])
def test_many_runs_are_neither_watched_nor_drawn(runs: Path, flags: list[str]) -> None:
    with pytest.raises(UserError, match=f"{flags[0]}: shows one run; .* holds several"):
        status.main([str(runs), *flags])


def test_without_a_word_it_lists_the_runs_that_are_here(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(runs.parent)
    assert status.main([]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("first"))
    assert "150 of 150, " in row
    assert "stopped: trials" in row


def test_python_gets_a_table(runs: Path) -> None:
    (runs / "notes").mkdir()
    table = nas.list_runs(runs)
    assert list(table["name"]) == ["first"]
    assert table.attrs["left_out"][0][0] == "notes"
    assert dict(table.iloc[0]) == asdict(listing.read(runs).runs[0])
    shutil.rmtree(runs / "first")
    assert list(nas.list_runs(runs).columns) == list(table.columns)
    with pytest.raises(UserError, match="cannot be read"):
        nas.list_runs(runs / "other")


def test_hundreds_of_long_runs_are_listed_at_once(runs: Path) -> None:
    long = runs / "first" / "trials.jsonl"
    lines = long.read_bytes().splitlines(keepends=True)
    long.write_bytes(b"".join([*lines[:-1] * 8, lines[-1]]))
    for number in range(200):
        (runs / f"r{number}").mkdir()
        for name in ("search.json", "trials.jsonl"):
            (runs / f"r{number}" / name).symlink_to(runs / "first" / name)
    begun = time.process_time()
    assert len(listing.read(runs).runs) == 201
    taken = time.process_time() - begun
    begun = time.process_time()
    Watcher(runs / "first").look()
    assert taken < 40 * (time.process_time() - begun)  # a fifth of what reading them all would take
