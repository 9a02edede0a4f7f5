"""What the page on more than accuracy tells to type works, on fewer images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.typed_commands import ROOT, commands, run, small, without_deepcave

PAGE = ROOT / "docs" / "objectives.md"


def test_it_names_every_step() -> None:
    typed = " ".join(commands(PAGE))
    for step in ("--objectives error macs", "--max-macs", "nas.status", "nas.confirm", "--pick knee"):
        assert step in typed


@pytest.mark.acceptance
def test_its_commands_work(tmp_path: Path) -> None:
    for command in commands(PAGE):
        command = without_deepcave(small(command)).replace("--seeds 3", "--top 1 --seeds 1")
        enough = 12 if "--name front" in command else 4  # for a front
        run(command.replace("--trials 4", f"--trials {enough}"), tmp_path)
    assert (tmp_path / "models" / "knee" / "config.json").is_file()
    assert (tmp_path / "runs" / "front" / "front.json").is_file()
