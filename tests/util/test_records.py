from __future__ import annotations

import contextlib
import dataclasses
import gc

import pytest

from nas.util import memory, records


@dataclasses.dataclass(frozen=True, slots=True)
class Part(records.Record):
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Whole(records.Record):
    name: str
    parts: list[Part]
    scores: dict[str, float]
    note: str | None = None
    share: float = 0.5


@pytest.mark.parametrize("given", [{}, {"note": None}, {"note": "new"}, {"share": 1, "note": "new"}])
def test_an_object_of_a_kind_seen_before_makes_what_the_constructor_makes(given: dict) -> None:
    def values(size: int) -> dict:
        return {**given, "scores": {"top1": 1.0, "top5": None}, "parts": [{"size": size}], "name": "a"}

    records.read(Whole, values(1))
    again = values(2)
    found = records.read(Whole, again)
    assert found == Whole(name="a", parts=[Part(2)], scores={"top1": 1.0, "top5": None}, **given)
    assert records.write(found) == records.write(Whole(**{**again, "parts": [Part(2)]}))
    assert again["parts"] == [{"size": 2}], "what is given stays as it is"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "b"  # type: ignore[misc]
    with pytest.raises(ValueError, match="scores: must be numbers"):
        records.read(Whole, {**values(3), "scores": {"top1": "high"}})
    with pytest.raises(ValueError, match="name: of a wrong kind"):
        records.read(Whole, {**values(3), "name": 1})


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_is_collected_after_as_before(collecting: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        with contextlib.suppress(RuntimeError), memory.growing():
            assert not gc.isenabled()
            raise RuntimeError
        assert gc.isenabled() == collecting
    finally:
        (gc.enable if before else gc.disable)()
