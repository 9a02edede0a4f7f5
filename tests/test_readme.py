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


ELSEWHERE = {
    "make search": ".ci/run",
    "make test": ".ci/run",
    "make gpu": "tests/benchmarks/test_gpu_program.py",
    "source .venv/bin/activate": "README.md",  # what `make` did for the commands of this file
    "python -m analysis.dashboard runs/<name> --open": "tests/analysis/test_dashboard_processes.py",
}
HERE = [command for command in commands() if command not in ELSEWHERE]


def small(command: str, run: Path) -> list[str]:
    """The same command on embedded images and a short budget."""
    command = command.replace("runs/<name>", str(run)).replace("runs/<other>", str(run.parent / "other"))
    command = command.replace("models/", f"{run.parent}/models/")
    command = command.replace("--geometry t", "--geometry reduced").replace("convnext_tiny", "test_convnext")
    command = command.replace("folder:imagenet", "digits")
    if "nas.train" in command:
        command += " --epochs 1 --batch-size 20 --max-images 60 --workers 0"
    if "nas.evaluate" in command:
        command += f" -o {run.parent}/evaluation"
    if "nas.profile" in command:
        command += " --batch-size 2 --repeats 2"
    if "nas.search --budget" in command:
        command += f" {SMALL} {'' if '--plan' in command else TRIALS} --runs-dir {run.parent / 'new'}"
    if "nas.search --resume" in command and "--budget" not in command:
        command += " --trials 7"
    return [sys.executable, *command.split()[1:]]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("readme")
    command = [sys.executable, "-m", "nas.search", *SMALL.split(), "--trials", "20", "--budget", "1h"]
    for seed, name in enumerate(("mine", "other")):
        named = ["--runs-dir", str(runs), "--name", name, "--seed", str(seed), "--quiet"]
        subprocess.run([*command, *named], check=True, timeout=200)
    return runs / "mine"


@pytest.mark.acceptance
@pytest.mark.parametrize("command", HERE)
def test_a_command_of_the_readme(command: str, searched: Path) -> None:
    run = searched if "--resume" not in command else shutil.copytree(searched, searched.parent / "resumed")
    process = subprocess.run(
        small(command, run), capture_output=True, text=True, timeout=240, cwd=ROOT, stdin=subprocess.DEVNULL
    )
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout
    if "--resume" in command:
        shutil.rmtree(run)


def test_the_other_commands_are_run_elsewhere() -> None:
    assert set(ELSEWHERE) <= set(commands())
    for command, place in ELSEWHERE.items():
        wanted = "analysis.dashboard" if "dashboard" in command else command
        assert wanted in (ROOT / place).read_text(), command


def test_every_file_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text())
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
