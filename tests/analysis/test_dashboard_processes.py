"""Starting and ending the dashboard, with real redis and real DeepCAVE."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from analysis.dashboard import __main__ as dashboard_module
from analysis.dashboard import ports, services
from analysis.deepcave import environment
from analysis.deepcave.exporter import Exporter
from nas.run.folder import Run
from tests.complaints import complaints

REDIS = shutil.which("redis-server")
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see processes"),
]


@dataclass
class Dashboard:
    """A running dashboard, seen from outside."""

    process: subprocess.Popen[str]
    address: str
    folder: Path

    @property
    def children(self) -> dict[int, str]:
        """Command lines of the processes that it started, by id."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if f"PPid:\t{self.process.pid}\n" in status.read_text():
                    found[int(status.parent.name)] = (status.parent / "cmdline").read_text()
            except OSError:  # it has just ended
                continue
        return found


def await_(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.fixture
def dashboard(finished_run: Path, tmp_path: Path) -> Iterator[Dashboard]:
    run = tmp_path / "shown"
    shutil.copytree(finished_run, run)
    environment.ensure()
    process = subprocess.Popen(
        [sys.executable, "-m", "analysis.dashboard", str(run), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # Until it is ready it says what it is doing, if that takes long.
    first = next((line for line in process.stdout if line.startswith("DeepCAVE")), "")
    second = process.stdout.readline()
    shown = re.fullmatch(r"DeepCAVE shows shown at (http://127\.0\.0\.1:\d+)\n", first)
    assert shown, (first, process.stderr and process.stderr.read())
    started = Dashboard(process, shown[1], Path(second.split()[-1]))
    children = started.children
    assert len(children) == 4, children
    yield started
    process.kill()
    process.wait()
    for pid in children:
        assert await_(lambda pid=pid: not alive(pid)), children[pid]
    assert await_(lambda: not started.folder.exists())


def refused(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rsplit(":", 1)[1]))) != 0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=["TERM", "INT"]
)
def test_it_is_private_and_a_signal_ends_all_of_it(dashboard: Dashboard, number: signal.Signals) -> None:
    with urllib.request.urlopen(dashboard.address) as page:
        assert page.status == 200
    children = dashboard.children
    check_redis_is_private(dashboard.folder, list(children.values()))

    dashboard.process.send_signal(number)
    out, err = dashboard.process.communicate(timeout=20)
    assert (dashboard.process.returncode, out) == (0, "")
    assert complaints(err) == []
    assert not [pid for pid in children if alive(pid)]
    assert not dashboard.folder.exists()
    assert refused(dashboard.address)


def check_redis_is_private(folder: Path, commands: list[str]) -> None:
    secret = folder / "settings.json"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    settings = json.loads(secret.read_text())
    port = settings["redis_port"]
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"KEYS *\r\n")
        assert line.recv(100).startswith(b"-NOAUTH")
    sockets = [row.split()[1] for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert f"0100007F:{port:04X}" in sockets, "on loopback"
    assert f"00000000:{port:04X}" not in sockets, "and nowhere else"
    assert not [command for command in commands if settings["redis_password"] in command]


def test_killed_it_leaves_nothing_behind(dashboard: Dashboard) -> None:
    children = dashboard.children
    dashboard.process.kill()
    dashboard.process.wait()
    assert await_(lambda: not any(alive(pid) for pid in children), 15), "children outlive a kill -9"
    assert await_(lambda: not dashboard.folder.exists())
    assert await_(lambda: refused(dashboard.address))


def test_a_dead_worker_is_shown_with_its_log_and_replaced_unless_young(
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "shown"
    shutil.copytree(finished_run, run)
    Exporter(Run.open(run)).refresh()
    with services.started(environment.ensure(), str(REDIS), ports.claim_port(0), [run]) as running:
        assert await_(running.ready, 60)

        monkeypatch.setattr(services, "_YOUNG", 0.0)
        os.kill(running.pid("worker 1"), signal.SIGKILL)
        watching = threading.Event()
        threading.Timer(2.0, watching.set).start()
        assert dashboard_module._watch(running, [], watching) == 0
        said = capsys.readouterr().err
        assert said.startswith("worker 1 ended with exit code -9; its log ends with:\n")
        assert "Listening on high" in said
        assert said.endswith("worker 1 was started again\n")
        assert await_(lambda: running._ask_redis("SCARD rq:workers") == ":3", 30), "the new one is at work"

        monkeypatch.setattr(services, "_YOUNG", 1000.0)
        os.kill(running.pid("worker 2"), signal.SIGKILL)
        assert dashboard_module._watch(running, [], threading.Event()) == 1
        assert capsys.readouterr().err.startswith("worker 2 ended with exit code -9")
