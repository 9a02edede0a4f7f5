"""What readers learn of a folder's training from its config.json."""

from __future__ import annotations

from typing import Any

import pytest

from nas.export.training import HeldOut, Training
from nas.export.weights import BY_SEARCH

BY_TRAIN = {"data": "digits", "val_fraction": 0.05, "split_seed": 3, "max_images": 100}


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        (None, Training()),
        ("yes", Training()),
        ({"by": BY_SEARCH, "data": "digits", "seed": 0}, Training(by_search=True)),
        (
            {**BY_TRAIN, "test": {"top1": 0.75}},
            Training(test_top1=0.75, held_out=HeldOut("digits", 0.05, 3, 100)),
        ),
        ({**BY_TRAIN, "test": None}, Training(held_out=HeldOut("digits", 0.05, 3, 100))),
        ({"test": {"top1": "high"}}, Training()),
    ],
)
def test_it_is_read_as_far_as_it_is_there(entry: Any, known: Training) -> None:
    assert Training.of(entry) == known
