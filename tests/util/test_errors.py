"""Errors name settings: Python reads fields, a command its own flags; they cross processes whole."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import tyro

from nas.util import cli, user_input
from nas.util.errors import SettingError, UserError, from_reader, setting


@dataclass(frozen=True)
class Choice:
    """One group."""

    optimizer: str = "smac"
    min_epochs: int = 1


@dataclass(frozen=True)
class Train:
    """Another, with a field of the same name."""

    optimizer: Annotated[str, tyro.conf.arg(name="opt")] = "lamb"


@dataclass(frozen=True)
class Command:
    """What a command parses."""

    run: Annotated[Path, tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path()
    choice: Annotated[Choice, tyro.conf.FlagCreatePairsOff] = field(default_factory=Choice)
    train: Train = field(default_factory=Train)


def said(error: UserError, **others: str) -> str:
    with pytest.raises(UserError) as caught, cli.flags(Command, **others):
        raise error
    return str(caught.value)


@pytest.mark.parametrize(
    ("field_name", "python", "shell"),
    [
        ("min_epochs", "min_epochs=7: is wrong", "--min-epochs 7: is wrong"),
        ("optimizer", "optimizer=7: is wrong", "--optimizer 7: is wrong"),
        ("train.optimizer", "train.optimizer=7: is wrong", "--opt 7: is wrong"),
        ("output", "output=7: is wrong", "-o 7: is wrong"),
        ("run", "run=7: is wrong", "RUN 7: is wrong"),
        ("dataset", "dataset=7: is wrong", "--data 7: is wrong"),
        ("of_another_room", "of_another_room=7: is wrong", "--of-another-room 7: is wrong"),
    ],
)
def test_a_field_is_spelled_for_its_reader(field_name: str, python: str, shell: str) -> None:
    error = SettingError(field_name, 7, "is wrong")
    assert (error.field, error.value, error.rule) == (field_name, 7, "is wrong")
    assert str(error) == python
    assert said(error, output="-o", dataset="--data") == shell


def test_a_rule_may_name_other_settings() -> None:
    rule = f"must be above {setting('min_epochs', 3)}, or leave {setting('output')} out"
    error = SettingError("max_epochs", None, rule)
    assert str(error) == "max_epochs: must be above min_epochs=3, or leave output out"
    assert said(error, output="-o") == "--max-epochs: must be above --min-epochs 3, or leave -o out"


def test_what_a_user_gave_is_no_name_of_a_setting() -> None:
    for text in ("{min_epochs}", "min_epochs=", "\0MIN\0", "\x1b[31m"):
        shown = said(SettingError("prior", text, "is wrong"))
        assert shown.startswith("--prior ")
        assert "--min-epochs" not in shown
        assert shown.isprintable()


def test_an_error_crosses_processes_with_its_fields() -> None:
    error = SettingError("device", "cuda:7", f"use {setting('device', 'cpu')}", shown="'cuda:7'")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is SettingError
    assert (again.field, again.value, again.rule) == (error.field, error.value, error.rule)
    assert said(again) == said(error) == "--device 'cuda:7': use --device cpu"


def test_an_error_of_a_reading_process_is_its_last_line() -> None:
    inner = UserError(f"{setting('data')}: a.png is damaged")
    from_torch = UserError(f"Caught UserError in worker 0.\nTraceback:\nnas.util.errors.UserError: {inner}")
    assert str(from_reader(from_torch)) == "data: a.png is damaged"
    assert said(from_reader(from_torch)) == "--data: a.png is damaged"
    assert from_reader(inner) is inner


def test_every_field_of_a_command_has_its_flag() -> None:
    assert user_input.flags(Command) == {
        "run": "RUN",
        "output": "--output",
        "optimizer": "--optimizer",
        "choice.optimizer": "--optimizer",
        "min_epochs": "--min-epochs",
        "choice.min_epochs": "--min-epochs",
        "train.optimizer": "--opt",
    }
