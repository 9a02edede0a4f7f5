"""The tables of kinds in docs/reliability.md name tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "reliability.md").read_text()
TABLES = {
    "What users' machines do to it": 20,
    "What users' images do to it": 15,
    "What users' names and numbers do to it": 12,
    "What it tells users to type, and what it says": 12,
}


def defined(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("head", TABLES)
def test_every_kind_has_a_test_that_exists(head: str) -> None:
    table = PAGE.partition(f"## {head}\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= TABLES[head]
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", row.rsplit(" | ", 1)[1])
        assert named, row
        for file, test in named:
            assert (HERE / file).is_file(), file
            assert not test or test in defined(HERE / file), f"{file}::{test}"
