"""Errors that a user can fix; every command line prints them as one line."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_BAD_INPUT = 2

_LONGEST = 1_000  # characters: a message may quote a file, and the file may be hostile
_MARKED = re.compile(r"\0([\w.]+)(=?)\0")  # no argument and no path can hold a NUL


class UserError(Exception):
    """Something the user gave is wrong.

    The message is one line. It names the setting, key or file and says what would be right. Settings are
    marked in it (:func:`setting`): Python reads ``max_epochs=10``, a command line ``--max-epochs 10``.

    Attributes:
        given: The message before it was made safe to print, its settings marked.
    """

    def __init__(self, message: str) -> None:
        """Takes the message; what would end the line or speak to the terminal is made visible."""
        super().__init__(message)
        self.given = message

    def __str__(self) -> str:
        return self.spelled(str, "=")

    def spelled(self, name: Callable[[str], str], equals: str) -> str:
        """The message as one line.

        Args:
            name: How a setting is called.
            equals: What stands between a setting and its value.
        """
        shown = one_line(_MARKED.sub(lambda found: name(found[1]) + (found[2] and equals), self.given))
        return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


class SettingError(UserError):
    """A setting has a value that it cannot have.

    Attributes:
        field: The setting, such as ``max_epochs``; ``train.optimizer`` where groups share a name.
        value: What it was given, None if the rule alone says what is wrong.
        rule: What would be right, other settings in it marked.
        shown: How the message writes the value, None for as it is.
    """

    def __init__(self, field: str, value: object, rule: str, shown: object = None) -> None:
        """Takes what is wrong.

        Args:
            field: As the attribute.
            value: As the attribute.
            rule: As the attribute.
            shown: How the message writes the value, if not as it is.
        """
        super().__init__(f"{setting(field, value if shown is None else shown)}: {rule}")
        self.args = (field, value, rule, shown)  # from which pickle makes it anew
        self.field, self.value, self.rule, self.shown = field, value, rule, shown


def setting(field: str, value: object = None) -> str:
    """Names a setting, with its value if there is one, in a message that Python and command lines show."""
    return f"\0{field}\0" if value is None else f"\0{field}=\0{value}"


def renamed(text: str, name: Callable[[str], str]) -> str:
    """A message with its settings marked under other names."""
    return _MARKED.sub(lambda found: f"\0{name(found[1])}{found[2]}\0", text)


def one_line(text: str) -> str:
    """Makes control characters visible, such as line ends and the escapes that terminals obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def from_reader(error: UserError) -> UserError:
    """An error as it was raised; from a DataLoader's process it comes as the last line of a traceback."""
    *before, last = error.given.strip().splitlines() or [""]
    return SettingError("data", None, last.partition(": data: ")[2] or last) if before else error


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
        place: The setting and its value (:func:`setting`), or the file.
        error: The disk's refusal.
        otherwise: What would be right, if the disk has room.
        again: What to do once it has.
    """
    advice = f"free some space and {again}" if is_full(error) else otherwise
    return UserError(f"{place}: cannot be written ({error.strerror or first_line(error)}); {advice}")
