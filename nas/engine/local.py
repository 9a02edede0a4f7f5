"""Runs trials one after another in a separate process on this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING

from nas.awake import AwakeClock, is_stopped
from nas.engine import worker
from nas.engine.messages import EpochDone, Facts, Halted, Measurement, Note, TrialEnded, TrialPaused
from nas.errors import UserError
from nas.quantities import format_duration

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from nas.engine.messages import Report, TrialSpec
    from nas.engine.worker import WorkerSettings
    from search_spaces.base import Config

_WORTH_A_NOTE = 2.0  # seconds
_START_TIMEOUT = 3_600.0  # seconds: the first start may download the data
_KILL_HINTS = {
    signal.SIGKILL: " (when nobody sent it, the machine ran out of memory)",
    signal.SIGSEGV: " (a fault in native code)",
}


@dataclass
class _Place:
    """One trial process and the pipes to it."""

    process: SpawnProcess
    pipe: Connection
    lifeline: Connection
    output: Path
    end: Finalize  # so that this process does not wait for the other's when it ends


class LocalExecutor:
    """One trial process, replaced whenever it dies, hangs or is killed.

    Spawned, never forked: a fork of a process that has used OpenMP or CUDA deadlocks. The process
    keeps the data on the device between trials, and ends by itself when this one is gone.
    """

    slots = wanted = 1

    def __init__(self, settings: WorkerSettings) -> None:
        """Prepares; the process starts with :meth:`start`.

        Args:
            settings: What the trial process needs to know.
        """
        self._settings = settings
        self._place: _Place | None = None
        self._facts: Facts | None = None
        self._running: TrialSpec | None = None
        self._awake = AwakeClock()
        self._deadline = 0.0
        self._looked = 0.0
        self._halted = 0.0  # seconds that the trial's process has been stopped for

    def start(self) -> Facts:
        """Starts the process and waits until data and device are ready.

        Raises:
            UserError: If data or device are not as asked for, or the process cannot start.
        """
        self._place = place = self._spawn()
        answer = self._receive(place, _START_TIMEOUT)
        if isinstance(answer, UserError):
            self.close()
            raise answer
        if not isinstance(answer, Facts):
            reason = self._epitaph(place)
            self.close()
            raise UserError(f"the trial process did not start: {reason}")
        if self._facts is not None and answer.data != self._facts.data:
            self.close()
            raise UserError(f"{self._settings.dataset}: the data changed while the search ran")
        self._facts = answer
        return answer

    def submit(self, spec: TrialSpec) -> None:
        """Starts a trial; a process that was lost before is replaced first."""
        if self._place is None:
            self.start()
        assert self._place is not None
        self._running = spec
        self._looked = self._awake.now()
        self._deadline = self._looked + spec.timeout
        with contextlib.suppress(OSError):  # it died in between: poll finds out
            self._place.pipe.send(spec)

    def poll(self, timeout: float) -> list[Report]:
        """Waits for reports, for the process's death or for the trial's timeout."""
        if self._place is None or self._running is None:
            time.sleep(timeout)
            return []
        place, spec = self._place, self._running
        wait([place.pipe, place.process.sentinel], timeout)
        reports = [*self._look_after(place, spec), *self._drain(place)]
        if self._running is None:
            return reports
        if not place.process.is_alive():
            reports += self._drain(place)  # what it sent before it died
            if self._running is not None:
                reports.append(self._lost(spec, self._epitaph(place)))
        elif self._awake.now() > self._deadline:
            reason = f"no end after {format_duration(spec.timeout)} (--trial-timeout)"
            reports.append(self._lost(spec, reason))
        return reports

    def _look_after(self, place: _Place, spec: TrialSpec) -> list[Report]:
        """Puts the deadline off while the trial's process, and not this one, is stopped."""
        now = self._awake.now()
        passed, self._looked = now - self._looked, now
        before = self._halted
        if not is_stopped(place.process.pid or 0):
            self._halted = 0.0
            if before < _WORTH_A_NOTE:
                return []
            return [Note(f"trial {spec.trial}: its process goes on after {format_duration(before)}")]
        self._halted += passed
        self._deadline += passed
        halted = Halted(spec.trial, passed)
        if not before < _WORTH_A_NOTE <= self._halted:
            return [halted]
        return [halted, Note(f"trial {spec.trial}: its process is stopped; that time is not counted")]

    def pause(self) -> None:
        """Asks the running trial to stop at its epoch's end."""
        if self._place is not None and self._running is not None:
            with contextlib.suppress(OSError):  # it died in between: poll finds out
                self._place.pipe.send(worker.PAUSE)

    def measure(self, config: Config) -> Measurement:
        """Times a few steps of a configuration.

        Raises:
            UserError: If the network cannot be trained there.
        """
        assert self._place is not None
        self._place.pipe.send(worker.Measure(config))
        answer = self._receive(self._place, _START_TIMEOUT)
        if not isinstance(answer, Measurement):
            reason = answer if isinstance(answer, UserError) else self._epitaph(self._place)
            raise UserError(f"the device cannot be measured: {reason}")
        return answer

    def close(self) -> None:
        """Ends the process at once."""
        place, self._place, self._running = self._place, None, None
        if place is None:
            return
        place.process.kill()
        place.process.join()
        place.end.cancel()
        place.pipe.close()
        place.lifeline.close()
        place.output.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Kills the process from another thread; the one that waits for it finds out and goes on."""
        if self._place is not None:
            self._place.process.kill()

    def _spawn(self) -> _Place:
        context = multiprocessing.get_context("spawn")
        pipe, far_pipe = context.Pipe()
        lifeline, far_lifeline = context.Pipe()
        handle, name = tempfile.mkstemp(prefix="smacnas-trial-", suffix=".log")
        os.close(handle)
        process = context.Process(
            target=worker.main, args=(far_pipe, far_lifeline, self._settings, name), name="trial", daemon=True
        )
        process.start()
        far_pipe.close()
        far_lifeline.close()
        return _Place(process, pipe, lifeline, Path(name), Finalize(None, process.kill, exitpriority=10))

    def _receive(self, place: _Place, timeout: float) -> object:
        ready = wait([place.pipe, place.process.sentinel], timeout)
        if place.pipe in ready or place.pipe.poll():
            try:
                return place.pipe.recv()
            except EOFError:
                return None
        return None

    def _drain(self, place: _Place) -> list[Report]:
        reports: list[Report] = []
        try:
            while place.pipe.poll():
                report = place.pipe.recv()
                reports.append(report)
                if isinstance(report, TrialEnded | TrialPaused):
                    self._running = None
                elif not isinstance(report, EpochDone | Note):
                    raise TypeError(f"the trial process sent {report!r}")
        except (EOFError, OSError):
            pass  # it died: the caller looks at the process
        return reports

    def _lost(self, spec: TrialSpec, reason: str) -> TrialEnded:
        self.close()
        return TrialEnded(spec.trial, None, reason=reason)

    def _epitaph(self, place: _Place) -> str:
        """One line on how the process ended."""
        place.process.join(5)
        code = place.process.exitcode
        if code is None:
            return "it does not answer"
        if code < 0:
            number = signal.Signals(-code)
            return f"the trial process was ended by {number.name}{_KILL_HINTS.get(number, '')}"
        lines = place.output.read_text(errors="replace").strip().splitlines()
        return f"the trial process ended with code {code}" + (f": {lines[-1]}" if lines else "")
