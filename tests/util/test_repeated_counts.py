"""Counting network after network gives what counting each by itself gives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import search_spaces
from nas.util.counts import count
from nas.util.repeated_counts import RepeatedCounts


@pytest.mark.parametrize(
    ("name", "width"), [("nexception", 16), ("mobilenet", 4), ("resnet", 8), ("vit", 48)]
)
def test_networks_of_a_space_count_the_same_the_second_time_too(name: str, width: int) -> None:
    space, counts = search_spaces.get(name), RepeatedCounts()
    geometry = space.reduced(width, 32)
    for config in space.sample(8, seed=1):
        with torch.device("meta"):
            alone = count(space.network(config, geometry, 10), 32)
        found = [
            counts.count(lambda config=config: space.network(config, geometry, 10), 32, 3, 10)
            for _ in range(2)
        ]
        assert found == [alone, alone]


def test_what_computes_with_numbers_is_not_remembered() -> None:
    class Deep(nn.Sequential):
        def __init__(self, depth: int) -> None:
            numbers = torch.linspace(1, depth, depth, device="cpu")  # real, though all else is not
            super().__init__(*(nn.Conv2d(3, 3, int(number)) for number in numbers.tolist()))

    counts = RepeatedCounts()
    for depth in (1, 2, 3, 2):
        with torch.device("meta"):
            alone = count(Deep(depth), 16)
        assert counts.count(lambda depth=depth: Deep(depth), 16) == alone


def test_a_network_of_other_answers_is_refused() -> None:
    with pytest.raises(ValueError, match="must give \\(1, 7\\)"):
        RepeatedCounts().count(lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), 2, 3, 7)
