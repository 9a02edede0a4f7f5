"""Odd text, paths and numbers are refused at the edge, by every command, or mean what they say."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from nas.util import cli, flag_help
from nas.util.errors import UserError


@dataclass(frozen=True)
class Inner:
    count: int = 1
    text: str = "a"
    many: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    run: Annotated[Path, tyro.conf.Positional] = Path("here")
    output: Annotated[Path, tyro.conf.arg(name="out", aliases=["-o"])] = Path("out")
    inner: Inner = field(default_factory=Inner)


def parse(*args: str) -> Command:
    return cli.parse(Command, prog="prog", description="", args=list(args))


BAD = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((BAD,), r"^RUN b'caf\\xe9': is not UTF-8; rename it"),
        (("--out", BAD), "^--out b'caf"),
        (("--text", BAD), "^--text b'caf"),
        (("--many", "a", BAD), "^--many b'caf"),
        (("--text", "a\0b"), "^--text 'a.x00b': holds a NUL"),
        (("--out", "x/" + "n" * 300), "^--out nnnnnnnnnnnnnnnnnnnn...: 300 bytes long; must be at most 200"),
        (("--out", "ü" * 101), "202 bytes long"),
        (("--out", ""), "^--out: is empty"),
        (("--out=",), "^--out: is empty"),
        (("",), "^argument 1: is empty"),
        (("--count", "99999999999999999999"), "^--count 99999999999999999999: must be at most 9,007"),
        (("--count", "-99999999999999999999"), "^--count -9"),
        (("--out", "~nobody-of-that-name/x"), "^--out ~nobody-of-that-name/x: no such user"),
    ],
)
def test_odd_input_is_one_line_that_names_the_flag(args, words):
    with pytest.raises(UserError, match=words) as caught:
        parse(*args)
    assert "\n" not in str(caught.value)


def test_a_tilde_is_the_home_folder_however_the_flag_is_written(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parse("--out=~/x").output == Path("/home/me/x")
    assert parse("--out", "~").output == Path("/home/me")
    assert parse("~/run").run == Path("/home/me/run")
    assert parse("--out", "a~/~b").output == Path("a~/~b")


def test_what_is_in_order_stays_as_it_is():
    found = parse("--text", "ü x", "--count", str(2**53), "--many", "a", "b")
    assert found == Command(inner=Inner(count=2**53, text="ü x", many=("a", "b")))


@dataclass(frozen=True)
class Numbers:
    seed: int = 1
    lr: float | None = None
    share: float = 0.1
    epochs: Annotated[int, flag_help.or_word("auto")] = 3
    workers: int | Literal["auto"] = 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--seed", "1.5"], "--seed '1.5': must be a whole number; --help lists the flags"),
        (["--seed", "it's"], '--seed "it\'s": must be a whole number; --help lists the flags'),
        (["--lr", "abc"], "--lr 'abc': must be a number; --help lists the flags"),
        (["--share", "10%"], "--share '10%': must be a number; --help lists the flags"),
        (
            ["--epochs", "automatic"],
            "--epochs 'automatic': must be a whole number or auto; --help lists the flags",
        ),
        (["--workers", "x"], "--workers 'x': must be a whole number or auto; --help lists the flags"),
    ],
)
def test_what_is_no_number_is_said_with_what_would_be_right(args, words):
    with pytest.raises(UserError) as caught:
        cli.parse(Numbers, prog="prog", description="", args=args)
    assert str(caught.value) == words
