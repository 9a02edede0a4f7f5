"""Real Dask clusters of a few processes, with tiny trials."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.execution import mps
from tests.execution.dask.fake_driver import Driver

HERE = Path(__file__).parent  # deadly.py, a space whose networks kill, is imported by the workers


class Cluster:
    """A scheduler and workers as a user would start them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def gate(self) -> Path:
        """While it is not there, slow networks wait in their second epoch (see deadly.py)."""
        return self.folder / "gate"

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--dashboard-address", "127.0.0.1:0")
        self.scheduler = self._start("distributed.cli.dask_scheduler", *where)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "dask.log").read_text()
            time.sleep(0.1)

    def start_worker(self, *flags: str) -> subprocess.Popen[bytes]:
        where = ("--host", "127.0.0.1", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard")
        worker = self._start("distributed.cli.dask_worker", self.address, *where, *flags)
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                process.terminate()
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def _start(self, module: str, *flags: str) -> subprocess.Popen[bytes]:
        searched = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
        with (self.folder / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *flags],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": searched, "SMACNAS_TEST_GATE": str(self.gate)},
            )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler; the tests start workers."""
    made = Cluster(tmp_path)
    made.start_scheduler()
    yield made
    made.stop()


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """A machine with one GPU and MPS, as far as command lines tell."""
    tools = tmp_path / "driver" / "bin"
    tools.mkdir(parents=True)
    made = Driver(tmp_path / "driver")
    made.install(tools)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    yield made
    made.kill_daemons()


@pytest.fixture
def short_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the test's own for what MPS daemons leave, with a path that sockets can have."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as name:
        monkeypatch.setattr(mps, "_places", lambda: [Path(name)])
        yield Path(name)
