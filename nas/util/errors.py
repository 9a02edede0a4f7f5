"""Errors that a user can fix; every command line prints them as one line."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_BAD_INPUT = 2

_LONGEST = 1_000  # characters; a message may quote a hostile file
_MARKED = re.compile(r"\0([\w.]+)(=?)\0")  # no argument and no path can hold a NUL


class UserError(Exception):
    """Invalid input of the user.

    The message is one line. It names the setting, key or file and says what would be right. Settings are
    marked in it (:func:`setting`): Python reads ``max_epochs=10``, a command line ``--max-epochs 10``.

    Attributes:
        given: The message before it was made safe to print, with marked settings.
    """

    def __init__(self, message: str) -> None:
        """Takes the message; control characters in it are made visible."""
        super().__init__(message)
        self.given = message

    def __str__(self) -> str:
        return self.spelled(str, "=")

    def spelled(self, name: Callable[[str], str], equals: str) -> str:
        """Returns the message as one line.

        Args:
            name: Returns the name to show for a setting.
            equals: Text between a setting and its value.
        """
        shown = one_line(_MARKED.sub(lambda found: name(found[1]) + (found[2] and equals), self.given))
        return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


class SettingError(UserError):
    """A setting has a value that it cannot have.

    Attributes:
        field: The setting, such as ``max_epochs``; ``train.optimizer`` where groups share a name.
        value: Its value, None if the rule alone explains the error.
        rule: What would be valid, with other settings marked.
        shown: How the message shows the value, None for unchanged.
    """

    def __init__(self, field: str, value: object, rule: str, shown: object = None) -> None:
        """Takes what becomes its attributes."""
        super().__init__(f"{setting(field, value if shown is None else shown)}: {rule}")
        self.args = (field, value, rule, shown)  # from which pickle rebuilds it
        self.field, self.value, self.rule, self.shown = field, value, rule, shown


def setting(field: str, value: object = None) -> str:
    """Marks a setting, optionally with its value, in a message shown by Python and command lines."""
    return f"\0{field}\0" if value is None else f"\0{field}=\0{value}"


def renamed(text: str, name: Callable[[str], str]) -> str:
    """Renames the marked settings of a message."""
    return _MARKED.sub(lambda found: f"\0{name(found[1])}{found[2]}\0", text)


def one_line(text: str) -> str:
    """Makes control characters visible, such as line ends and terminal escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def from_reader(error: UserError) -> UserError:
    """Recovers an error from a DataLoader's process, where it is the last line of a traceback."""
    *before, last = error.given.strip().splitlines() or [""]
    return SettingError("data", None, last.partition(": data: ")[2] or last) if before else error


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its type if the message is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def is_full(error: OSError) -> bool:
    """Whether a disk or the user's quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_error(error: BaseException) -> OSError | None:
    """Returns the system's error behind a failed write, None if the error has another cause."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, UserError):
        return None
    # Libraries in Rust, such as safetensors, only quote it: in words, or as older releases of it do.
    found = re.search(r"(?:\(os error |\bOs \{ code: )(\d+)", str(error))
    return None if found is None else OSError(int(found[1]), os.strerror(int(found[1])))


def not_written(
    place: object, error: OSError, otherwise: str, again: str = "give the command again"
) -> UserError:
    """Returns the error for something that could not be written; it asks for space only if the disk is full.

    Args:
        place: The setting and its value (:func:`setting`), or the file.
        error: The system's error.
        otherwise: What would be valid, if the disk is not full.
        again: What to do once there is space.
    """
    advice = f"free some space and {again}" if is_full(error) else otherwise
    return UserError(f"{place}: cannot be written ({error.strerror or first_line(error)}); {advice}")
