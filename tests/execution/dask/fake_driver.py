"""NVIDIA's command-line tools as far as the search uses them: scripts on PATH, with a daemon one can kill.

``state`` is a folder. Its file ``asked`` takes a line for each call; files named ``refuse``, ``mute`` and
``deaf`` make the next daemon refuse to start, end at once or ignore ``quit``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

_LISTING = "GPU 0: NVIDIA H200 (UUID: GPU-aaaa)\n"

_CONTROL = """#!{python} -I
import os, socket, subprocess, sys, time
from pathlib import Path
state = Path({state!r})
folder = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or state / "default")
def note(words):
    with (state / "asked").open("a") as file:
        print(words, folder, os.environ.get("CUDA_VISIBLE_DEVICES", "-"), file=file)
if sys.argv[1:] == ["-d"]:
    note("start")
    if (state / "refuse").exists():
        sys.exit("Cannot start: permission denied\\n")
    if (folder / "control").exists():
        sys.exit("An instance of this daemon is already running\\n")
    if (state / "mute").exists():
        (folder / "control.log").write_text("first\\nno device that can be shared\\n")
        sys.exit(0)
    subprocess.Popen([sys.executable, "-I", __file__, "serve"], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
elif sys.argv[1:] == ["serve"]:
    server = socket.socket(socket.AF_UNIX)
    folder.mkdir(exist_ok=True)
    server.bind(str(folder / "control_privileged"))
    server.listen()
    (folder / "control").write_text(str(os.getpid()))
    while True:
        peer, _ = server.accept()
        words = peer.recv(100)
        if words.startswith(b"quit") and not (state / "deaf").exists():
            os.unlink(folder / "control_privileged")
            os.unlink(folder / "control")
            sys.exit()
        peer.sendall(b"ok")
else:
    words = sys.stdin.read()
    note(words.split()[0])
    try:
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(str(folder / "control_privileged"))
        peer.sendall(words.encode())
        peer.recv(10)
    except OSError:
        sys.exit("Cannot find MPS control daemon process\\n")
"""


class Driver:
    """The fake tools, and what was asked of them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.listing = state / "listing"
        self.listing.write_text(_LISTING)

    def install(self, folder: Path, *, control: bool = True) -> None:
        scripts = {"nvidia-smi": f"#!/bin/sh\ncat {self.listing}\n"}
        if control:
            text = _CONTROL.format(python=sys.executable, state=str(self.state))
            scripts["nvidia-cuda-mps-control"] = text
        for name, text in scripts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def set(self, trouble: str) -> None:
        (self.state / trouble).touch()

    def asked(self, words: str) -> list[str]:
        """The calls that began with these words."""
        path = self.state / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(words)]

    def daemons(self) -> list[int]:
        """Process numbers of daemons that live, whosever they are."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if words[-2:-1] == [b"serve"] and str(self.state.parent).encode() in b" ".join(words):
                    found.append(int(path.name))
        return found

    def kill_daemons(self) -> None:
        for number in self.daemons():
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)


def until(true: object, seconds: float = 40.0) -> None:
    """Waits until a function answers with something true."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
