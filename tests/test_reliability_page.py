"""The table of kinds in docs/reliability.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_kind_has_a_test_that_exists() -> None:
    page = (HERE.parent / "docs" / "reliability.md").read_text()
    table = page.partition("## What users' machines do to it")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 20
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)`", row)
        assert named, row
        for name in named:
            assert (HERE / name).is_file(), name
