"""Flags are the command lines' spelling: elsewhere a text names a setting, and the command spells it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOMS = ("nas", "analysis", "search_spaces")
# The command lines, what they show on a terminal, and whole commands for people to type.
SPELLS = re.compile(r"(^|/)(__main__|view|plan_view|cli|user_input|commands)\.py$|^nas/view/")
# A trial's reason as journals have held it since the first one.
STORED = {"nas/run/journal.py": {"--trial-timeout"}}
_FLAG = re.compile(r"(?<!var\()(?<![\w-])-(-[a-z]|o\b)")
_WHOLE_COMMANDS = {"typed", "self._line"}
_HELP = {"flag_help.default", "flag_help.group"}


def library() -> list[str]:
    paths = sorted(
        path.as_posix() for room in ROOMS for path in Path(room).rglob("*.py") if ".venv" not in path.parts
    )
    return [path for path in paths if not SPELLS.search(path)]


def flags(source: str) -> Iterator[str]:
    """Texts with a flag in them: no help (docstrings of fields), argument vectors or whole commands."""
    tree = ast.parse(source)
    passed = {
        id(inner)
        for node in ast.walk(tree)
        for inner in ast.walk(node)
        if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or isinstance(node, ast.List)
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in {*_WHOLE_COMMANDS, *_HELP})
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and getattr(node.values[0], "value", "") == "--":
            yield ast.unparse(node)
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in passed:
            continue
        if _FLAG.search(node.value):
            yield node.value


@pytest.mark.parametrize("path", library())
def test_no_text_of_the_library_holds_a_flag(path: str) -> None:
    found = set(flags(Path(path).read_text()))
    assert found == STORED.get(path, set())


@pytest.mark.parametrize(
    "source",
    [
        'f(f"{x}: use --device cpu")',
        'y = "a (--budget)"',
        'x = "--name"',
        'f"-o {x}"',
        'f"--{name} 1"',
        '("--top", 3)',
    ],
)
def test_the_search_finds_them(source: str) -> None:
    assert list(flags(source))


@pytest.mark.parametrize(
    "source",
    [
        '"""Reads ``--prior``."""',
        '["uv", "--quiet"]',
        'typed("nas.search", "--resume", 1)',
        'x = "var(--ink)"',
        'flag_help.default("follows from --width")',
    ],
)
def test_help_and_whole_commands_may_have_them(source: str) -> None:
    assert not list(flags(source))
