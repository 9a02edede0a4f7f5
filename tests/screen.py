"""A terminal's contents: enough of an emulator to see what a drawing leaves behind when the size changes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PIECES = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|\x1b\][^\x07]*\x07|[\r\n]|[^\x1b\r\n]")


@dataclass
class _Row:
    text: str = ""
    wraps: bool = False  # it goes on in the next row


@dataclass
class Screen:
    """A terminal that wraps its lines anew when its width changes (tmux, GNOME, kitty, Windows Terminal).

    Attributes:
        columns, lines: Its size.
        reflows: Whether lines are wrapped anew; if not, as in xterm, they stay as they are.
    """

    columns: int
    lines: int
    reflows: bool = True
    _rows: list[_Row] = field(default_factory=lambda: [_Row()])  # with those pushed out at the top
    _row: int = 0
    _column: int = 0
    _new: tuple[int, int] = (0, 0)

    @property
    def visible(self) -> list[str]:
        """Its rows, without blanks at their ends."""
        return [row.text.rstrip() for row in self._rows[self._top :]]

    @property
    def _top(self) -> int:
        return max(len(self._rows) - self.lines, 0)

    def write(self, text: str) -> None:
        """Shows what a program wrote."""
        for piece in _PIECES.finditer(text):
            if piece[2]:
                self._control(piece[2], piece[1])
            elif piece[0] == "\r":
                self._column = 0
            elif piece[0] == "\n":
                self._next_row()
            elif not piece[0].startswith("\x1b"):
                self._put(piece[0])

    def resize(self, columns: int, lines: int) -> None:
        """Takes another size."""
        if self.reflows and columns != self.columns:
            self._reflow(columns)
        for _ in range(self.lines - lines):  # what is blank below the cursor makes room first
            if len(self._rows) > max(lines, self._row + 1) and not self._rows[-1].text.strip():
                self._rows.pop()
        self.columns, self.lines = columns, lines

    def _put(self, sign: str) -> None:
        if self._column == self.columns:
            self._rows[self._row].wraps = True
            self._next_row()
            self._column = 0
        row = self._rows[self._row]
        row.text = row.text.ljust(self._column)[: self._column] + sign + row.text[self._column + 1 :]
        self._column += 1

    def _next_row(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append(_Row())

    def _control(self, letter: str, number: str) -> None:
        row = self._rows[self._row]
        if letter == "A":
            self._row = max(self._row - int(number or 1), self._top)
        elif letter == "K":
            row.text = "" if number == "2" else row.text[: self._column]
            row.wraps = False
        elif letter == "J":
            row.text, row.wraps = row.text[: self._column], False
            for below in self._rows[self._row + 1 :]:
                below.text, below.wraps = "", False
        elif letter not in "mhl":
            raise NotImplementedError(f"CSI {number}{letter}")

    def _reflow(self, columns: int) -> None:
        """Wraps whole lines anew; the cursor stays at its character."""
        rows: list[_Row] = []
        whole, at = "", -1
        for number, row in enumerate(self._rows):
            if number == self._row:
                at = len(whole) + self._column
            whole += row.text.ljust(self.columns) if row.wraps else row.text
            if row.wraps:
                continue
            first = len(rows)
            pieces = [whole[n : n + columns] for n in range(0, max(len(whole), 1), columns)]
            rows += [_Row(piece, wraps=True) for piece in pieces]
            rows[-1].wraps = False
            if at >= 0:
                new = min(at // columns, len(pieces) - 1)
                self._new = first + new, at - new * columns
            whole, at = "", -1
        self._rows = rows
        self._row, self._column = self._new
