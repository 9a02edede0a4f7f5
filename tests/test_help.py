"""What every command's ``--help`` has to be: names for people, and the default that is really used."""

from __future__ import annotations

import importlib
import itertools
import re
import subprocess
import sys
from functools import cache

import pytest

from nas.__main__ import COMMANDS
from nas.util import user_input

MODULES = [module for module, _ in COMMANDS.values() if module != "search_spaces"]  # has commands itself
_FLAG = re.compile(r"^(?:-\w(?: \w+)?, )?(--[\w-]+)(?:, --no-[\w-]+)?(?: (\S+))?", re.MULTILINE)


@cache
def _help(module: str) -> str:
    """The help of a command in one column, without frames."""
    command = [sys.executable, "-m", module, "--help"]
    # Too narrow for two columns; wide enough for a flag and its metavar on one line.
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"COLUMNS": "78", "PATH": "", **_paths()}
    ).stdout
    return re.sub(r"^│ | *│$", "", said, flags=re.MULTILINE)


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(path for path in sys.path if path)}


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("module", MODULES)
def test_a_default_says_what_is_used(module: str) -> None:
    defaults = re.findall(r"\(default: ?([^)]*)\)", _flat(_help(module)))
    assert not {"", "None", "True", "False"} & set(defaults)


@pytest.mark.parametrize("module", MODULES)
def test_groups_have_names_for_people(module: str) -> None:
    titles = re.findall(r"^╭─ (.*?) ─", _help(module), re.MULTILINE)
    assert titles
    for title in titles:
        assert title in ("positional arguments", "options") or re.fullmatch(r"[A-Z][\w ]+ options", title), (
            title
        )
        assert "ettings" not in title, title


@pytest.mark.parametrize("module", MODULES)
def test_help_is_no_source_code(module: str) -> None:
    said = _help(module)
    assert "``" not in said
    assert ":class:" not in said
    usage = said.partition("\n\n")[0]
    assert not re.search(r"\b(STR|PATH|INT)\b", re.sub(r"\[--.*?\]|\[-o .*?\]", "", usage)), (
        "a name, not a type"
    )


@pytest.mark.parametrize("module", MODULES)
def test_every_flag_is_explained_in_sentences(module: str) -> None:
    blocks = re.split(r"\n(?=-{1,2}\w|╰)", _help(module))
    for block in blocks:
        if block.startswith("--") or re.match(r"-\w \w+, --", block):
            words = _flat(block)
            assert re.search(r"\. \((?:default: .*|required|repeatable)\)", words), words


@pytest.mark.parametrize("module", MODULES)
def test_lines_are_broken_only_where_they_are_full(module: str) -> None:
    lines = [line for line in _help(module).partition("\n╭")[2].splitlines() if line.startswith("  ")]
    width = 78 - len("│ ") - len(" │")
    for line, after in itertools.pairwise(_help(module).splitlines()):
        if line in lines and after in lines:
            assert len(line) + 1 + len(after.split()[0]) > width, f"{line}\n{after}"


def test_a_flag_takes_the_same_in_every_command() -> None:
    takes: dict[str, dict[str, list[str]]] = {}
    for module in MODULES:
        for flag, what in _FLAG.findall(_help(module)):
            kind = what if re.match(r"[A-Z{]", what) else ""
            takes.setdefault(flag, {}).setdefault("STR" if "{" in kind else kind, []).append(module)
    different = {flag: kinds for flag, kinds in takes.items() if len(kinds) > 1}
    assert not different


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("nas.search", ["--workers", "2"], ["--trial-workers", "2"]),
        ("nas.search", ["--workers=2", "--schedule=cosine"], ["--trial-workers=2", "--sched=cosine"]),
        ("nas.search", ["--bce_threshold", "0.1"], ["--bce-target-thresh", "0.1"]),
        ("nas.search", ["--model", "gaussian-process"], ["--model", "process"]),
        ("nas.search", ["--model=gaussian-process"], ["--model=process"]),
        ("nas.search", ["--name", "gaussian-process"], ["--name", "gaussian-process"]),
        (
            "nas.train",
            ["--accumulate", "2", "--ema=0.9"],
            ["--grad-accum-steps", "2", "--model-ema-decay=0.9"],
        ),
        ("nas.evaluate", ["--crop", "0.9"], ["--crop-pct", "0.9"]),
        ("analysis.compare", ["--forest-seed", "1"], ["--seed", "1"]),
    ],
)
def test_scripts_of_an_earlier_version_go_on_working(module: str, old: list[str], new: list[str]) -> None:
    renamed = importlib.import_module(f"{module}.__main__").RENAMED
    assert user_input.respelled(old, renamed) == new
    flag = new[0].partition("=")[0]
    assert flag in _help(module)
    assert old[0].partition("=")[0].replace("_", "-") in (flag, *renamed)


def test_nothing_behind_two_dashes_is_respelled() -> None:
    assert user_input.respelled(["--a", "--", "--a"], {"--a": "--b"}) == ["--b", "--", "--a"]
