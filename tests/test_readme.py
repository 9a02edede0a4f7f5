"""Every command in the README is typed here, on small data."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = (
    "--dataset digits --image-size 8 --max-images 200 --width 16 --threads 1 "
    "--min-epochs 1 --max-epochs 4 --eta 2"
)
TRIALS = "--trials 4"


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in dict.fromkeys(lines) if line]


PYTHON = [command for command in commands() if command.startswith("python -m ")]
OTHERS = [command for command in commands() if not command.startswith("python -m ")]


def small(command: str, run: Path) -> list[str]:
    """The same command on embedded images and a short budget."""
    command = command.replace("runs/<name>", str(run))
    if "nas.search --budget" in command:
        command += f" {SMALL} {'' if '--plan' in command else TRIALS} --runs-dir {run.parent / 'new'}"
    if "nas.search --resume" in command and "--budget" not in command:
        command += " --trials 7"
    return [sys.executable, *command.split()[1:]]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("readme")
    command = [sys.executable, "-m", "nas.search", *SMALL.split(), "--trials", "6", "--budget", "1h"]
    subprocess.run([*command, "--runs-dir", str(runs), "--name", "mine", "--quiet"], check=True, timeout=200)
    return runs / "mine"


@pytest.mark.parametrize("command", PYTHON)
def test_a_command_of_the_readme(command: str, searched: Path, tmp_path: Path) -> None:
    run = shutil.copytree(searched, tmp_path / "runs" / "mine")
    process = subprocess.run(
        small(command, run), capture_output=True, text=True, timeout=240, cwd=ROOT, stdin=subprocess.DEVNULL
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert process.stdout


def test_the_other_commands_are_the_ones_that_ci_runs() -> None:
    assert OTHERS == ["make search", "make test", "source .venv/bin/activate"]
    ci = (ROOT / ".ci" / "run").read_text()
    assert all(command in ci for command in ("make search", "make test"))


def test_every_file_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text())
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
