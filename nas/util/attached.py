"""Runs a command in a separate process that ends with its parent, however that dies."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING

from nas.util import signals

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(module: str, args: Sequence[object], *, quiet: bool = False) -> tuple[int, str]:
    """Runs ``python -m module args`` to its end; signals that request an end are passed on to it.

    The command has a separate session, so that Ctrl-C reaches it only once, from here.

    Args:
        module: The command.
        args: Its arguments.
        quiet: Whether to discard its standard output.

    Returns:
        Its exit code (128 and the signal's number if one ended it), and its last line on standard error.
    """
    theirs, ours = os.pipe()
    started: list[subprocess.Popen[str]] = []
    received: list[str] = []

    def pass_on(signal_name: str = "") -> None:
        received.extend([signal_name] if signal_name else [])
        while started and received:
            name = received.pop(0)
            started[0].send_signal(signal.SIGINT if name == signals.INTERRUPTED else signal.SIGTERM)

    try:
        with signals.handled(pass_on):
            try:
                started.append(_started(theirs, [module, *map(str, args)], quiet=quiet))
            finally:
                os.close(theirs)
            said = _Passed(started[0].stderr)
            pass_on()  # signals from before the process existed
            code = started[0].wait()
    finally:
        os.close(ours)  # any error here ends it, too
    said.thread.join(timeout=1.0)
    return code if code >= 0 else 128 - code, said.last


def _started(pipe: int, words: Sequence[str], *, quiet: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(pipe), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.PIPE,
        pass_fds=(pipe,),
        start_new_session=True,
        text=True,
        errors="replace",
    )


class _Passed:
    """Passes on a process's standard error and keeps its last line."""

    def __init__(self, stream: IO[str] | None) -> None:
        self.last = ""
        self._stream = stream
        self.thread = threading.Thread(target=self._pass, daemon=True)
        self.thread.start()

    def _pass(self) -> None:
        for line in self._stream or ():
            self.last = line.strip() or self.last
            print(line, end="", file=sys.stderr, flush=True)


def _end_with(parent: int) -> None:
    """Ends this process, like a kill, once the other end of a pipe is closed."""
    os.read(parent, 1)
    os._exit(signals.EXIT_CODES[signals.TERMINATED])


def main() -> None:
    """Entry point of the process: ``python -m nas.util.attached PIPE MODULE ARGUMENTS``."""
    _, parent, module, *args = sys.argv
    threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
