"""Errors that a user can fix; every command line prints them as one line."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_BAD_INPUT = 2

_LONGEST = 1_000  # characters: a message may quote a file, and the file may be hostile


class UserError(Exception):
    """Something the user gave is wrong.

    The message is one line. It names the flag, key or file and says what would be right.

    Attributes:
        given: The message before it was made safe to print.
    """

    def __init__(self, message: str) -> None:
        """Takes the message; what would end the line or speak to the terminal is made visible."""
        self.given = message
        shown = one_line(message)
        super().__init__(shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}...")


def one_line(text: str) -> str:
    """Makes control characters visible, such as line ends and the escapes that terminals obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextlib.contextmanager
def under_flag(known: str, said: str) -> Iterator[None]:
    """Names the flag that a command has for what the code within knows under another one.

    Raises:
        UserError: What was raised within, about the flag that the user knows.
    """
    try:
        yield
    except UserError as error:
        raise UserError(error.given.replace(known, said, 1)) from None


def from_reader(error: UserError) -> UserError:
    """An error as it was raised; from a DataLoader's process it comes with a traceback in its message."""
    last = next(reversed(error.given.strip().splitlines()), "")
    return UserError(last.partition("UserError: ")[2] or last)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def is_full(error: OSError) -> bool:
    """Whether a disk, or the user's share of it, has no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_error(error: BaseException) -> OSError | None:
    """The disk's refusal that an error tells of, None if it is about something else."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, UserError):
        return None
    # Libraries written in Rust, such as safetensors, only quote it.
    found = re.search(r"\(os error (\d+)\)", str(error))
    return None if found is None else OSError(int(found[1]), os.strerror(int(found[1])))


def not_written(
    place: object, error: OSError, otherwise: str, again: str = "give the command again"
) -> UserError:
    """One line for what could not be written; only of a full disk it says that room is short.

    Args:
        place: The flag and its value, or the file.
        error: The disk's refusal.
        otherwise: What would be right, if the disk has room.
        again: What to do once it has.
    """
    advice = f"free some space and {again}" if is_full(error) else otherwise
    return UserError(f"{place}: cannot be written ({error.strerror or first_line(error)}); {advice}")
