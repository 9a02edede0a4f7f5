"""Limits on measured costs are checked on the smallest networks before the first trial."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nas.costs.counter import Counter
from nas.costs.smallest import check, smallest
from nas.execution.counted import CountedNetwork
from nas.util.errors import SettingError, UserError
from search_spaces import get

SPACE = "tests.costs.counted_space:Counted"
NETWORK = CountedNetwork(SPACE, "reduced", width=0, image_size=8, num_classes=10, in_chans=3)
CONFIGS: list[Any] = [{"width": 1}, {"width": 2}]
GIVEN = {"latency": ("max_latency", "4ms"), "memory": ("max_memory", "1MB")}


@pytest.fixture(scope="module")
def counter() -> Iterator[Counter]:
    found = Counter(NETWORK)
    yield found
    found.close()


def test_the_smallest_are_found_and_can_be_built(counter: Counter) -> None:
    found = smallest(get(SPACE), counter)
    assert 2 <= len(found) <= 4
    assert min(config["width"] for config in found) == 1
    assert all(config["kind"] == "plain" for config in found)


def test_nothing_is_said_once_one_keeps_all_limits() -> None:
    asked = []

    def measure(config: Any) -> dict[str, float]:
        asked.append(config)
        return {"latency": 3.0}

    assert check(CONFIGS, measure, {"latency": 4.0}, GIVEN) == []
    assert len(asked) == 1


def test_a_limit_that_is_nearly_kept_is_noted() -> None:
    (said,) = check(CONFIGS, lambda config: {"latency": 4.0 + config["width"]}, {"latency": 4.0}, GIVEN)
    assert "have 5 ms latency or more, the limit is 4 ms" in said


def test_a_hopeless_limit_is_refused() -> None:
    with pytest.raises(SettingError, match=r"max_latency=4ms: the smallest networks .* have 9 ms latency"):
        check(CONFIGS, lambda config: {"latency": 8.0 + config["width"]}, {"latency": 4.0}, GIVEN)


def test_limits_that_are_kept_one_at_a_time_pass() -> None:
    costs = {1: {"latency": 3.0, "memory": 2e6}, 2: {"latency": 5.0, "memory": 1e5}}
    limits = {"latency": 4.0, "memory": 1e6}
    assert check(CONFIGS, lambda config: costs[config["width"]], limits, GIVEN) == []


def test_only_if_nothing_can_be_measured_it_is_an_error() -> None:
    def measure(config: Any) -> dict[str, float]:
        if config["width"] < least:
            raise UserError("bench ended with code 1")
        return {"latency": 3.0}

    least = 2
    assert check(CONFIGS, measure, {"latency": 4.0}, GIVEN) == []
    least = 3
    with pytest.raises(UserError, match="bench ended"):
        check(CONFIGS, measure, {"latency": 4.0}, GIVEN)
