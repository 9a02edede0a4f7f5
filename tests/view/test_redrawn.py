"""A drawing leaves nothing of itself behind, whatever becomes of the terminal's size."""

from __future__ import annotations

import fcntl
import io
import math
import os
import signal
import struct
import termios
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.panel import Panel

from nas.view.redrawn import Redrawn
from tests.screen import Screen
from tests.terminals import Terminal, on_terminal


class Sized(Console):
    """A console as large as a screen, that writes to it."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        super().__init__(file=Writer(screen), force_terminal=True, color_system=None, _environ={})

    @property
    def size(self) -> Any:
        from rich.console import ConsoleDimensions

        return ConsoleDimensions(self.screen.columns, self.screen.lines)

    @size.setter
    def size(self, new: Any) -> None:
        raise AttributeError


class Writer(io.StringIO):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.screen = screen

    def write(self, text: str) -> int:
        self.screen.write(text.replace("\n", "\r\n"))
        return len(text)


def frames(screen: Screen) -> int:
    return sum(row.startswith("╭") for row in screen.visible)


LOWER_AND_HIGHER = [
    [(60, 24)],
    [(20, 27), (20, 30)],
    [(100, 8), (100, 24)],
    [(100, 10), (100, 17), (100, 40)],
    [(40, 12), (120, 40), (30, 6), (130, 40)],
]


@given(widths=st.lists(st.integers(20, 130), max_size=6), height=st.integers(1, 14), reflows=st.booleans())
def test_changing_the_width_leaves_nothing(widths: list[int], height: int, reflows: bool) -> None:
    draw_at([(width, 110) for width in widths], height, reflows)


@pytest.mark.parametrize("sizes", LOWER_AND_HIGHER)
@pytest.mark.parametrize("height", [4, 10, 12])
@pytest.mark.parametrize("reflows", [True, False])
def test_changing_both_leaves_nothing(sizes: list[tuple[int, int]], height: int, reflows: bool) -> None:
    draw_at(sizes, height, reflows)


def draw_at(sizes: list[tuple[int, int]], height: int, reflows: bool) -> None:
    screen = Screen(100, max([24, *(lines for _, lines in sizes)]), reflows)
    screen.write("$ a command\r\n")
    live = Redrawn(lambda: Panel("\n".join(["word " * 15] * height), title="title"), console=Sized(screen))
    with live:
        live.refresh()
        for columns, lines in sizes:
            screen.resize(columns, lines)
            live.refresh()
            assert frames(screen) == 1, "\n".join(screen.visible)
            live.refresh()
            assert frames(screen) == 1, "\n".join(screen.visible)


def test_what_was_printed_before_and_meanwhile_stays() -> None:
    screen = Screen(100, 40)
    screen.write("$ a command\r\n")
    live = Redrawn(lambda: Panel("words", title="title"), console=Sized(screen))
    with live:
        live.refresh()
        for number, size in enumerate([(60, 40), (30, 40), (100, 40), (100, 12), (130, 40)]):
            screen.resize(*size)
            live.console.print(f"note {number}")
            live.refresh()
    assert [row for row in screen.visible if row][:6] == ["$ a command", *(f"note {n}" for n in range(5))]
    assert frames(screen) == 1


DRAWING = """
import signal, sys, time
from rich.panel import Panel
from rich.progress import BarColumn, TextColumn
from nas.util import cli, output
from nas.view import redrawn
over = []
signal.signal(signal.SIGUSR1, lambda *_: over.append(True))
def wait():
    while not over: time.sleep(0.05)
def panel():
    with redrawn.Redrawn(lambda: Panel("words " * 40, title="title"), auto_refresh=True): wait()
    return 0
def bar():
    with redrawn.Bar(TextColumn("(ba" + "r" * 30 + ")"), BarColumn()) as bar:
        bar.add_task("", total=2); wait()
    return 0
def sign():
    output.doing("[" + "s" * 70 + "]"); wait(); print("end"); return 0
cli.run({kind}, "prog")
"""


def resized(terminal: Terminal, screen: Screen, size: tuple[int, int]) -> None:
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    screen.resize(*size)


def drawn(terminal: Terminal) -> str:
    """What comes until a while after the first of it."""
    before, patience, end = len(terminal.text), time.monotonic() + 30.0, math.inf
    while time.monotonic() < min(end, patience):
        terminal.read(0.1)
        if len(terminal.text) > before and end == math.inf:
            end = time.monotonic() + 0.6
    return terminal.text[before:]


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Screen:
    """A drawing on a real terminal, after its size has changed down and up while it was drawn."""
    screen = Screen(100, 24)
    with on_terminal(["-c", DRAWING.format(kind=request.param)]) as terminal:
        resized(terminal, screen, (100, 24))
        for size in [(50, 24), (100, 10), (41, 24), (120, 30)]:
            screen.write(drawn(terminal))
            resized(terminal, screen, size)
        screen.write(drawn(terminal))
        before = len(terminal.text)
        os.kill(terminal.pid, signal.SIGUSR1)
        assert terminal.wait() == 0
        screen.write(terminal.text[before:])
    return screen


@pytest.mark.parametrize("shown", ["panel"], indirect=True)
def test_a_panel_on_a_terminal_whose_size_changes(shown: Screen) -> None:
    assert frames(shown) == 1
    assert sum("╰" in row for row in shown.visible) == 1


@pytest.mark.parametrize("shown", ["bar"], indirect=True)
def test_a_bar_on_a_terminal_whose_size_changes(shown: Screen) -> None:
    assert sum("rrr" in row for row in shown.visible) == 1, "\n".join(shown.visible)


@pytest.mark.parametrize("shown", ["sign"], indirect=True)
def test_a_sign_on_a_terminal_whose_size_changes(shown: Screen) -> None:
    assert [row for row in shown.visible if row] == ["end"]


def test_a_terminal_that_cannot_redraw_gets_lines() -> None:
    script = "import sys; from nas.search.view import choose; print(choose(quiet=False).__name__)"
    for term, view in (("xterm", "_live"), ("dumb", "_lines")):
        with on_terminal(["-c", script], env={"TERM": term}) as terminal:
            assert terminal.wait() == 0
        assert terminal.text.split() == [view]
