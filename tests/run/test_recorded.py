"""Files that earlier versions wrote are written again as they were."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.run import folder, journal
from nas.run.confirmed_file import ConfirmedFile
from nas.run.events import ConfirmationStarted, RepeatAsked, SessionStarted
from nas.run.incumbent import IncumbentFile
from nas.run.search_file import SearchFile
from nas.search.settings import SearchSettings
from nas.util import records

RECORDED = Path(__file__).with_name("recorded")


@pytest.mark.parametrize("name", ["trials.jsonl", "confirm.jsonl"])
def test_a_journal_that_was_read_is_written_byte_for_byte(name: str) -> None:
    path = RECORDED / name
    assert b"".join(map(journal.encode, journal.read(path).events)) == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("search.json", SearchFile), ("confirmed.json", ConfirmedFile), ("incumbent.json", IncumbentFile)],
)
def test_a_file_that_was_read_is_written_byte_for_byte(
    name: str, kind: type[records.Record], tmp_path: Path
) -> None:
    values = orjson.loads((RECORDED / name).read_bytes())
    folder.write_json(tmp_path / name, records.write(records.read(kind, values)))
    assert (tmp_path / name).read_bytes() == (RECORDED / name).read_bytes()


def test_a_run_that_was_recorded_is_read_without_a_key_left_over() -> None:
    run = folder.Run(RECORDED)
    search, confirmed = run.read_search(), run.read_confirmed()
    assert confirmed is not None
    parts = (search, search.space, search.data, search.limits, confirmed, *confirmed.configurations)
    assert all(part.extra is None for part in parts)
    assert SearchSettings.of(search).choice.seed == search.settings.choice.seed == 7


KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=3)
VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)


@given(st.data())
def test_a_file_of_any_version_keeps_its_keys_and_their_order(data: st.DataObject) -> None:
    """Keys in any order, those that may be missing missing or there, unknown ones anywhere."""

    def mixed(values: dict[str, Any], optional: set[str]) -> dict[str, Any]:
        kept = {
            key: value for key, value in values.items() if key not in optional or data.draw(st.booleans())
        }
        added = {f"new_{key}": value for key, value in data.draw(st.dictionaries(KEYS, VALUES)).items()}
        return dict(data.draw(st.permutations([*kept.items(), *added.items()])))

    values = orjson.loads((RECORDED / "search.json").read_bytes())
    values["space"] = mixed({**values["space"], "source": ""}, {"source"})
    values["data"] = mixed(values["data"], {"fingerprint", "val_images", "class_names"})
    values["hardware"] = mixed({**values["hardware"], "cores": None}, {"cores", "cpu"})
    values = mixed(values, {"program", "created", "command", "train"})
    written = records.write(records.read(SearchFile, values))
    assert orjson.dumps(written) == orjson.dumps(values)


def test_what_only_a_confirmation_says_has_fields_of_its_own() -> None:
    events = journal.read(RECORDED / "confirm.jsonl").events
    assert isinstance(events[0], ConfirmationStarted)
    assert all(event.extra is None for event in events)
    assert {event.repeat for event in events if isinstance(event, RepeatAsked)} >= {1}
    assert not any(isinstance(event, ConfirmationStarted) for event in searched())
    assert any(isinstance(event, SessionStarted) for event in searched())


def searched() -> list[object]:
    return list(journal.read(RECORDED / "trials.jsonl").events)
