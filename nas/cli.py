"""What every command line shares: typed flags, and errors as one line with exit code 2."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import TYPE_CHECKING, TypeVar

import tyro

from nas import given
from nas.errors import EXIT_BAD_INPUT, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_CONFIG = (tyro.conf.DisallowNone, tyro.conf.OmitArgPrefixes)

_FRAME = re.compile(r"[╭╮╰╯│─]+")


def parse(
    settings: type[T],
    *,
    prog: str,
    description: str,
    default: T | None = None,
    args: Sequence[str] | None = None,
    pairs: bool = False,
) -> T:
    """Reads the command line into a dataclass.

    Args:
        settings: The dataclass; its fields are the flags, their docstrings the help.
        prog: Name to show, for example ``python -m nas.search``.
        description: First lines of the help.
        default: Values to start from instead of the class's own.
        args: The arguments; the process's own if None.
        pairs: Give every switch a ``--no-`` form, for defaults that come from elsewhere.

    Raises:
        UserError: If a flag is unknown, a value does not fit or is nothing that files can hold.
    """
    said = io.StringIO()
    config = _CONFIG if pairs else (*_CONFIG, tyro.conf.FlagCreatePairsOff)
    given.refuse_empty(sys.argv[1:] if args is None else args)
    try:
        with contextlib.redirect_stderr(said):
            start = tyro.MISSING_NONPROP if default is None else default
            found = tyro.cli(
                settings, prog=prog, description=description, args=args, default=start, config=config
            )
        return given.checked(found)
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise UserError(_flatten(said.getvalue())) from None


def _flatten(box: str) -> str:
    """Turns tyro's framed message into one line: what is wrong, and the flag that may be meant."""
    lines = [_FRAME.sub(" ", line).strip() for line in box.splitlines()[1:]]
    sections = " ".join(line or "\n" for line in lines).split("\n")
    text = sections[0].strip()
    meant = re.search(r"Perhaps you meant:\s+(--[\w.-]+)", " ".join(lines))
    return text + (f"; perhaps you meant {meant[1]}" if meant else "; --help lists the flags")


def run(main: Callable[[], int], prog: str) -> None:
    """Runs a command and ends the process with its exit code; user errors become one line.

    Args:
        main: The command.
        prog: Name to put before an error.
    """
    try:
        code = main()
    except UserError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        code = EXIT_BAD_INPUT
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    sys.exit(code)
