"""Every command in the README and in the how-to guides is typed here, on small data."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typed_commands import ROOT, blocks, commands, run, run_alone, searched, small

README = ROOT / "README.md"
HOW_TO = sorted((ROOT / "docs" / "how-to").glob("*.md"))
PAGES = [README, ROOT / "docs" / "reference" / "search-space.md", *HOW_TO]
ELSEWHERE = {
    "make search": ".ci/run",
    "make test": ".ci/run",
    "source .venv/bin/activate": "README.md",  # what `make` did for the commands of this file
}
# What two pages tell is typed for the first of them.
TYPED = [
    (page, command)
    for number, page in enumerate(PAGES)
    for command in commands(page)
    if command not in ELSEWHERE and not any(command in commands(earlier) for earlier in PAGES[:number])
]
# The first of each program is an interpreter of its own.
ALONE = {command.split()[2]: command for _, command in reversed(TYPED)}.values()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands are typed: a finished run, a folder of pictures, and what the pages' snippets make."""
    folder = tmp_path_factory.mktemp("typed")
    searched(folder, "mine")
    _pictures(folder / "photos")
    guides = ROOT / "docs" / "how-to"
    (folder / "plain_space.py").write_text(blocks(guides / "own-space.md", "python")[0])
    (folder / "archive.py").write_text(blocks(guides / "own-images.md", "python")[0])
    subprocess.run([sys.executable, "archive.py"], check=True, cwd=folder)
    return folder


def _pictures(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(40):
            pixels = draw.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number:03}.png")


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("page", "command"), TYPED, ids=[f"{page.stem}: {command}" for page, command in TYPED]
)
def test_a_command(page: Path, command: str, folder: Path) -> None:
    resumed = "--resume runs/" in command
    if resumed:
        shutil.copytree(folder / "runs" / "mine", folder / "runs" / "resumed")
    line = small(command).replace("runs/<name>", "runs/resumed" if resumed else "runs/mine")
    (run_alone if command in ALONE else run)(line, folder)
    if resumed:
        shutil.rmtree(folder / "runs" / "resumed")


@pytest.mark.acceptance
def test_the_guides_space_can_be_registered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import search_spaces
    from search_spaces import registry

    monkeypatch.setattr(registry, "_TARGETS", dict(registry._TARGETS))
    monkeypatch.syspath_prepend(str(folder))
    *_, line = blocks(ROOT / "docs" / "how-to" / "own-space.md", "python")
    (folder / "registered.py").write_text(line)
    runpy.run_path(str(folder / "registered.py"), {"register": search_spaces.register})
    space = search_spaces.get("plain")
    for config in space.sample(8, 0):
        assert next(space.network(config, space.reduced(8), 10).parameters()).shape[0] == 8


def test_the_other_commands_are_run_elsewhere() -> None:
    assert set(ELSEWHERE) <= set(commands(README))
    for command, place in ELSEWHERE.items():
        assert command in (ROOT / place).read_text(), command


def test_every_file_the_pages_link_to_is_there() -> None:
    found = 0
    for page in [*PAGES, *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            place = page.parent / link
            made = {"commands", "api", "project"} & set(place.parts)  # by `make docs`, which looks itself
            assert made or place.exists(), f"{page.name}: {link}"
            found += 1
    assert found > 50


def test_the_readme_is_a_front_door() -> None:
    assert len(README.read_text().splitlines()) < 80


def test_the_table_of_choices_is_the_spaces() -> None:
    import search_spaces

    space = search_spaces.get("nexception")
    text = (ROOT / "docs" / "reference" / "search-space.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| (.*?) \| (.*?) \| (.*?) \|$", text, flags=re.MULTILINE)
    said = {"yes": True, "no": False}
    shown: dict[str, tuple[object, object]] = {}
    for names, _, xception, nexception in rows:
        named = re.findall(r"`(\w+)`", names)
        values = [[said.get(v, v) for v in cell.split(", ")] for cell in (xception, nexception)]
        shown |= dict(zip(named, zip(*values, strict=True), strict=True))
    points = space.points
    assert shown == {
        name: tuple(
            v if isinstance(v, bool) else str(v)
            for v in (points["xception"][name], points["nexception"][name])
        )
        for name in space.hyperparameters
    }
    assert f"{space.size:,} networks" in text
