"""The wheel is built, installed where nothing else of the repository is, and used from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from nas import __version__

ROOT = Path(__file__).parents[1]
SEARCH = (
    "search --dataset digits --image-size 8 --max-images 200 --width 16 --threads 1 "
    "--min-epochs 1 --max-epochs 2 --eta 2 --trials 4 --name mine --quiet"
)


def uv() -> str:
    """The uv that the Makefile uses."""
    found = subprocess.run([ROOT / "scripts" / "find-uv"], capture_output=True, text=True, check=True)
    assert found.stdout.strip(), "no uv: `make setup` brings it"
    return found.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [uv(), "build", "--wheel", "--out-dir", folder, ROOT]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel, and borrows all else from this one."""
    place = tmp_path_factory.mktemp("installed") / "environment"
    subprocess.run([uv(), "venv", "--quiet", "--python", sys.executable, place], check=True)
    command = [uv(), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", place, wheel]
    subprocess.run(command, check=True)
    (packages,) = (place / "lib").glob("python3*/site-packages")
    # Comes after the wheel's own packages, and a .pth file named in there is not followed.
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    return place / "bin"


def used(program: Path, *args: object, folder: Path) -> str:
    """What a program says when it is run in a folder; it must end well."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [program, *map(str, args)], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked(*folders: str) -> set[str]:
    """Files of the packages as they lie in the repository, without what programs left there."""
    left = {"__pycache__", ".venv", ".mypy_cache", ".ruff_cache"}
    files = (file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file())
    return {file.relative_to(ROOT).as_posix() for file in files if not left & set(file.parts)}


@pytest.mark.acceptance
def test_it_holds_the_packages_whole_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"smacnas-{__version__}.dist-info"
    packages = {name for name in names if not name.startswith(f"{about}/")}
    assert packages == tracked("nas", "search_spaces", "analysis")
    assert {f"{package}/py.typed" for package in ("nas", "search_spaces", "analysis")} <= packages
    assert f"{about}/licenses/LICENSE" in names
    text = zipfile.ZipFile(wheel).read(f"{about}/METADATA").decode()
    assert f"Version: {__version__}\n" in text
    assert "License-Expression: Apache-2.0\n" in text
    assert wheel.stat().st_size < 2_000_000


@pytest.mark.acceptance
def test_it_is_used_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    code = (
        "import nas, search_spaces, analysis; print(nas.__file__, search_spaces.__file__, analysis.__file__)"
    )
    for file in used(installed / "python", "-c", code, folder=tmp_path).split():
        assert Path(file).is_relative_to(installed.parent)
    program = installed / "smacnas"
    assert "search for a better network" in used(program, "--help", folder=tmp_path)
    assert used(program, "--version", folder=tmp_path) == f"smacnas {__version__}\n"
    assert "nexception" in used(program, "spaces", "list", folder=tmp_path)
    used(program, *SEARCH.split(), folder=tmp_path)
    assert (tmp_path / "runs" / "mine" / "incumbent.json").exists()
    assert "stopped" in used(program, "status", "runs/mine", folder=tmp_path)
    quick = ["--engine", "local", "--trees", "4", "--bootstrap", "0"]
    used(program, "report", "runs/mine", *quick, folder=tmp_path)
    assert (tmp_path / "runs" / "mine" / "analysis" / "report.html").stat().st_size > 100_000
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
