"""Runs trials one after another in a separate process on this machine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.execution import messages
from nas.execution.messages import (
    DEVICE,
    MEMORY,
    EpochDone,
    Facts,
    Halted,
    Measurement,
    Note,
    TrialEnded,
    TrialPaused,
)
from nas.execution.process import TrialProcess
from nas.execution.spare import SpareProcess
from nas.run import journal
from nas.util.awake import AwakeClock, is_stopped
from nas.util.errors import UserError
from nas.util.quantities import format_duration

if TYPE_CHECKING:
    from nas.execution.messages import Report, TrialSpec
    from nas.execution.settings import WorkerSettings
    from search_spaces.base import Config

_WORTH_A_NOTE = 2.0  # seconds


class LocalExecutor:
    """One trial process, replaced whenever it dies, hangs or is killed.

    On a GPU a second process prepares the next trial meanwhile (:mod:`nas.execution.spare`), and the two
    take turns. On a CPU it would take cores from the running trial.
    """

    slots = wanted = 1

    def __init__(self, settings: WorkerSettings, *, ahead: bool | None = None) -> None:
        """Takes the settings; :meth:`start` starts the process.

        Args:
            settings: What the trial process needs to know.
            ahead: Whether to prepare the next trial in a second process; None: on a GPU.
        """
        self._settings = settings
        self._ahead = ahead
        self._process: TrialProcess | None = None
        self._spare: SpareProcess | None = None
        self._facts: Facts | None = None
        self._running: TrialSpec | None = None
        self._awake = AwakeClock()
        self._deadline = 0.0
        self._looked = 0.0
        self._halted = 0.0  # seconds that the trial's process has been stopped for
        self._told = 0  # epochs of the running trial that were reported

    def start(self) -> Facts:
        """Starts the process and waits until data and device are ready.

        Raises:
            UserError: If the data or the device are unusable, or the process cannot start.
        """
        self._process = process = TrialProcess(self._settings)
        answer = process.receive()
        if isinstance(answer, UserError):
            self.close()
            raise answer
        if not isinstance(answer, Facts):
            reason = process.exit_message()
            self.close()
            raise UserError(f"the trial process did not start: {reason}")
        if self._facts is not None and answer.data != self._facts.data:
            self.close()
            raise UserError(f"{self._settings.dataset}: the data changed while the search ran")
        self._facts = answer
        if self._spare is None and self._prepares(answer):
            self._spare = SpareProcess(self._settings, answer)
        return answer

    def submit(self, spec: TrialSpec) -> None:
        """Starts a trial in the process that prepared it, if any; a lost process is replaced first."""
        prepared = None if self._spare is None else self._spare.take(spec)
        if prepared is not None:
            assert self._spare is not None
            if self._process is not None:
                self._spare.give(self._process)
            self._process = prepared
        elif self._process is None:
            self.start()
        self._looked = self._awake.now()
        self._deadline = self._looked + spec.timeout
        self._told = 0
        self._begin(replace(spec, alone=spec.alone and self._spare is None))

    def prepare(self, spec: TrialSpec) -> None:
        """Prepares the next trial in the second process, unless the running one needs all memory.

        Nothing is prepared for the configuration that is training now: its process continues it best.
        """
        running = self._running
        if self._spare is None or running is None or running.alone or running.config_id == spec.config_id:
            return
        self._spare.prepare(spec)

    def poll(self, timeout: float) -> list[Report]:
        """Waits for reports, the process's death or the trial's timeout."""
        if self._spare is not None:
            self._spare.look()
        if self._process is None or self._running is None:
            time.sleep(timeout)
            return []
        process, spec = self._process, self._running
        process.wait(timeout)
        reports = [*self._look_after(process, spec), *self._drain(process)]
        if self._running is not spec or self._process is not process:
            return reports
        if not process.alive:
            reports += self._drain(process)  # what it sent before it died
            if self._running is spec:
                reports.append(self._lost(spec, process.exit_message()))
        elif self._awake.now() > self._deadline:
            reason = f"no end after {format_duration(spec.timeout)} ({journal.OVERTIME})"
            reports.append(self._lost(spec, reason))
        return reports

    def _look_after(self, process: TrialProcess, spec: TrialSpec) -> list[Report]:
        """Extends the deadline while the trial's process is stopped by a signal and this one is not."""
        now = self._awake.now()
        passed, self._looked = now - self._looked, now
        before = self._halted
        if not is_stopped(process.process.pid or 0):
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
        """Asks the running trial to stop at the end of its epoch."""
        if self._process is not None and self._running is not None:
            self._process.send(messages.PAUSE)

    def measure(self, config: Config | str) -> Measurement:
        """Times a few steps of a configuration.

        Raises:
            UserError: If the network cannot be trained there.
        """
        answer = self.ask(messages.Measure(config))
        if not isinstance(answer, Measurement):
            raise UserError(f"the device cannot be measured: {answer}")
        return answer

    def costs(self, config: Config) -> dict[str, float]:
        """Measures what trials measure of a configuration's costs.

        Raises:
            UserError: If it cannot be measured there.
        """
        answer = self.ask(messages.MeasureCosts(config))
        if not isinstance(answer, dict):
            raise UserError(f"what a network costs cannot be measured: {answer}")
        return answer

    def ask(self, request: object) -> object:
        """Sends a request and returns its answer, or a line on how the process ended."""
        assert self._process is not None
        self._process.send(request)
        answer = self._process.receive()
        return self._process.exit_message() if answer is None else answer

    def close(self) -> None:
        """Ends the process at once."""
        if self._spare is not None:
            self._spare.close()
        self._drop()

    def renew(self) -> None:
        """Ends the process unless a trial runs; the next trial starts another."""
        if self._running is None:
            self._drop()

    def abandon(self) -> None:
        """Kills the process from another thread; the thread that waits for it notices and continues."""
        if self._process is not None:
            self._process.process.kill()

    def _prepares(self, facts: Facts) -> bool:
        return facts.hardware.device.startswith("cuda") if self._ahead is None else self._ahead

    def _begin(self, spec: TrialSpec) -> None:
        assert self._process is not None
        self._running = spec
        self._process.send(spec)

    def _drop(self) -> None:
        process, self._process, self._running = self._process, None, None
        if process is not None:
            process.close()

    def _drain(self, process: TrialProcess) -> list[Report]:
        reports: list[Report] = []
        try:
            while self._process is process and process.pipe.poll():
                self._take(process.pipe.recv(), reports)
        except (EOFError, OSError):
            pass  # it died: the caller looks at the process
        return reports

    def _take(self, report: object, reports: list[Report]) -> None:
        if isinstance(report, EpochDone):
            if report.epoch > self._told:  # a second attempt reports some epochs again
                reports.append(report)
                self._told = report.epoch
        elif report == messages.READY:
            pass  # it was still preparing when the trial started
        elif isinstance(report, Note | TrialPaused):
            reports.append(report)
        elif isinstance(report, TrialEnded):
            if report.fault == MEMORY and self._crowded():
                reports.append(self._once_more(report))
                return
            reports.append(report)
        else:
            raise TypeError(f"the trial process sent {report!r}")
        if isinstance(report, TrialEnded | TrialPaused):
            self._running = None
        if isinstance(report, TrialEnded) and report.fault == DEVICE:
            self._drop()

    def _crowded(self) -> bool:
        """Whether the second process may have used memory that the trial needed."""
        return self._spare is not None and self._running is not None and not self._running.alone

    def _once_more(self, report: TrialEnded) -> Note:
        assert self._spare is not None
        assert self._running is not None
        self._spare.close()
        known = max(self._running.known_epochs, self._told)
        self._begin(replace(self._running, alone=True, known_epochs=known))
        return Note(f"trial {report.trial}: out of memory beside the next one's preparation, once more alone")

    def _lost(self, spec: TrialSpec, reason: str) -> TrialEnded:
        self._drop()
        return TrialEnded(spec.trial, None, reason=reason)
