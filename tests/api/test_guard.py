"""A script without a guard is told so, line and all, before any process starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.programs import python

CALL = "nas.run_search('digits', device='nowhere')"  # refused later, for another reason


def said(command: list[str], folder: Path, typed: str | None = None) -> str:
    process = python(*command, folder=folder, typed=typed, environment={"PATH": ""})
    return process.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "script",
    [
        f"import nas\n\n{CALL}\n",
        f"import nas\ndef main():\n    {CALL}\nmain()\n",
        f"import nas\nif True:\n    {CALL}\n",
        f"import nas\nif __name__ == '__main__':\n    pass\n{CALL}\n",
        "import helper\n",
    ],
)
def test_a_missing_guard_is_named(script: str, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(f"import nas\n{CALL}\n")
    (tmp_path / "mine.py").write_text(script)
    line = said(["mine.py"], tmp_path)
    number = len(script.splitlines())
    assert line.startswith(
        f"nas.util.errors.UserError: {tmp_path / 'mine.py'}, line {number}: the processes that train"
    )
    assert line.endswith('if __name__ == "__main__":')
    assert said(["-m", "mine"], tmp_path) == line


@pytest.mark.parametrize(
    "script",
    [
        f"import nas\nif __name__ == '__main__':\n    {CALL}\n",
        f"import nas\ndef main():\n    {CALL}\nif '__main__' == __name__:\n    main()\n",
        f"import nas\ntry:\n    if __name__ == '__main__':\n        {CALL}\nfinally:\n    pass\n",
    ],
)
def test_a_guard_is_seen(script: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(script)
    assert said(["mine.py"], tmp_path).startswith("nas.util.errors.SettingError: device=nowhere")


def test_what_is_typed_needs_none(tmp_path: Path) -> None:
    code = f"import nas\n{CALL}\n"
    for command, typed in ((["-c", code], None), (["-"], code)):
        assert said(command, tmp_path, typed).startswith("nas.util.errors.SettingError: device=nowhere")


def test_a_process_that_imports_the_script_does_not_search(tmp_path: Path) -> None:
    """Where the script's own lines do not tell: it is being imported by what it started."""
    code = (
        "import multiprocessing, nas\nfrom nas.api.guard import spawning\n"
        "multiprocessing.current_process()._inheriting = True\n"
        "with spawning(): raise SystemError\n"
    )
    assert "is being imported by a process that it started" in said(["-c", code], tmp_path)
