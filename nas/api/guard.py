"""Detects scripts that start a search without ``if __name__ == "__main__":`` before they do harm."""

from __future__ import annotations

import ast
import contextlib
import multiprocessing
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_ADVICE = 'put what it does under   if __name__ == "__main__":'


@contextlib.contextmanager
def spawning() -> Iterator[None]:
    """Allows the code inside the block to start processes, unless these would start them again.

    Trials run in spawned processes: Python imports the script in each of them, so its top-level code runs
    again. A notebook is not imported and needs no guard.

    Raises:
        UserError: If there is no guard; it names the script and the line.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UserError(f"the script is being imported by a process that it started; {_ADVICE}")
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    if main is None or script is None:
        yield
        return
    if not Path(script).exists():  # from standard input: there is nothing to import
        del main.__file__
        try:
            yield
        finally:
            main.__file__ = script
        return
    frame = _top_level(vars(main))
    if frame is not None and _same(frame.f_code.co_filename, script):
        _refuse_unguarded(script, frame.f_lineno)
    yield


def _refuse_unguarded(script: str, line: int) -> None:
    try:
        tree = ast.parse(Path(script).read_bytes())
    except (OSError, SyntaxError, ValueError):  # in an archive, or gone
        return
    if not _guarded(tree, line):
        raise UserError(
            f"{script}, line {line}: the processes that train networks import this script; {_ADVICE}"
        )


def _top_level(names: dict[str, object]) -> FrameType | None:
    """Returns the frame that runs the script itself, None if there is none."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not (frame.f_globals is names and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    return frame


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:  # typed in, not read from a file
        return False


def _guarded(tree: ast.Module, line: int) -> bool:
    return any(
        isinstance(node, ast.If)
        and node.lineno <= line <= (node.end_lineno or line)
        and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
        for node in ast.walk(tree)
    )
