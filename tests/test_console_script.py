"""``smacnas COMMAND``: every command under one name."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from nas import __version__
from nas.__main__ import COMMANDS, main, usage

ROOT = Path(__file__).parents[1]


def smacnas(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nas", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_run_as_a_module(name: str) -> None:
    module = COMMANDS[name][0]
    found = find_spec(module)
    assert found is not None
    if found.submodule_search_locations is not None:
        assert find_spec(f"{module}.__main__") is not None


def test_none_is_forgotten() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "how-to").glob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    typed = set(re.findall(r"python -m ((?:nas|analysis)\.\w+|search_spaces)", text))
    assert typed == {module for module, _ in COMMANDS.values()}


def test_help_lists_them_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from nas.__main__ import main; code = main(['--help']);"
        "print(code, {'tyro', 'numpy', 'rich', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *said, last = done.stdout.splitlines()
    assert last == "0 set()"
    assert "\n".join(said) == usage()
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)


def test_a_command_gets_its_flags_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    done = smacnas("status", str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stderr.startswith("python -m nas.status: ")
    assert done.stderr.count("\n") == 1
    shown = smacnas("spaces", "list")
    assert shown.returncode == 0
    assert "nexception" in shown.stdout


def test_a_search_runs_and_its_trial_process_starts(tmp_path: Path) -> None:
    """The trial process is spawned: it imports whatever the main module is."""
    data = ["--dataset", "digits", "--max-images", "100", "--val-fraction", "0.3"]
    network = ["--width", "16", "--batch-size", "64", "--min-epochs", "1", "--max-epochs", "1"]
    done = smacnas("search", *data, *network, "--trials", "1", "--name", "run", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "runs" / "run" / "incumbent.json").exists()


def test_what_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serach"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("smacnas: serach: did you mean search? must be one of search, status,")
    assert said.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"smacnas {__version__}\n"
