from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.repair import __main__ as command
from nas.run import journal, repair
from nas.run.events import Event, parse
from nas.run.folder import Run
from nas.run.journal import Journal
from nas.run.state import SearchState
from nas.util.errors import UserError

NOW = {"time": "2026-01-01T00:00:00.000Z", "clock": 1.0}


def event_of(kind: str) -> Event:
    return parse({**NOW, "event": kind})


def events(trials: int) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = [{"event": "session", "phase": "start"}]
    for number in range(1, trials + 1):
        config = {"kernel": number}
        asked = {"config_id": f"c{number}", "config": config, "epochs": 1, "origin": "initial design"}
        result += [
            {"event": "asked", "trial": number, **asked},
            {"event": "started", "trial": number},
            {"event": "epoch", "trial": number, "epoch": 1, "metrics": {"top1": number / 9}},
            {"event": "ended", "trial": number, "status": "success", "error": 1 - number / 9}
            | {"metrics": {"top1": number / 9}, "reason": "", "seconds": 1.0},
        ]
    return [{**NOW, **event} for event in result]


WHOLE = b"".join(map(journal.sealed, events(3)))
LINES = WHOLE.split(b"\n")[:-1]


def test_an_intact_journal_is_left_alone() -> None:
    repaired = repair.repair(WHOLE)
    assert not repaired.changed
    assert repaired.lines == LINES


@settings(max_examples=40)
@given(place=st.integers(0, len(WHOLE) - 2), bit=st.integers(0, 7))
def test_a_flipped_bit_is_put_right_wherever_it_is(place: int, bit: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] ^= 1 << bit
    repaired = repair.repair(bytes(damaged))
    assert repaired.lines == LINES
    assert repaired.changed
    assert repaired.cut is None
    assert repaired.dropped == []


def overwritten(number: int) -> bytes:
    """Three characters of line ``number``, from 0, are gone."""
    line = LINES[number]
    return b"\n".join([*LINES[:number], line[:20] + b"xyz" + line[23:], *LINES[number + 1 :], b""])


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_line_that_no_result_depends_on_is_dropped(number: int) -> None:
    repaired = repair.repair(overwritten(number))
    assert repaired.dropped == [number + 1]
    assert repaired.lines == LINES[:number] + LINES[number + 1 :]
    assert repaired.cut is None


@pytest.mark.parametrize(("number", "kept"), [(1, ["c2", "c3"]), (4, ["c2", "c3"]), (5, ["c3"]), (12, [])])
def test_a_lost_result_cuts_the_journal_and_later_ones_are_salvaged(number: int, kept: list[str]) -> None:
    repaired = repair.repair(overwritten(number))
    assert repaired.cut == number + 1
    assert repaired.lines == LINES[:number]
    found = repair.finished(repair.events(repaired.salvaged), repair.events(repaired.lines))
    assert [result.config_id for result in found] == kept
    assert all(result.curve == [(1, result.metrics)] for result in found)
    SearchState.of(repair.events(repaired.lines))


def test_a_line_taken_out_is_noticed_and_cut_at() -> None:
    without = b"\n".join([*LINES[:5], *LINES[6:], b""])
    assert repair.repair(without).cut == 6
    with pytest.raises(UserError, match=r"does not follow.*nas\.repair"):
        SearchState.of(repair.events(without.split(b"\n")[:-1]))


def test_the_command_says_what_was_lost_and_keeps_the_damaged_file(
    simulate: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    reference = simulate("whole", trials=12)
    reference.run()
    run = shutil.copytree(reference.path, reference.path.parent / "damaged")
    path = run / "trials.jsonl"
    lines = path.read_bytes().split(b"\n")
    number = next(i for i, line in enumerate(lines) if b'"event":"ended","trial":7,' in line)
    lines[number] = lines[number].replace(b'"status"', b'"xxxxxx"')
    damaged = b"\n".join(lines)
    path.write_bytes(damaged)
    assert command.main([str(run), "--dry-run"]) == 0
    assert path.read_bytes() == damaged
    assert "nothing was changed" in capsys.readouterr().out
    assert command.main([str(run)]) == 0
    said = capsys.readouterr().out
    assert f"line {number + 1}: cannot be read" in said
    assert "salvaged.jsonl" in said
    assert (run / "trials.damaged-1.jsonl").read_bytes() == damaged
    assert journal.read(path).size > 0
    assert command.main([str(run)]) == 0
    assert "nothing is damaged" in capsys.readouterr().out


def test_a_disk_that_turns_read_only_ends_with_one_line_and_nothing_follows_a_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trials.jsonl"

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with Journal(path, 0) as file:
        file.append(event_of("first"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refused)
            patch.setattr(os, "ftruncate", refused)
            with pytest.raises(UserError, match="Read-only file system"):
                file.append(event_of("second"))
        with pytest.raises(UserError, match="cannot be written"):
            file.append(event_of("third"))
    assert [event.to_json()["event"] for event in journal.read(path).events] == ["first", "second"]


def test_a_session_removes_what_a_killed_one_left(simulate: Callable[..., Any]) -> None:
    simulation = simulate(trials=3)
    simulation.run()
    run = Run(simulation.path)
    before = {path.name for path in run.path.rglob("*")}
    run.smac.rename(run.path / ".smac.old")
    (run.path / ".smac.abc").mkdir()
    (run.path / ".smac.abc" / "runhistory.json").touch()
    (run.path / ".incumbent.77.json").touch()
    (run.checkpoints / "a-1.77.tmp").touch()  # as earlier versions called them
    (run.checkpoints / ".a-1.77.pt").touch()
    (run.path / ".trials.77.jsonl").touch()
    (run.path / ".mine").touch()
    run.sweep()
    assert {path.name for path in run.path.rglob("*")} == before | {".mine"}
