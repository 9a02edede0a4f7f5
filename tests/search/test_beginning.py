"""How a search begins or goes on: names, flags as people spell them, other versions of libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from nas.data import download
from nas.run.folder import Run
from nas.search import __main__ as search
from nas.search import provenance, session
from nas.search.settings import SearchSettings
from nas.util.errors import UserError
from tests import warm_programs
from tests.complaints import complaints
from tests.descriptions import described

TINY = [
    *("--space", "tests.faults.tiny:TinySpace", "--width", "tiny", "--threads", "1", "--dataset", "digits"),
    *("--image-size", "8", "--max_images", "200", "--min_epochs", "1", "--max-epochs", "2", "--eta", "2"),
]


def command(*args: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "nas.search", *args],
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def went_on(*args: str) -> str:
    """Searches to the end without complaints; returns what it said."""
    done = warm_programs.run(["nas.search", *args], Path.cwd(), os.environ, timeout=240)
    assert (done.returncode, complaints(done.stderr)) == (0, [])
    return done.stdout


def test_searches_without_a_name_that_begin_in_the_same_second_get_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "default_name", lambda _: "digits-20260101-000000")
    settings = SearchSettings()
    with (
        session.unnamed(tmp_path / "runs", settings) as first,
        session.unnamed(tmp_path / "runs", settings) as second,
        session.unnamed(tmp_path / "runs", settings) as third,
    ):
        assert [path.name for path in (first, second, third)] == [
            "digits-20260101-000000",
            "digits-20260101-000000-2",
            "digits-20260101-000000-3",
        ]
        Run.create(second, described(), {})
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [second.name]  # what failed left nothing


def test_a_name_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"), session.unnamed(tmp_path / "file", SearchSettings()):
        pass


def test_a_run_folder_that_another_search_made_meanwhile_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "run"
    Run.create(path, replace(described(), program="mine"), {})
    with pytest.raises(UserError, match="exists already; continue it with resume"):
        Run.create(path, replace(described(), program="other"), {})
    assert Run(path).read_search().program == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("args", "flag", "value"),
    [
        (["--name", "a"], "--name", "a"),
        (["--name=a=b"], "--name", "a=b"),
        (["--runs_dir", "x"], "--runs-dir", "x"),
        (["--runs_dir=x_y"], "--runs-dir", "x_y"),
        (["--name", "a", "--name=b"], "--name", "b"),
        (["--name"], "--name", None),
        (["-name", "a"], "--name", None),
        (["--names", "a"], "--name", None),
    ],
)
def test_flags_are_found_as_the_parser_reads_them(args: list[str], flag: str, value: str | None) -> None:
    assert search._given(args, flag) == value


@pytest.mark.acceptance
def test_resume_auto_says_what_it_does_however_its_flags_are_spelled(tmp_path: Path) -> None:
    args = [*TINY, "--trials", "2", "--name", "array", f"--runs_dir={tmp_path}", "--resume", "auto"]
    path = tmp_path / "array"
    for said in (f"--resume auto: starts {path}\n", f"--resume auto: continues {path}\n"):
        assert went_on(*args).startswith(said)


@pytest.mark.acceptance
def test_two_commands_without_a_name_at_once(tmp_path: Path) -> None:
    both = [command(*TINY, "--trials", "1", "--runs-dir", str(tmp_path)) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, complaints(err)) == (0, [])
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == 2
    for name in names:
        assert Run(tmp_path / name).read_journal().events[-1].reason == "trials"
        datetime.strptime(name[:22], "digits-%Y%m%d-%H%M%S")


# Versions


@pytest.mark.acceptance
def test_other_versions_are_told_in_one_line_and_the_search_goes_on(tmp_path: Path) -> None:
    args = [*TINY, "--runs-dir", str(tmp_path), "--name", "old"]
    went_on(*args, "--trials", "1")
    run = Run(tmp_path / "old")
    stored = orjson.loads(run.search_json.read_bytes())
    stored["versions"] |= {"torch": "2.1.0", "smac": "2.0.0", "gone": "1.0"}
    run.search_json.write_bytes(orjson.dumps(stored))
    out = went_on("--resume", str(run.path), "--space", TINY[1], "--trials", "2")
    lines = [line for line in out.splitlines() if "other versions than before" in line]
    assert len(lines) == 1
    assert "torch 2.1.0 -> " in lines[0]
    assert "smac 2.0.0 -> " in lines[0]
    assert "gone" not in lines[0]
    assert lines[0].split("  ")[1] in run.log.read_text()
    again = went_on("--resume", str(run.path), "--space", TINY[1], "--trials", "3")
    assert "other versions" not in again  # told once


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({}, {"torch": "2.9"}, []),  # an old run that did not write it down
        ({"torch": "2.9"}, {"torch": "2.9"}, []),
        ({"torch": "2.8", "timm": "1"}, {"torch": "2.9", "timm": "1"}, ["torch 2.8 -> 2.9"]),
        ({"torch": "2.8", "numpy": "1"}, {"torch": "2.9", "numpy": "2"}, ["torch 2.8 -> 2.9, numpy 1 -> 2"]),
    ],
)
def test_what_counts_as_another_version(before: dict[str, str], now: dict[str, str], told: list[str]) -> None:
    found = provenance.changes(replace(described(), program="", versions=before), now)
    assert [line.partition(": ")[2].partition(";")[0] for line in found] == told


def test_another_version_of_this_program_is_one() -> None:
    found = provenance.changes(replace(described(), program="0.0.1"), {})
    assert "smacnas 0.0.1 -> " in found[0]


# Downloads


def test_a_download_is_announced_until_it_is_there(tmp_path: Path, simulate: Callable[..., Any]) -> None:
    assert download.size("cifar100", tmp_path) == pytest.approx(169e6, rel=0.01)
    assert download.size("digits", tmp_path) == download.size("folder:x", tmp_path) == 0
    (tmp_path / "cifar-100-python").mkdir()
    assert download.size("cifar100", tmp_path) == 0
    assert download.size("cifar10", tmp_path) > 0
