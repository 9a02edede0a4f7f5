"""Checkpoints written while the next epoch trains.

What is promised to others is on the disk first: whoever reports that a trial ended or paused waits before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from nas.util.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from nas.execution.messages import TrialSpec
    from nas.trial.checkpoint import CheckpointStore
    from nas.trial.loop import State
    from nas.trial.snapshot import Snapshot


class Saver:
    """Writes one checkpoint at a time; one that cannot be written costs time later, never the trial."""

    def __init__(self, store: CheckpointStore, on_note: Callable[[str], None], *, beside: bool) -> None:
        """Prepares.

        Args:
            store: Where to.
            on_note: Told, in one line, what could not be written, by the thread that saves or waits.
            beside: Write in a thread of its own. On a CPU it would take the cores from the training.
        """
        self._store = store
        self._on_note = on_note
        self._beside = beside
        self._thread: threading.Thread | None = None
        self._trouble: list[str] = []

    def save(self, spec: TrialSpec, epoch: int, snapshot: Snapshot) -> None:
        """Copies the state and has it written."""
        self.wait()
        try:
            state = snapshot.begin()
        except RuntimeError as error:  # no memory to copy to
            self._on_note(f"trial {spec.trial}: no checkpoint: {first_line(error)}")
            return
        self._thread = threading.Thread(target=self._write, args=(spec, epoch, state), name="checkpoint")
        self._thread.start()
        if not self._beside:
            self.wait()

    def wait(self) -> None:
        """Waits until all that was saved is on the disk."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        while self._trouble:
            self._on_note(self._trouble.pop(0))

    def _write(self, spec: TrialSpec, epoch: int, state: Callable[[], State]) -> None:
        try:
            self._store.save(spec.config_id, epoch, state())
            if spec.keep:
                self._store.prune({*spec.keep, spec.config_id}, spec.keep)
        except OSError as error:
            self._trouble.append(f"trial {spec.trial}: {first_line(error)}")
        except Exception as error:  # none of the disk's
            kind = type(error).__name__
            self._trouble.append(f"trial {spec.trial}: no checkpoint: {kind}: {first_line(error)}")
