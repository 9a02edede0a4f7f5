"""The MPS daemon of a run, with a fake in the place of NVIDIA's: begun, ended, found, lost, left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nas.execution import mps
from tests.execution.dask.fake_driver import Driver, until

pytestmark = pytest.mark.usefixtures("short_folder")


def holder() -> subprocess.Popen[str]:
    """A process that starts a daemon, prints its folder and waits to be killed."""
    places = str(mps._places()[0])
    code = (
        "import sys, time; from pathlib import Path; from nas.execution import mps\n"
        f"mps._places = lambda: [Path({places!r})]\n"
        "daemon = mps.MpsDaemon(['GPU-aaaa']); print(daemon.folder, daemon._guardian.pid, flush=True)\n"
        "time.sleep(600)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def test_it_is_started_for_the_run_s_gpus_and_ended_with_its_folder(driver: Driver) -> None:
    daemon = mps.MpsDaemon(["GPU-aaaa", "GPU-bbbb"])
    assert daemon.alive()
    assert len(driver.daemons()) == 1
    (start,) = driver.asked("start")
    assert start.split()[1:] == [str(daemon.folder), "GPU-aaaa,GPU-bbbb"]
    assert daemon.folder.stat().st_mode & 0o077 == 0  # nobody else's business
    assert daemon.environment["CUDA_MPS_PIPE_DIRECTORY"] == str(daemon.folder)
    daemon.close()
    assert not driver.daemons()
    assert not daemon.folder.exists()
    assert driver.asked("quit")


def test_numbers_of_gpus_are_not_numbered_anew(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    daemon = mps.MpsDaemon(["2", "3"])
    daemon.close()
    assert driver.asked("start")[0].split()[2] == "-"


def test_a_daemon_that_ignores_quit_is_ended_by_force(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = mps.MpsDaemon(["GPU-aaaa"])
    driver.set("deaf")
    monkeypatch.setattr(mps, "_QUIT", 0)
    monkeypatch.setattr(mps, "_ANSWER", 3.0)
    mps.end(daemon.folder)
    until(lambda: not driver.daemons())  # a killed process is gone a moment later
    daemon.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_its_search_is_killed(driver: Driver, number: int) -> None:
    search = holder()
    assert search.stdout is not None
    folder = Path(search.stdout.readline().split()[0])
    assert driver.daemons()
    os.killpg(search.pid, number)
    search.wait()
    until(lambda: not driver.daemons() and not folder.exists())


def test_one_that_was_left_behind_is_ended_by_the_next_search_and_one_in_use_is_not(driver: Driver) -> None:
    stale, living = holder(), holder()
    assert stale.stdout is not None
    assert living.stdout is not None
    folder, guardian = stale.stdout.readline().split()
    other = Path(living.stdout.readline().split()[0])
    os.kill(int(guardian), signal.SIGKILL)
    stale.kill()
    stale.wait()
    assert len(driver.daemons()) == 2
    daemon = mps.MpsDaemon(["GPU-aaaa"])
    assert not Path(folder).exists()
    assert other.exists()
    assert len(driver.daemons()) == 2  # the living search's, and this one's
    daemon.close()
    living.kill()
    living.wait()
    until(lambda: not driver.daemons())


def test_one_that_died_is_started_again(driver: Driver) -> None:
    daemon = mps.MpsDaemon(["GPU-aaaa"])
    driver.kill_daemons()
    until(lambda: not daemon.alive())
    daemon.restart()
    assert daemon.alive()
    assert len(driver.daemons()) == 1
    daemon.close()
    assert not driver.daemons()


@pytest.mark.parametrize(
    ("trouble", "reason"), [("refuse", "permission denied"), ("mute", "no device that can be shared")]
)
def test_why_there_is_none_is_one_line_and_nothing_stays_behind(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, trouble: str, reason: str
) -> None:
    driver.set(trouble)
    monkeypatch.setattr(mps, "_ANSWER", 3.0)
    with pytest.raises(mps.MpsUnavailable, match=reason) as error:
        mps.MpsDaemon(["GPU-aaaa"])
    assert "\n" not in str(error.value)
    assert not list(mps._places()[0].iterdir())


def test_without_the_program_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not mps.answers()
    with pytest.raises(mps.MpsUnavailable, match="nvidia-cuda-mps-control is not installed"):
        mps.MpsDaemon(["GPU-aaaa"])


def test_a_long_folder_for_temporary_files_is_not_used(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = mps._places()[0]
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(mps, "_places", lambda: [long, short])
    daemon = mps.MpsDaemon(["GPU-aaaa"])
    assert daemon.folder.parent == short
    daemon.close()
    monkeypatch.setattr(mps, "_places", lambda: [long])
    with pytest.raises(mps.MpsUnavailable, match="TMPDIR"):
        mps.MpsDaemon(["GPU-aaaa"])


def test_what_only_looks_like_one_is_left_alone(driver: Driver) -> None:
    """Folders of the name that hold no lock, or are links, belong to somebody else."""
    place = mps._places()[0]
    (place / "smacnas-mps-precious").mkdir()
    (place / "smacnas-mps-precious" / "data").touch()
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "owner.lock").touch()
    (place / "smacnas-mps-link").symlink_to(place / "elsewhere")
    mps.end_stale()
    assert (place / "smacnas-mps-precious" / "data").exists()
    assert (place / "elsewhere" / "owner.lock").exists()
