"""A command as a process of its own: signals reach it once, and it does not outlive who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nas.util import attached

SCRIPT = """
import os, signal, sys, time
wish, folder = sys.argv[1], sys.argv[2]
def heard(number, frame):
    with open(f"{folder}/heard", "a") as file:
        file.write(f"{number} ")
    if wish == "obeys":
        sys.exit(130 if number == signal.SIGINT else 143)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, heard)
print("said", file=sys.stderr)
print("last word", file=sys.stderr)
if wish == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if wish.isdigit():
    sys.exit(int(wish))
open(f"{folder}/begun", "w").write(str(os.getpid()))
while True:
    time.sleep(0.02)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_command.py").write_text(SCRIPT)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", os.getcwd())])
    )
    return "a_command"


def waits(for_: Path) -> None:
    end = time.monotonic() + 60
    while not for_.exists() or not for_.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("wish", "code"), [("0", 0), ("3", 3), ("dies", 128 + signal.SIGKILL)])
def test_its_code_and_its_last_word_come_back(
    wish: str, code: int, module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attached.run(module, [wish, tmp_path]) == (code, "last word")
    assert capsys.readouterr().err == "said\nlast word\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_is_passed_on_once(number: int, code: int, module: str, tmp_path: Path) -> None:
    def send() -> None:
        waits(tmp_path / "begun")
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    assert attached.run(module, ["obeys", tmp_path])[0] == code
    thread.join()
    assert (tmp_path / "heard").read_text().split() == [str(2 if number == signal.SIGINT else 15)]


def test_it_ends_when_its_parent_is_killed(module: str, tmp_path: Path) -> None:
    line = f"from nas.util import attached; attached.run({module!r}, ['stubborn', {str(tmp_path)!r}])"
    parent = subprocess.Popen([sys.executable, "-c", line], stderr=subprocess.DEVNULL)
    waits(tmp_path / "begun")
    child = int((tmp_path / "begun").read_text())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 20
    while is_alive(child):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert not (tmp_path / "heard").exists()
