from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.run import events as kinds
from nas.run import journal
from nas.run.journal import Journal
from nas.util.errors import UserError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text().filter(lambda key: key not in ("v", "crc", "time", "clock", "event", "extra"))
EVENTS = st.lists(st.dictionaries(NAMES, JSON), max_size=5)


def event(kind: str = "later", **fields: Any) -> kinds.Event:
    return kinds.parse({"time": "2026-01-01T00:00:00.000Z", "clock": 1.0, "event": kind, **fields})


def epoch(number: int, **metrics: float) -> kinds.Event:
    return event("epoch", trial=number, epoch=1, metrics=metrics)


def write(path: Path, events: Iterable[kinds.Event]) -> None:
    with Journal(path, 0) as file:
        for one in events:
            file.append(one, durable=False)  # waiting for the disk is not what is tested


@given(events=EVENTS)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, events: list[dict]) -> None:
    path = tmp_path_factory.mktemp("journal") / "trials.jsonl"
    written = [kinds.parse({**fields, **event().to_json()}) for fields in events]
    write(path, written)
    contents = journal.read(path)
    assert contents.events == written
    assert b"".join(map(journal.encode, contents.events)) == path.read_bytes()
    assert (contents.size, contents.dropped) == (path.stat().st_size, 0)


def test_lines_are_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    write(path, [event("started", trial=1)])
    assert orjson.loads(path.read_bytes())["trial"] == 1


@given(data=st.data())
def test_a_changed_byte_is_found_and_its_line_named(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "trials.jsonl"
    write(path, [epoch(n, top1=n / 7) for n in range(4)])
    intact = path.read_bytes()
    lines = intact.splitlines(keepends=True)
    line = data.draw(st.integers(0, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[line]) - 2))  # the newline itself is another matter
    offset = sum(map(len, lines[:line])) + column
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte not in (intact[offset], ord("\n"))))
    path.write_bytes(intact[:offset] + bytes([value]) + intact[offset + 1 :])
    with pytest.raises(UserError, match=f"line {line + 1} is damaged"):
        journal.read(path)


@given(cut=st.integers(0, 10_000))
def test_a_half_written_last_line_is_dropped_and_overwritten(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "trials.jsonl"
    write(path, [epoch(n) for n in range(4)])
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % len(whole)])
    contents = journal.read(path)
    assert contents.size + contents.dropped == cut % len(whole)
    with Journal(path, contents.size) as file:
        file.append(event("after"), durable=False)
    assert [one.to_json()["event"] for one in journal.read(path).events] == ["epoch"] * len(
        contents.events
    ) + ["after"]


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_bytes(journal.sealed({"v": 99, "event": "asked"}))
    with pytest.raises(UserError, match="line 1 .*format version 99"):
        journal.read(path)


def test_a_full_disk_leaves_the_journal_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trials.jsonl"
    real_write = os.write
    room = [200]

    def write_until_full(fd: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: room[0]]
        room[0] -= len(part)
        return real_write(fd, part)

    with Journal(path, 0) as file:
        file.append(event("first"))
        monkeypatch.setattr(os, "write", write_until_full)
        with pytest.raises(UserError, match=r"trials\.jsonl.*No space left"):
            file.append(event("second", text="x" * 300))
        monkeypatch.undo()
        file.append(event("third"))
    contents = journal.read(path)
    assert [one.to_json()["event"] for one in contents.events] == ["first", "third"]
    assert contents.dropped == 0


def test_reading_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    with Journal(path, 0) as file:
        file.append(event("first"))
        before = journal.read(path)
        file.append(event("second"))
    after = journal.read(path, before.size, 2)
    assert [one.to_json()["event"] for one in after.events] == ["second"]


@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_reading_in_pieces_gives_the_same_lines(tmp_path: Path, most: int) -> None:
    path = tmp_path / "trials.jsonl"
    with Journal(path, 0) as file:
        for number in range(20):
            file.append(event("x" * number))
    with path.open("ab") as end:
        end.write(b'{"half')
    found: list[kinds.Event] = []
    size = 0
    while (piece := journal.read(path, size, len(found) + 1, most)).events:
        found += piece.events
        size = piece.size
    whole = journal.read(path)
    assert (found, size) == (whole.events, whole.size)
    assert piece.dropped == whole.dropped == 6
