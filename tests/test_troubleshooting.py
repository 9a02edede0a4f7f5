"""The page on troubleshooting quotes what the program really says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text()
ROWS = re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)
QUOTED = [quoted for row in ROWS for quoted in re.findall(r"`([^`]+)`", row)]
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "nas").rglob("*.py")))
# Where one part of a message is put into another: what differs from time to time, a reason, a holder.
_JOINTS = re.compile(r"\.\.\.|\bN\b|\bcifar100\b|\bSIGKILL\b|trials\.jsonl|: |(?<=in use by )")


def test_something_is_quoted() -> None:
    assert len(QUOTED) >= 5


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_message_is_one_the_program_prints(quoted: str) -> None:
    parts = [part.strip(" :;") for part in _JOINTS.split(quoted)]
    for part in filter(None, parts):
        assert part in SOURCE, part
