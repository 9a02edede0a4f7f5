"""Every width gets the training settings of its name."""

import pytest

import search_spaces
from nas.trial.settings import TrainSettings
from search_spaces.presets import PAPER, SMALL, TINY, recipe_width


@pytest.mark.parametrize("name", search_spaces.names())
def test_presets_get_what_was_tuned_for_their_name(name):
    presets = search_spaces.get(name).presets
    assert [recipe_width(presets, presets[size]) for size in ("tiny", "small", "paper")] == [
        TINY,
        SMALL,
        PAPER,
    ]
    assert recipe_width(presets, 10 * presets["paper"]) == PAPER


def test_nexceptions_widths_keep_their_settings():
    presets = search_spaces.get("nexception").presets
    for width in range(16, 700):
        like = recipe_width(presets, width)
        assert TrainSettings().resolve(like, 5000) == TrainSettings().resolve(width, 5000), width


def test_other_presets_are_taken_as_they_are():
    assert recipe_width({}, 0) == 0
    assert recipe_width({"tiny": 8, "large": 200}, 200) == 200
