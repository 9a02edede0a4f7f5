"""Names that a run's tables need for themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import search_spaces
from nas.util.errors import UserError

MODULE = """
from search_spaces.base import Hyperparameter
from search_spaces.nexception import NEXcepTionSpace


class Mine(NEXcepTionSpace):
    name = "mine"
    hyperparameters = {
        **NEXcepTionSpace.hyperparameters, "error": Hyperparameter("error", (1, 2), 1, "what", "me")
    }
"""


def test_a_choice_called_as_a_figure_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space_with_error.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="hyperparameter error: a trial has a figure of that name") as caught:
        search_spaces.get("space_with_error:Mine")
    assert "\n" not in str(caught.value)
    sys.modules.pop("space_with_error", None)
