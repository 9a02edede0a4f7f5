"""What results say of the rungs, and what is said of it."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from nas.optimizers.smac.evidence import Evidence
from nas.run.rungs import LATEST, correlation, judge, least_worthwhile

RUNGS = (5, 15, 45)


def curves(shares: tuple[float, float], n: int, seed: int = 0) -> list[list[float]]:
    """Errors at three rungs, of which the lower two correlate so with the highest."""
    draw = random.Random(seed)
    found = []
    for _ in range(n):
        top = draw.gauss(0, 1)
        lower = [r * top + math.sqrt(1 - r * r) * draw.gauss(0, 1) for r in shares]
        found.append([0.4 + 0.03 * value for value in (*lower, top)])
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_rung_is_left_out_where_it_tells_too_little(seed: int) -> None:
    assert judge(RUNGS, curves((0.8, 0.9), 30, seed)).first == 0
    assert judge(RUNGS, curves((0.0, 0.9), 30, seed)).first == 1
    assert judge(RUNGS, curves((0.0, 0.0), 60, seed)).first == 2
    assert judge(RUNGS, curves((-0.8, -0.5), 30, seed)).first == 2
    assert judge(RUNGS, curves((0.8, 0.0), 30, seed)).first == 0, "the lowest that tells enough"


def test_what_tells_little_is_still_of_use_to_the_model() -> None:
    judged = judge(RUNGS, curves((0.25, 0.25), 400))
    assert (judged.first, judged.telling) == (2, 0)
    judged = judge(RUNGS, curves((-0.5, 0.0), 400))
    assert (judged.first, judged.telling) == (2, 2)


def test_it_is_not_given_up_before_three_configurations_are_known_at_both() -> None:
    two = [[0.3, 0.3, 0.5], [0.5, 0.5, 0.3]]
    seen = [[0.2 + 0.1 * k, math.nan, math.nan] for k in range(4)]
    assert judge((1, 2, 4), []).first == 0
    assert judge(RUNGS, [*seen, *two]).first == 0
    assert judge(RUNGS, [*seen, *two, [0.7, 0.7, 0.1]]).first == 2


def test_choosing_by_the_lower_rung_does_not_bias_what_is_believed() -> None:
    everyone = curves((0.8, 0.9), 400)
    chosen = sorted(everyone)[:100]
    low = [curve[0] for curve in everyone]
    assert correlation(low, [(c[0], c[-1]) for c in chosen]) == pytest.approx(0.8, abs=0.1)
    plain = [(c[0], c[-1]) for c in everyone]
    assert correlation(low, plain) == pytest.approx(0.8, abs=0.05)


def test_the_wider_the_steps_the_less_a_rung_needs_to_tell() -> None:
    assert least_worthwhile((1, 2))[0] > least_worthwhile((1, 3))[0] > least_worthwhile((1, 9))[0] > 0.2
    assert least_worthwhile((7,)) == []


def test_one_network_that_learns_nothing_does_not_make_a_rung_tell() -> None:
    rows = [*curves((0.0, 0.0), 60), [0.9, 0.9, 0.9]]
    assert judge(RUNGS, rows).first == 2


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((0.0, 0.9), "5 epochs tell nothing about 45 (correlation about 0.0, 400 configurations) here"),
        ((-0.8, 0.9), "5 epochs tell the opposite of 45 (correlation about -0.8, 400 configurations) here"),
        ((0.25, 0.9), "5 epochs tell too little of 45 (correlation about 0.3, 400 configurations) here"),
    ],
)
def test_it_is_said_in_plain_words(shares: tuple[float, float], words: str) -> None:
    said = judge(RUNGS, curves(shares, 400, 5)).summary()
    assert said.startswith(words.split(" (")[0])
    assert said.endswith("400 configurations) here: configurations begin at 15 epochs")


def test_it_is_said_that_rungs_tell_enough() -> None:
    said = judge(RUNGS, curves((0.8, 0.9), 30)).summary()
    assert said == "5 epochs tell enough of 45 here: configurations begin at 5 epochs"


def test_the_latest_configurations_alone_count() -> None:
    first, later = curves((-0.8, -0.5), LATEST), curves((0.8, 0.9), LATEST, seed=1)
    evidence = Evidence(RUNGS)
    for place, (low, middle, top) in enumerate([*first, *later]):
        evidence.add(np.array([float(place)]), 45, top, curve={5: low, 15: middle})
    assert evidence.of_rungs() == judge(RUNGS, [*first, *later]) == judge(RUNGS, later)
    assert evidence.of_rungs().first == 0
