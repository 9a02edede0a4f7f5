"""Files that earlier versions wrote are written again as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.run import journal
from nas.run.events import ConfirmationStarted, RepeatAsked, SessionStarted

RECORDED = Path(__file__).with_name("recorded")


@pytest.mark.parametrize("name", ["trials.jsonl", "confirm.jsonl"])
def test_a_journal_that_was_read_is_written_byte_for_byte(name: str) -> None:
    path = RECORDED / name
    assert b"".join(map(journal.encode, journal.read(path).events)) == path.read_bytes()


def test_what_only_a_confirmation_says_has_fields_of_its_own() -> None:
    events = journal.read(RECORDED / "confirm.jsonl").events
    assert isinstance(events[0], ConfirmationStarted)
    assert all(event.extra is None for event in events)
    assert {event.repeat for event in events if isinstance(event, RepeatAsked)} >= {1}
    assert not any(isinstance(event, ConfirmationStarted) for event in searched())
    assert any(isinstance(event, SessionStarted) for event in searched())


def searched() -> list[object]:
    return list(journal.read(RECORDED / "trials.jsonl").events)
