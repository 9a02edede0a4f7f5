"""What Python code gives: every setting by its name, and one line that names the argument."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

import nas
from nas.api import arguments
from nas.search.settings import SearchSettings
from nas.util.errors import SettingError, UserError, setting
from nas.util.quantities import parse_duration

ROOT = Path(__file__).parents[2]


def test_nothing_heavy_is_imported_until_it_is_needed() -> None:
    code = (
        "import sys, time; begin = time.perf_counter(); import nas; took = time.perf_counter() - begin\n"
        "heavy = {'torch', 'pandas', 'smac', 'numpy', 'tyro', 'ConfigSpace'} & set(sys.modules)\n"
        "assert not heavy, heavy\nassert took < 0.2, took\n"
        "for name in nas.__all__: assert getattr(nas, name), name\n"
        "assert set(nas.__all__) <= set(dir(nas))\n"
        "assert not {'torch', 'pandas', 'smac'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_there_are_about_ten_names_and_no_others() -> None:
    assert len(nas.__all__) < 13
    typed = (ROOT / "nas" / "__init__.pyi").read_text()
    assert sorted(re.findall(r'    "(\w+)",', typed)) == sorted(nas.__all__)
    with pytest.raises(AttributeError, match="serach"):
        nas.serach  # noqa: B018


def test_the_page_lists_every_setting_and_name() -> None:
    page = (ROOT / "docs" / "python-api.md").read_text()
    listed = re.findall(r"`(\w+)`", page.partition("| topic | keywords |")[2])
    assert sorted(listed) == sorted(arguments.keywords())
    for name in nas.__all__:
        assert f"nas.{name}" in page, name


def test_settings_are_what_the_command_would_make_of_them() -> None:
    made = arguments.settings(
        {
            "budget": timedelta(hours=1.5),
            "trials": np.int64(3),
            "width": 16,
            "data_dir": "somewhere",
            "val_fraction": np.float32(0.25),
            "opt": "sgd",
            "optimizer": "random",
            "flip": False,
            "lr": 1,
            "trial_timeout": 90,
            "checkpoint_quota": 10**9,
            "trials_per_gpu": "auto",
        }
    )
    assert made.budget.seconds == 5400
    assert made.budget.timeout_seconds == 90
    assert (made.budget.trials, made.space.width, made.data.data_dir) == (3, "16", Path("somewhere"))
    assert type(made.budget.trials) is int
    assert made.data.val_fraction == 0.25
    assert (made.train.optimizer, made.choice.optimizer) == ("sgd", "random")
    assert made.train.flip is False
    assert type(made.train.lr) is float
    assert made.machine.quota_bytes == 10**9
    assert SearchSettings.from_json(made.to_json()) == made
    assert arguments.settings({"trials": 5}, made).choice == made.choice


@pytest.mark.parametrize("more", [{}, {"objectives": ("error", "macs")}, {"brackets": "hyperband"}])
def test_the_lowest_rung_can_be_left_to_the_search(more: dict[str, Any]) -> None:
    made = arguments.settings({"min_epochs": "auto", "max_epochs": 18, **more})
    assert made.fidelity.rungs == (2, 6, 18)
    assert made.smac.rungs == "learnt"
    assert SearchSettings.from_json(made.to_json()) == made


@drawn(st.floats(0.01, 1e8))
def test_seconds_become_a_duration(seconds: float) -> None:
    text = arguments.fitted("budget", seconds, str)
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"val_fraction": 2}, "val_fraction=2.0: must lie between"),
        ({"sed": 1}, "sed: no such argument; did you mean seed?"),
        ({"dataset": "digits"}, "dataset: no such argument; did you mean data?"),
        ({"seed": "3"}, "seed='3': must be a whole number"),
        ({"seed": True}, "seed=True: must be a whole number"),
        ({"trials": 2.5}, "trials=2.5: must be a whole number or None"),
        ({"trials": 0}, "trials=0: must be at least 1"),
        ({"flip": "no"}, "flip='no': must be True or False or None"),
        ({"budget": -1}, "budget=-1: must be text such as '72h'"),
        ({"budget": float("nan")}, "budget=nan: must be"),
        ({"budget": True}, "budget=True: must be"),
        ({"budget": "3 weeks"}, "budget='3 weeks': not a duration"),
        ({"optimizer": "tpe"}, "optimizer='tpe': must be 'smac' or"),
        ({"min_epochs": "few"}, "min_epochs='few': must be a whole number or 'auto'"),
        ({"max_epochs": 7}, "max_epochs=7: must be min_epochs x eta^k"),
        ({"data_dir": 3}, "data_dir=3: must be a path"),
        ({"data_dir": "a\0b"}, "data_dir"),
        ({"lr": [0.1]}, "lr=[0.1]: must be a number or None"),
        ({"device": "gpu"}, "device=gpu: must be auto"),
    ],
)
def test_what_is_wrong_is_named_as_python_calls_it(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        arguments.settings(values)
    assert str(caught.value).startswith(says)
    assert "--" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_with_other_names_in_python_are_called_by_them() -> None:
    with pytest.raises(UserError) as caught, arguments.named():
        raise SettingError(
            "dataset", "digits", f"{setting('train.optimizer')}; type python -m nas.x --seeds 4"
        )
    assert str(caught.value) == "data=digits: opt; type python -m nas.x --seeds 4"
    assert isinstance(caught.value, SettingError)
    assert caught.value.field == "data"
