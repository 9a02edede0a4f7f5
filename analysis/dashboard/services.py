"""What the dashboard consists of: a private redis, DeepCAVE's workers and its server."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.dashboard.children import Child
from analysis.dashboard.ports import claim_port
from analysis.deepcave import environment
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORKERS = 2  # one may be busy for minutes
_YOUNG = 20.0  # seconds; a worker that dies before would only die again
_EXIT_BUTTON = 130


def find_redis() -> str:
    """Finds redis-server.

    Raises:
        UserError: If it is not installed.
    """
    found = shutil.which("redis-server")
    if found is None:
        raise UserError(
            "redis-server: not found, DeepCAVE hands its work on through it; install it with: "
            "apt-get install redis-server (or brew install redis, conda install redis-server)"
        )
    return found


class Services:
    """The processes of one dashboard."""

    def __init__(self, python: Path, redis: str, port: int, runs: Sequence[Path], folder: Path) -> None:
        """Writes their settings; starts nothing."""
        self.address = f"http://127.0.0.1:{port}"
        self._python = python
        self._redis = redis
        self.folder = folder
        self._redis_port = claim_port(0)
        self._password = secrets.token_hex(32)
        self._children: list[Child] = []
        self._started: dict[str, float] = {}
        settings = folder / "settings.json"
        settings.touch(mode=0o600)
        settings.write_text(
            json.dumps(
                {
                    "port": port,
                    "redis_port": self._redis_port,
                    "redis_password": self._password,
                    "runs": [str(run.resolve()) for run in runs],
                }
            )
        )
        self._env = environment.variables() | {"SMACNAS_DASHBOARD": str(settings), "PYTHONUNBUFFERED": "1"}

    def start(self) -> None:
        """Starts redis, the workers and the server.

        Raises:
            UserError: If redis does not come up.
        """
        self._start_redis()
        for number in range(1, _WORKERS + 1):
            self._start(f"worker {number}")
        self._start("server")

    def ready(self) -> bool:
        """Whether the page answers and all workers wait for work."""
        if self._ask_redis("SCARD rq:workers") != f":{_WORKERS}":
            return False
        try:
            with urllib.request.urlopen(self.address, timeout=5) as page:
                return bool(page.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def dead(self) -> list[Child]:
        """Returns the processes that have ended."""
        return [child for child in self._children if child.exit_code is not None]

    def pid(self, name: str) -> int:
        """The process id of a child.

        Raises:
            KeyError: If there is none of that name.
        """
        return {child.name: child.pid for child in self._children}[name]

    def closed_from_page(self, child: Child) -> bool:
        """Whether a child's end is the page's own Exit button."""
        return child.name == "server" and child.exit_code == _EXIT_BUTTON

    def replace(self, child: Child) -> bool:
        """Starts a dead worker again; False if it is none, or died too soon for that to help."""
        if not child.name.startswith("worker") or time.monotonic() - self._started[child.name] < _YOUNG:
            return False
        self._children.remove(child)
        child.end()
        self._start(child.name)
        return True

    def end(self) -> None:
        """Ends all, the server first and redis last."""
        for child in reversed(self._children):
            child.end()

    def _start(self, name: str) -> None:
        module = f"cave.{name.split()[0]}"
        config = environment.PROJECT / "cave" / "config.py"
        command = [str(self._python), "-m", module, "--config", str(config)]
        self._children.append(Child(name, command, self.folder, self._env))
        self._started[name] = time.monotonic()

    def _start_redis(self) -> None:
        # On loopback, with a password: its jobs are pickles, so whoever may add one may run code.
        settings = self.folder / "redis.conf"
        settings.touch(mode=0o600)
        settings.write_text(
            f"bind 127.0.0.1\nport {self._redis_port}\nrequirepass {self._password}\n"
            f'save ""\nappendonly no\ndaemonize no\ndir "{self.folder}"\n'
        )
        child = Child("redis", [self._redis, str(settings)], self.folder, self._env)
        self._children.append(child)
        deadline = time.monotonic() + 10
        while self._ask_redis("PING") != "+PONG":
            if child.exit_code is not None or time.monotonic() > deadline:
                raise UserError(f"redis-server did not start: {child.exit_message(1)}".replace("\n ", ""))
            time.sleep(0.05)

    def _ask_redis(self, command: str) -> str:
        """The answer to a command, "" if there is none."""
        words = f"AUTH {self._password}\r\n{command}\r\nQUIT\r\n".encode()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._redis_port), 2) as line,
        ):
            line.sendall(words)
            said = b""
            while chunk := line.recv(4096):
                said += chunk
            lines = said.decode().split("\r\n")
            return lines[1] if len(lines) > 1 else ""
        return ""


@contextlib.contextmanager
def started(python: Path, redis: str, port: int, runs: Sequence[Path]) -> Iterator[Services]:
    """Runs the services in a temporary folder, and ends them and removes the folder afterwards.

    Raises:
        UserError: If redis does not come up.
    """
    folder = Path(tempfile.mkdtemp(prefix="smacnas-dashboard-"))
    services = Services(python, redis, port, runs, folder)
    try:
        services.start()
        yield services
    finally:
        services.end()
        shutil.rmtree(folder, ignore_errors=True)
