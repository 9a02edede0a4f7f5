"""The user's own command is run when there is something to tell, and can do no harm."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from nas.execution.simulated import SimulatedResult
from nas.run.folder import Run
from nas.search import notify
from nas.search.notify import Notifier, check
from nas.search.session import RunningSession
from nas.util.errors import UserError
from nas.view.logfile import SilentListener

TELL = 'printf "%s|%s|%s\\n" "$SMACNAS_EVENT" "$SMACNAS_RUN" "$SMACNAS_MESSAGE" >> told'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@dataclass
class Told:
    event: str
    run: str
    message: str


def told() -> list[Told]:
    path = Path("told")
    return [Told(*line.split("|")) for line in path.read_text().splitlines()] if path.exists() else []


@contextlib.contextmanager
def silent(watched: RunningSession) -> Iterator[SilentListener]:
    yield SilentListener()


def searched(simulation: Any, notifier: Notifier, *, until: int | None = None) -> Run:
    """A simulated search that is watched as a real one is."""
    search, journal = simulation.search()
    run = Run(simulation.path)
    watched = RunningSession(run, run.read_search(), search.state, search.used, search.stop)
    with journal, notifier.watching(silent)(watched) as listener:
        search._listeners = (listener,)
        from nas.run.events import SessionStarted

        search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
    notifier.close()
    return run


def always_crashing(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    fine = config == search_spaces.get("nexception").default
    return SimulatedResult(tuple(0.5 if fine else None for _ in range(epochs)), seconds=10.0)


def level(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    return SimulatedResult((0.5,) * epochs, seconds=10.0)


def test_the_first_series_of_crashes_is_told_once(simulate: Callable[..., Any]) -> None:
    notifier = Notifier.checked(TELL, None)
    run = searched(simulate("crashing", trials=40, problem=always_crashing), notifier)
    (only,) = told()
    assert (only.event, only.run) == ("crashes", str(run.path))
    assert only.message.startswith("3 trials in a row crashed, the last for: ")


def test_a_standstill_is_told_each_time_that_it_lasts_so_long(simulate: Callable[..., Any]) -> None:
    notifier = Notifier.checked(TELL, 200.0)
    search = simulate("level", trials=100, problem=level)
    searched(search, notifier)
    first = told()
    assert len(first) > 2
    assert {one.event for one in first} == {"no_improvement"}
    assert first[0].message.startswith("nothing has improved for 3m ")
    assert "the best has 50.00%" in first[0].message
    Path("told").unlink()
    search.trials = 101  # a resumed one does not say it all again
    searched(search, Notifier.checked(TELL, 200.0))
    assert len(told()) <= 1


def test_an_improvement_is_no_standstill(simulate: Callable[..., Any]) -> None:
    searched(simulate("fine", trials=30), Notifier.checked(TELL, 1e6))
    assert told() == []


def test_the_end_is_told_and_errors_are_too(simulate: Callable[..., Any]) -> None:
    notifier = Notifier.checked(TELL, None)
    with notifier.notifying_of_errors(), pytest.raises(UserError):
        raise UserError("before there is a run nobody needs to be told")
    run = searched(simulate("mine", trials=4), notifier)
    notifier.end('all "done" $HOME `id`\nsecond line')
    with pytest.raises(UserError, match="disk"), notifier.notifying_of_errors():
        raise UserError("the disk is full")
    assert [one.event for one in told()] == ["end", "end"]
    assert told()[0].message == 'all "done" $HOME `id`\\nsecond line'
    assert told()[1].message == "the disk is full"
    assert {one.run for one in told()} == {str(run.path)}


def test_a_command_that_fails_or_hangs_does_no_harm(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_PATIENCE", 0.3)
    run = searched(simulate("mine", trials=4), failing := Notifier.checked("echo why >&2; exit 7", None))
    failing.end("over")
    assert "notify: exit code 7, why" in run.log.read_text()
    hanging = Notifier.checked("sleep 60", None)
    hanging.about(run)
    begun = time.monotonic()
    hanging.send("end", "x")
    assert time.monotonic() - begun < 0.3
    hanging.close()
    assert time.monotonic() - begun < 5
    assert "notify: still runs after" in run.log.read_text()


def test_without_a_command_nothing_changes(simulate: Callable[..., Any]) -> None:
    notifier = Notifier.checked(None, None)
    assert notifier.watching(silent) is silent
    run = searched(simulate("mine", trials=4), notifier)
    notifier.about(run)
    notifier.end("over")
    assert told() == []


@pytest.mark.parametrize(
    "command",
    [
        "mail -s x y | cat" if Path("/usr/bin/mail").exists() else "cat /dev/null",
        "A=1 B='2 3' echo x",
        "cd / && echo x",
        "(echo x; echo y)",
        "if true; then echo x; fi",
        "for a in 1 2; do echo $a; done",
        "$HOME/bin/what-is-known-later",
        ". ./script",
        "/bin/echo x",
        "[ -n x ] && echo y",
    ],
)
def test_what_a_shell_runs_is_taken(command: str) -> None:
    check(command)


@pytest.mark.parametrize(
    "command", ["", "  ", "no-such-thing", "/no/such/thing x", "~/no-such x", "echo 'x", "if"]
)
def test_what_no_shell_runs_is_refused(command: str) -> None:
    with pytest.raises(UserError, match="no such program|not a command that sh understands"):
        check(command)
