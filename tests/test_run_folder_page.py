"""The list of a run's files, runs/README.md, is whole."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "runs" / "README.md"


def test_every_file_of_a_finished_run_is_listed(finished_run: Path) -> None:
    listed = {
        name.rstrip("/") for name in re.findall(r"`([\w./]+)`", PAGE.read_text().partition("| file")[2])
    }
    there = {path.name for path in finished_run.iterdir() if not path.name.startswith(".")}
    assert "trials.jsonl" in there
    assert there <= listed
    assert {
        "confirm.jsonl",
        "analysis",
        "deepcave",
        "confirmed.json",
        "salvaged.jsonl",
        "search.log",
    } <= listed
