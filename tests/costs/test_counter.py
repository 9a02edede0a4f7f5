"""Costs from the counting process: exact, each once, whatever happens to it."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.costs import feasible
from nas.costs.counter import Counter
from nas.execution.counted import CountedNetwork
from nas.util.errors import SettingError
from search_spaces import get
from search_spaces.base import Config, config_id

SPACE = f"{Path(__file__).with_name('counted_space.py')}:Counted"
NETWORK = CountedNetwork(SPACE, "reduced", 0, 8, 10, 3, ("price",))


def config(width: int, kind: str = "plain") -> Config:
    return {"kind": kind, "width": width}


def expected(width: int) -> dict[str, float]:
    return {
        "macs": 192.0 * width + 10 * width,
        "params": 192.0 * width + 10 * width + 10,
        "price": 2.0 * width,
    }


@pytest.fixture(scope="module")
def counter() -> Iterator[Counter]:
    with contextlib.closing(Counter(NETWORK)) as made:
        yield made


def test_costs_are_exact_and_in_order(counter: Counter) -> None:
    assert counter.costs([config(3), config(1), config(3)]) == [expected(3), expected(1), expected(3)]


def test_what_cannot_be_built_costs_infinitely_much(counter: Counter) -> None:
    found = counter.costs([config(5), config(5, "broken"), config(6)])
    assert found == [expected(5), dict.fromkeys(("macs", "params", "price"), math.inf), expected(6)]
    assert "no such network" in counter.reasons[config_id(config(5, "broken"))]


def test_a_builder_that_ends_the_process_costs_only_itself(counter: Counter) -> None:
    found = counter.costs([config(7), config(77, "broken"), config(8)])
    assert found[::2] == [expected(7), expected(8)]
    assert math.isinf(found[1]["macs"])


def test_a_killed_process_is_replaced(counter: Counter) -> None:
    counter.costs([config(9)])
    assert counter._process is not None
    counter._process[0].kill()
    counter._process[0].join()
    assert counter.costs([config(10), config(9)]) == [expected(10), expected(9)]


def test_a_run_folder_keeps_counts(counter: Counter, tmp_path: Path) -> None:
    path = tmp_path / "costs.jsonl"
    counter.costs([config(11)])
    counter.keep_in(path)
    with path.open("ab") as file:
        file.write(b'{"task": "another", "config_id": "x", "costs": {}}\n[]\nhalf a li')
    again = Counter(NETWORK)
    again.keep_in(path)
    assert again.costs([config(11)]) == [expected(11)]
    assert again._process is None  # nothing had to be counted


def test_the_search_itself_imports_no_torch() -> None:
    modules = "nas.search.session, nas.search.costing, nas.costs.feasible"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_limits_with_room_say_nothing(counter: Counter) -> None:
    found = feasible.find(get(SPACE), counter, {"macs": 20_000.0})
    assert len(found.fitting) >= feasible.FEW


def test_a_limit_is_reached_by_going_down(counter: Counter) -> None:
    found = feasible.find(get(SPACE), counter, {"macs": 202.0 * 3})
    assert {one["width"] for one in found.fitting} == {1, 2, 3}
    assert found.least["macs"] == 202.0


def test_a_limit_that_nothing_keeps_names_the_least(counter: Counter) -> None:
    limits = {"macs": 100.0}
    found = feasible.find(get(SPACE), counter, limits)
    with pytest.raises(SettingError, match=r"max_macs=100: nothing is so small; .* has 202 MACs"):
        feasible.refuse_none(found, limits, {"macs": ("max_macs", "100")}, "reduced")


def test_limits_that_nothing_keeps_at_once_name_the_nearest() -> None:
    class Opposed(Counter):
        """Where one cost falls the other rises."""

        def costs(self, configs):  # type: ignore[no-untyped-def]
            return [{"macs": c["width"], "params": 401.0 - c["width"]} for c in configs]

    limits = {"macs": 100.0, "params": 100.0}
    found = feasible.find(get(SPACE), Opposed(NETWORK), limits)
    given = {"macs": ("max_macs", "100"), "params": ("max_params", "100")}
    with pytest.raises(SettingError, match="nothing keeps all limits at once"):
        feasible.refuse_none(found, limits, given, "reduced")
