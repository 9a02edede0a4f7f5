"""The journal: one event per line, append-only, checksummed; the only source of truth about a run.

A line is a JSON object whose last key, ``crc``, is the CRC-32 of the line without it. So any JSON
reader understands the file, and damage is found without parsing twice.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from nas.run import events
from nas.run.events import Event, Salvaged
from nas.util import memory
from nas.util.commands import typed
from nas.util.errors import UserError, not_written, setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

VERSION = 1
OVERTIME = "--trial-timeout"  # within the reason of a trial that took too long, since the first journal

_TAIL = len(b',"crc":"00000000"}')


@dataclass(frozen=True)
class Contents:
    """The content of a journal.

    Attributes:
        events: Every intact event, in order, without its checksum.
        size: Size up to the end of the last intact line, bytes.
        dropped: Size of a half-written last line, bytes; 0 if the journal ends cleanly.
    """

    events: list[Event]
    size: int
    dropped: int


def encode(event: Event) -> bytes:
    """Encodes an event as one checksummed line."""
    return sealed(event.to_json())


def sealed(values: Mapping[str, Any]) -> bytes:
    """Encodes values as one checksummed line of this version.

    Raises:
        TypeError: If they hold anything that JSON cannot represent.
    """
    body = orjson.dumps({"v": VERSION, **values})
    return b'%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def decode(line: bytes) -> Event:
    """Decodes one line without its newline.

    Raises:
        ValueError: If the line is damaged, of another version, or not an event.
    """
    return events.parse(opened(line))


def opened(line: bytes) -> dict[str, Any]:
    """Returns the values of a checksummed line of this version.

    Raises:
        ValueError: If the line is damaged or of another version.
    """
    body = line[:-_TAIL] + b"}"
    if line[-_TAIL:] != b',"crc":"%08x"}' % zlib.crc32(body):
        raise ValueError("its checksum does not match")
    values: dict[str, Any] = orjson.loads(body)
    version = values.pop("v", None)
    if version != VERSION:
        raise ValueError(f"it is of format version {version!r}, this program reads {VERSION}")
    return values


def read(path: Path, offset: int = 0, first_line: int = 1, most: int = -1) -> Contents:
    """Reads a journal from a byte offset (the start of a line) to its end.

    A last line without a newline is left by a kill or a full disk: it is left out and counted. Any other
    unreadable line is refused.

    Args:
        path: The journal.
        offset: Offset to begin at, bytes.
        first_line: Number of the line at the offset, for messages.
        most: Most bytes to read, by default all; more if the first line is longer.

    Raises:
        UserError: If a line is damaged; the message names it.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(most)
        if b"\n" not in data:
            data += file.read()
    with memory.growing():
        found = list(_lines(path, data, first_line, events.parse))
    whole = data.rfind(b"\n") + 1
    return Contents(found, offset + whole, len(data) - whole)


def read_salvaged(path: Path) -> list[Salvaged]:
    """Reads the results salvaged from a journal that had to be cut.

    Raises:
        UserError: If a line is damaged.
        ValueError: If it is not what ``nas.repair`` writes.
    """
    return [Salvaged.parse(values) for values in _lines(path, path.read_bytes(), 1, lambda values: values)]


def _lines(path: Path, data: bytes, first_line: int, make: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    for number, line in enumerate(BytesIO(data), start=first_line):
        if not line.endswith(b"\n"):
            return
        try:
            yield make(opened(line[:-1]))
        except ValueError as error:
            raise UserError(
                f"{path}: line {number} is damaged ({error}); restore the file from a copy, or keep all "
                f"that is intact with: {typed('nas.repair', path.parent)}"
            ) from None


class Journal:
    """The only writer of a journal.

    Opening it for writing cuts off a half-written last line. A failed write, for example on a full disk,
    leaves the file as it was before.
    """

    def __init__(self, path: Path, size: int, again: str = setting("resume")) -> None:
        """Opens the journal for appending.

        Args:
            path: The file; created if missing.
            size: Size of the intact lines, bytes, from :func:`read`.
            again: What to do once the disk can be written; by default that of a search.
        """
        self._again = again
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._size = size
        self._torn = False
        os.ftruncate(self._fd, size)
        os.lseek(self._fd, size, os.SEEK_SET)

    def append(self, event: Event, *, durable: bool = True) -> None:
        """Writes one event.

        Args:
            event: The event.
            durable: Whether to wait until it is on the disk. If not, the line survives a kill of this process
                but not a power cut, which is enough for events that can be measured again.

        Raises:
            UserError: If it cannot be written.
        """
        if self._torn:
            raise UserError(f"{self._path}: cannot be written; make the disk writable, then {self._again}")
        line = encode(event)
        try:
            written = 0
            while written < len(line):
                written += os.write(self._fd, line[written:])
            if durable:
                os.fsync(self._fd)
        except OSError as error:
            self._torn = True  # until the half line is gone, nothing may follow it
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
                os.lseek(self._fd, self._size, os.SEEK_SET)
                self._torn = False
            advice = f"make the disk writable, then {self._again}"
            raise not_written(self._path, error, advice, self._again) from error
        self._size += len(line)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
