"""Pages of the site that lie at the root of the repository, where forges look for them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "runs/README.md": "run-folder.md",
}

_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)")


def pages(root: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Gives file name and Markdown of each, with links that lead to the same places from ``folder``."""
    for source, name in PAGES.items():
        here = (root / source).parent
        text = (root / source).read_text()
        yield name, _LINK.sub(lambda link, here=here: _seen_from(root, folder, here / link[1]), text)


def _seen_from(root: Path, folder: Path, target: Path) -> str:
    inside = os.path.relpath(target, root)
    place = folder / PAGES[inside] if inside in PAGES else root / inside
    return Path(os.path.relpath(place, folder)).as_posix()
