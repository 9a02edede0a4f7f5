"""Notifies the user by running a command, for example for mail, ntfy or a chat."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from nas.run.events import Ended, NewIncumbent
from nas.util.errors import SettingError, UserError, first_line, one_line
from nas.util.quantities import counted, format_duration
from nas.view.lines import percent
from nas.view.logfile import open_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nas.run.events import Event
    from nas.run.folder import Run
    from nas.run.state import SearchState
    from nas.search.listener import Listener
    from nas.search.session import RunningSession, View

END, CRASHES, NO_IMPROVEMENT = "end", "crashes", "no_improvement"
_SERIES = 3  # crashes in a row before a notification; the search ends after five of one kind
_PATIENCE = 30.0  # seconds that the last message may take, since a batch system kills it with the job
_LOOK = 0.05  # seconds between two checks of it
_PLAIN_WORD = re.compile(r"[\w./~+@%-]+")


def check(command: str) -> None:
    """Refuses a command that a shell would not run.

    Raises:
        UserError: If it is not valid shell syntax, or its program does not exist.
    """
    found = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, check=False)
    if found.returncode or not command.strip():
        raise SettingError("notify", command, "not a command that sh understands", repr(command))
    with contextlib.suppress(ValueError):  # syntax that sh accepts and shlex does not
        words = [word for word in shlex.split(command) if not re.match(r"\w+=", word)]
        if words and _PLAIN_WORD.fullmatch(words[0]):
            word = os.path.expanduser(words[0])
            there = subprocess.run(["sh", "-c", 'command -v -- "$1"', "sh", word], capture_output=True)
            if there.returncode:
                raise SettingError("notify", command, f"no such program: {words[0]}", repr(command))


@dataclass
class Notifier:
    """Runs the user's command for each notification, without waiting for it while the search runs.

    Attributes:
        command: The shell command, "" for none.
        after: Seconds of the search's clock without an improvement before a notification, None for never.
    """

    command: str = ""
    after: float | None = None
    _run: Run | None = None
    _watched: RunningSession | None = None
    _improved: float = 0.0  # search clock
    _waits: int = 0  # how many times ``after`` has passed since then
    _told_of_crashes: bool = False
    _sent: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = field(default_factory=list)

    @classmethod
    def checked(cls, command: str | None, after: float | None) -> Notifier:
        """Builds a notifier after checking the command.

        Raises:
            UserError: If a shell cannot run the command.
        """
        if command is not None:
            check(command)
        return cls(command or "", after)

    def about(self, run: Run) -> None:
        """Sets the run to report about, if no search of it was watched."""
        self._run = run

    @contextlib.contextmanager
    def notifying_of_errors(self) -> Iterator[None]:
        """Notifies of the end if an error inside the block ends a search that has begun."""
        try:
            yield
        except UserError as error:
            self.end(str(error))
            raise

    def end(self, message: str) -> None:
        """Notifies of the end, and waits some time for the message to be sent."""
        self.send(END, message)
        self.close()

    def watching(self, view: View) -> View:
        """Wraps a view so that this notifier receives everything as well."""
        if not self.command:
            return view

        @contextlib.contextmanager
        def shown(watched: RunningSession) -> Iterator[Listener]:
            with view(watched) as inner:
                self.begin(watched)
                yield _Both(inner, self)
                self._watched = None

        return shown

    def begin(self, watched: RunningSession) -> None:
        """Sets the search to watch from now on."""
        self._run, self._watched = watched.run, watched
        leader = watched.state.incumbent
        self._improved = 0.0 if leader is None else watched.state.trials[leader].clock_ended
        self._waits = self._passed(watched.used())

    def event(self, event: Event, state: SearchState) -> None:
        """Notifies if the event deserves it."""
        if isinstance(event, NewIncumbent):
            self._improved, self._waits = event.clock, 0
        elif isinstance(event, Ended) and state.crashes_in_a_row == _SERIES and not self._told_of_crashes:
            self._told_of_crashes = True
            last = state.trials[state.crashed[-1]]
            self.send(CRASHES, f"{_SERIES} trials in a row crashed, the last for: {last.reason}")

    def note(self, text: str) -> None:
        """Does nothing."""

    def tick(self) -> None:
        """Notifies if nothing has improved for too long."""
        if self._watched is None:
            return
        passed = self._passed(self._watched.used())
        if passed > self._waits:
            state = self._watched.state
            leader = None if state.incumbent is None else state.trials[state.incumbent].error
            best = "no incumbent yet" if leader is None else f"the best has {percent(leader)}"
            waited = format_duration(self._watched.used() - self._improved)
            self.send(
                NO_IMPROVEMENT,
                f"nothing has improved for {waited}; {best}, {counted(state.finished, 'trial')}",
            )
        self._waits = passed

    def _passed(self, used: float) -> int:
        return 0 if self.after is None else int(max(used - self._improved, 0.0) / self.after)

    def send(self, event: str, message: str) -> None:
        """Runs the command with the message in its environment.

        Failures of the command are written to the run's log.

        Args:
            event: ``end``, ``crashes`` or ``no_improvement``.
            message: The message, one line.
        """
        if not self.command or self._run is None:
            return
        said = {
            "SMACNAS_EVENT": event,
            "SMACNAS_RUN": str(self._run.path.resolve()),
            "SMACNAS_MESSAGE": one_line(message),
        }
        try:
            complaint = tempfile.TemporaryFile()  # noqa: SIM115 - closed once the command has ended
            nothing = subprocess.DEVNULL
            process = subprocess.Popen(
                ["sh", "-c", self.command],
                env={**os.environ, **said},
                stdin=nothing,
                stdout=nothing,
                stderr=complaint,
                start_new_session=True,
            )
        except OSError as error:
            self._log(f"notify: {first_line(error)}")
            return
        self._sent.append((process, complaint))
        self._collect()

    def close(self) -> None:
        """Waits some time for the last message to be sent."""
        end = time.monotonic() + _PATIENCE
        while self._sent and time.monotonic() < end:
            self._collect()
            time.sleep(_LOOK)
        if self._sent:
            self._log(f"notify: still runs after {_PATIENCE:.0f} s and is left alone")

    def _collect(self) -> None:
        for process, complaint in list(self._sent):
            code = process.poll()
            if code is None:
                continue
            self._sent.remove((process, complaint))
            if code:
                complaint.seek(0)
                lines = complaint.read().decode(errors="replace").strip().splitlines()
                self._log(f"notify: exit code {code}" + (f", {one_line(lines[-1])}" if lines else ""))
            complaint.close()

    def _log(self, text: str) -> None:
        if self._run is not None:
            with contextlib.suppress(OSError):
                open_log(self._run.log).note(text)


class _Both:
    """Passes everything on to two listeners."""

    def __init__(self, first: Listener, second: Listener) -> None:
        self._each = (first, second)

    def event(self, event: Event, state: SearchState) -> None:
        for one in self._each:
            one.event(event, state)

    def note(self, text: str) -> None:
        for one in self._each:
            one.note(text)

    def tick(self) -> None:
        for one in self._each:
            one.tick()
