"""Checkpoints written while the next epoch trains.

A trial's end or pause is reported only after its checkpoint is on the disk.
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
    """Writes one checkpoint at a time; a failed write costs time later, never the trial."""

    def __init__(self, store: CheckpointStore, on_note: Callable[[str], None], *, beside: bool) -> None:
        """Starts no thread yet.

        Args:
            store: Where checkpoints go.
            on_note: Called with one line on what could not be written, from the thread that saves or waits.
            beside: Whether to write in a separate thread; on a CPU it would take cores from the training.
        """
        self._store = store
        self._on_note = on_note
        self._beside = beside
        self._thread: threading.Thread | None = None
        self._trouble: list[str] = []

    def save(self, spec: TrialSpec, epoch: int, snapshot: Snapshot) -> None:
        """Copies the state and writes it, in the background if so set."""
        self.wait()
        try:
            state = snapshot.begin()
        except RuntimeError as error:  # no memory for the copy
            self._on_note(f"trial {spec.trial}: no checkpoint: {first_line(error)}")
            return
        self._thread = threading.Thread(target=self._write, args=(spec, epoch, state), name="checkpoint")
        self._thread.start()
        if not self._beside:
            self.wait()

    def wait(self) -> None:
        """Waits until everything saved is on the disk."""
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
        except Exception as error:  # whatever it is, only the checkpoint is lost
            kind = type(error).__name__
            self._trouble.append(f"trial {spec.trial}: no checkpoint: {kind}: {first_line(error)}")
