"""The folder ``runs/<name>/analysis`` with tables and figures, written atomically."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from nas.util.errors import UserError
from nas.util.files import overwrite, replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from matplotlib.figure import Figure


@contextlib.contextmanager
def writable(path: Path) -> Iterator[Path]:
    """Creates a folder; errors of the disk inside the block become one line.

    Raises:
        UserError: If it cannot be created or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        yield path
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes a frame without its index."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)


def write_figure(figure: Figure, path: Path, name: str) -> str:
    """Writes a figure as PNG and SVG; returns the SVG's text."""
    from analysis.figures import style as figures

    with replacing(path / f"{name}.png") as temporary, figures.style():
        figure.savefig(temporary, dpi=160)
    text = figures.svg(figure)
    overwrite(path / f"{name}.svg", text)
    return text
