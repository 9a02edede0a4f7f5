"""What is seen of a training: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from nas.util.quantities import format_duration, format_size
from nas.util.spinner import can_redraw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_FILES_EVERY = 5.0  # seconds


class FileProgress:
    """Says how far the look at a set's files has come, and what it found; every few seconds at most."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._next = time.monotonic() + _FILES_EVERY

    def __call__(self, done: int, files: int) -> None:
        """How many of the files have been checked."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _FILES_EVERY
            self.note(
                f"checked {done:,} of {files:,} files; damaged ones are reported before training starts"
            )

    def note(self, text: str) -> None:
        """Prints a line."""
        if not self._quiet:
            print(text, flush=True)


class View:
    """Shows nothing; the other views add to it."""

    def note(self, text: str) -> None:
        """Says something once."""

    def update(self, epoch: int, done: int, loss: float | None, speed: float) -> None:
        """An update is done: of which epoch (from 0), how many, mean loss now and then, images a second."""

    def epoch(self, row: Mapping[str, Any], epochs: int, left: float) -> None:
        """An epoch is done; ``left`` seconds remain."""


class Lines(View):
    """One line an epoch."""

    def note(self, text: str) -> None:
        """Prints it."""
        print(text, flush=True)

    def epoch(self, row: Mapping[str, Any], epochs: int, left: float) -> None:
        """Prints the epoch."""
        print(describe(row, epochs, left), flush=True)


class Bar(Lines):
    """A bar of the running epoch, below the lines."""

    def __init__(self, updates: int, epochs: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        from nas.view import redrawn

        self._updates, self._epochs = updates, epochs
        self._loss = ""
        self.progress = redrawn.Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        self._task = self.progress.add_task("", total=updates, figures="")

    def note(self, text: str) -> None:
        """Lets it scroll by."""
        self.progress.console.print(text, markup=False, highlight=False)

    def update(self, epoch: int, done: int, loss: float | None, speed: float) -> None:
        """Moves the bar."""
        if loss is not None:
            self._loss = f"loss {loss:.4f}  "
        self.progress.update(
            self._task,
            description=f"epoch {epoch + 1}/{self._epochs}",
            completed=done,
            figures=f"{self._loss}{speed:,.0f} images/s",
        )

    def epoch(self, row: Mapping[str, Any], epochs: int, left: float) -> None:
        """Lets the epoch scroll by."""
        self.note(describe(row, epochs, left))


@contextlib.contextmanager
def choose(*, quiet: bool, updates: int, epochs: int) -> Iterator[View]:
    """The view that fits: a bar on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        yield View()
    elif can_redraw(sys.stdout):
        bar = Bar(updates, epochs)
        with bar.progress:
            yield bar
    else:
        yield Lines()


class Speed:
    """Images a second since the epoch, or its continuation, began."""

    def __init__(self, images_per_update: int) -> None:
        self._images = images_per_update
        self._began = time.perf_counter()
        self._updates = 0

    def tick(self) -> float:
        """Counts an update; returns the speed."""
        self._updates += 1
        return self._images * self._updates / max(self.seconds, 1e-9)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._began


def describe(row: Mapping[str, Any], epochs: int, left: float) -> str:
    """Puts an epoch into a line."""
    parts = [f"epoch {row['epoch']}/{epochs}", f"loss {row['train_loss']:.4f}"]
    if row["val_top1"] is not None:
        best = " (best)" if row["best"] else ""
        parts.append(f"held-out top-1 {100 * row['val_top1']:.2f}%{best}")
    parts += [f"lr {row['lr']:.2e}", f"{row['images_per_second']:,.0f} images/s"]
    if row.get("roofline_share") is not None:
        parts.append(f"{100 * row['roofline_share']:.1f}% of the device's peak")
    parts += [f"peak {format_size(row['peak_memory'])}", f"{format_duration(left)} left"]
    return "  ".join(parts)
