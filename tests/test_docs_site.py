"""``make docs``: the site builds without a warning, and its reference holds all that the programs offer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import nas
from nas.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    rule = re.search(r"^docs: .*\n\t\$\(RUN\) (.*) docs site$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule is not None
    command = [sys.executable, *rule[1].split(), "--doctree-dir", folder / "trees", "docs", folder / "html"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "html"


@pytest.mark.acceptance
def test_every_flag_of_every_command_is_there(site: Path) -> None:
    for name, (module, _) in COMMANDS.items():
        asked = [["--help"]] if name != "spaces" else [["list", "--help"], ["show", "--help"]]
        for args in asked:
            command = [sys.executable, "-m", module, *args]
            said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
            flags = set(re.findall(r"^[│\s]*(?:-\w(?: \w+)?, )?(--[\w-]+)", said, flags=re.MULTILINE))
            page = (site / "reference" / "commands" / f"{name}.html").read_text()
            shown = set(re.findall(r'id="cmdoption-[^"]*?(--?[\w-]+)"', page))
            missing = {
                flag for flag in flags - {"--help"} if not any(there.endswith(flag[1:]) for there in shown)
            }
            assert not missing, f"{name}: {missing}"


@pytest.mark.acceptance
def test_every_public_name_is_there(site: Path) -> None:
    page = (site / "reference" / "api" / "nas.html").read_text()
    for name in getattr(nas, "__all__", ()):
        assert name.startswith("__") or f'id="nas.{name}"' in page, name


@pytest.mark.acceptance
def test_it_needs_no_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?://[^"]*)"', page.read_text())
        assert not loaded, f"{page.name}: {loaded}"


@pytest.mark.acceptance
def test_every_page_can_be_reached_from_the_first(site: Path) -> None:
    first = (site / "index.html").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        if name != "index.html" and "/" not in name.removeprefix("how-to/"):
            assert f'href="{name}"' in first, name


@pytest.mark.acceptance
def test_every_name_that_a_page_asks_for_is_there(site: Path) -> None:
    """A member that has gone is no warning to Sphinx."""
    found = 0
    for source in (ROOT / "docs" / "reference" / "python").glob("*.md"):
        shown = (site / "reference" / "python" / f"{source.stem}.html").read_text()
        for module, names in re.findall(r"automodule:: (\S+)\n   :members: (.+)", source.read_text()):
            for name in names.split(", "):
                assert f'id="{module}.{name}"' in shown, f"{source.name}: {module}.{name}"
                found += 1
    assert found > 10
