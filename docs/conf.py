"""Sphinx: ``make docs`` builds site/ from this folder, without a network."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE / "_ext")]

import api_page  # noqa: E402
import command_pages  # noqa: E402
import root_pages  # noqa: E402

import nas  # noqa: E402
from nas.__main__ import COMMANDS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx

project = "smacnas"
author = "The smacnas contributors"
version = release = nas.__version__
copyright = "The smacnas contributors, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_ext"]
highlight_language = "none"
smartquotes = False  # two dashes begin a flag
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "__init__"}
napoleon_use_ivar = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"smacnas {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False


def _write(folder: Path, pages: Iterable[tuple[str, str]]) -> None:
    """Writes pages where they differ, so that what has not changed is not built again."""
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(pages)
    for old in folder.iterdir():
        if old.name not in made:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for name, text in made.items():
        place = folder / name
        if not place.is_file() or place.read_text() != text:
            place.write_text(text)


def make_pages(app: Sphinx) -> None:
    """Makes the pages that come from elsewhere: the programs, their docstrings, the repository's root."""
    source = Path(app.srcdir)
    _write(source / "reference" / "commands", command_pages.pages(COMMANDS))
    _write(source / "reference" / "api", [("nas.md", api_page.page(nas))])
    _write(source / "project", root_pages.pages(ROOT, source / "project"))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", make_pages)


# ``nas.Run`` is not ``analysis.frames.Run``: a signature that says Run may mean either, and links to one.
suppress_warnings = ["ref.python"]
