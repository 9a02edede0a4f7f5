"""Commands of README and docs, made small enough for a test."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import warm_programs

ROOT = Path(__file__).parents[1]
IMAGES = "--dataset digits --image-size 8 --max-images 200"
SMALL = "--width 16 --threads 1 --min-epochs 1 --max-epochs 4 --eta 2"


def blocks(page: Path, language: str) -> list[str]:
    """Contents of a page's code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Lines of a page's shell blocks, each once, without their comments."""
    text = "".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [" ".join(line.split("  #")[0].split()) for line in text.splitlines()]
    return [line for line in dict.fromkeys(lines) if line]


def small(command: str) -> str:
    """Returns a command with few images, narrow networks and little to train; its own settings are kept."""
    begins = "nas.search" in command and "--resume runs/" not in command
    if begins:
        few = " --max-images 200" if "--dataset digits" in command else ""
        command += f" {SMALL}" + (few if "--dataset" in command else f" {IMAGES}")
        command += "" if "--plan" in command else " --trials 4"
        command += " --optimizer random" if "--then" in command else ""  # so that there is one to confirm
    elif "nas.search" in command:
        command += " --trials 7"
    if "nas.confirm" in command:
        command = re.sub(r"--top \d+ --seeds \d+", "--top 1 --seeds 2", command)
    if "nas.train" in command:
        command += " --epochs 1 --max-images 200"
    if "nas.profile" in command:
        command += " --repeats 2 --warm-up 0 --batch-size 2"
    return few_forests(re.sub(r"(--geometry |export:)t\b", r"\1reduced", command))


def few_forests(command: str) -> str:
    """Returns a command with few and small forests, if it fits any."""
    return f"{command} --trees 8 --bootstrap 2" if fits_forests(command) else command


def without_deepcave(command: str) -> str:
    """Returns a command without the program of DeepCAVE's that it would start, as it may."""
    return f"{command} --engine local" if fits_forests(command) else command


def fits_forests(command: str) -> bool:
    """Whether a command computes importances."""
    return "analysis.report" in command or "analysis.importance" in command


def run(command: str, folder: Path) -> None:
    """Types a command in a folder as ``run_alone``, without the seconds of its processes' imports."""
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"]
    assert program(shlex.join(words[2:]), folder)


def run_alone(command: str, folder: Path) -> None:
    """Types a command in a folder, an interpreter of its own; it must end well and say something.

    So that it imports all that it needs: the tests of README and of the tutorial type each module so once.
    """
    process = subprocess.run(
        [sys.executable, *command.split()[1:]],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert process.returncode == 0, f"{command}: {process.stderr}"
    assert "Traceback" not in process.stderr
    assert process.stdout


def searched(folder: Path, name: str, seed: int = 0) -> Path:
    """A finished search of 20 trials in ``folder/runs``."""
    flags = f"{IMAGES} {SMALL} --trials 20 --budget 1h --name {name} --seed {seed} --quiet"
    program(f"nas.search {flags}", folder)
    return folder / "runs" / name


# A search of a user's space, of seconds.
OF_A_SPACE = (
    "--dataset digits --image-size 8 --max-images 200 --threads 1 --device cpu --min-epochs 1 --max-epochs 2 "
    "--eta 2 --budget 1h --initial-configs 2 --trials 4 --optimizer random --name mine"
)


def program(line: str, cwd: Path, code: int = 0, path: Path | None = None) -> str:
    """Returns a command's output, from the stream that suits its exit code; ``path`` is importable."""
    paths = os.pathsep.join(map(str, [ROOT, *([] if path is None else [path])]))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    words = shlex.split(line)
    if words[0].startswith("analysis."):  # needs no torch, and computes with threads that a fork may lack
        command = [sys.executable, "-m", *words]
        nothing = subprocess.DEVNULL
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, stdin=nothing
        )
    else:
        done = warm_programs.run(words, cwd, environment, timeout=600)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def offered(said: str, module: str) -> str:
    """Returns the command for a module among those that were printed."""
    (found,) = re.findall(rf"^ *\S*python\S* -m ({re.escape(module)} .*)$", said, flags=re.MULTILINE)
    return str(found)


def read(path: Path) -> Any:
    """Returns the content of a JSON file."""
    return json.loads(path.read_text())
