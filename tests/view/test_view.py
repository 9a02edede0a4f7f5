from __future__ import annotations

import io
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from nas.run import journal
from nas.run import tail as journal_tail
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.status import __main__ as status
from nas.status.watcher import Watcher
from nas.util import cli
from nas.util.errors import UserError
from nas.view import panel, summary
from nas.view.lines import describe
from nas.view.snapshot import take


def draw(thing: Any, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(thing)
    return console.file.getvalue()  # type: ignore[attr-defined]


def at(run: Path, share: float) -> tuple[SearchState, dict[str, Any]]:
    """The search when that share of its journal was written."""
    events = journal.read(Run(run).journal).events
    return SearchState.of(events[: round(share * len(events))]), Run(run).read_search()


def test_the_panel_shows_what_a_watcher_wants(finished_run: Path) -> None:
    state, search = at(finished_run, 0.97)
    snapshot = take(state, search, name="mine", status="running", used=state.clock + 1)
    text = draw(panel.draw(snapshot), width=140)
    best = state.trials[state.incumbent or 0]
    assert "mine running" in text
    assert f"{state.finished} of 150 trials, {len(state.crashed)} crashed" in text
    assert f"trial {best.trial} ({best.config_id}), top-1 {100 * (1 - (best.error or 0)):.2f}%" in text
    assert "points on the baseline" in text
    assert "simulated crash in epoch 2" in text
    for trial in state.running_trials():
        assert f"trial {trial.trial}" in text


@pytest.mark.parametrize("share", [0.0, 0.01, 0.03, 0.1, 0.5])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_moment_can_be_drawn_at_every_width(finished_run: Path, share: float, width: int) -> None:
    state, search = at(finished_run, share)
    for word in ("running", "stopped", "dead"):
        text = draw(panel.draw(take(state, search, name="r", status=word, used=1.0)), width)
        assert max(len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize(
    ("used", "finished", "limit", "words"),
    [
        (10.0, 10, 40, ("trials", "10 of 40 trials, about 30s to go")),
        (50.0, 10, 40, ("time", "50s of 1m 40s  10 of 40 trials")),
        (10.0, 10, None, ("time", "10s of 1m 40s  10 trials")),
        (10.0, 1, None, ("time", "10s of 1m 40s  1 trial")),
        (10.0, 40, 40, ("trials", "40 of 40 trials")),
        (0.0, 0, 40, ("time", "0 of 40 trials")),
    ],
)
def test_the_bar_shows_the_limit_that_comes_first(
    finished_run: Path, used: float, finished: int, limit: int | None, words: tuple[str, str]
) -> None:
    state, search = at(finished_run, 1.0)
    whole = take(state, search, name="x", status="running", used=used)
    shown = replace(
        whole, budget_seconds=100.0, used_seconds=used, finished=finished, trial_limit=limit, crashed=0
    )
    (line,) = draw(panel._time(shown), width=120).strip().splitlines()
    assert line.split()[0] == words[0]
    assert words[1] in line
    assert ("to go" in line) == ("to go" in words[1])


def test_a_promoted_trial_starts_where_its_last_rung_ended(finished_run: Path) -> None:
    events = journal.read(Run(finished_run).journal).events
    for index, event in enumerate(events):
        state = SearchState.of(events[: index + 1])
        if event.kind == "started" and state.trials[event.trial].origin == "promotion":
            shown = take(state, Run(finished_run).read_search(), name="r", status="running", used=1.0).running
            assert shown[0].epochs_done == state.reached[state.trials[event.trial].config_id] > 0
            return
    raise AssertionError("no promotion in the run")


def test_each_finished_trial_has_a_line_and_answers_from_the_record_have_none(finished_run: Path) -> None:
    events = journal.read(Run(finished_run).journal).events
    state = SearchState()
    lines = []
    for event in events:
        state.apply(event)
        text = describe(event, state)
        if event.kind == "ended":
            assert (text is None) == event.cached
        lines.append(text or "")
    assert sum("crashed, simulated crash" in line for line in lines) == len(state.crashed)
    assert sum(line.startswith("incumbent: ") for line in lines) == len(state.incumbents)
    assert lines[-1] == "search stops: the number of trials is reached"


def test_the_summary_ranks_and_tells_what_next(finished_run: Path) -> None:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    run = Run(finished_run)
    state = SearchState.of(run.read_journal().events)
    summary.show(run, run.read_search(), state, "trials", console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    state, _ = at(finished_run, 1.0)
    ranked = summary.ranking(state)
    assert ranked[0].trial == state.incumbent
    assert [t.epochs for t in ranked] == sorted((t.epochs for t in ranked), reverse=True)
    assert f"python -m nas.search --resume {finished_run}" in text
    assert "baseline" in text


def test_status_of_a_killed_a_stopped_and_a_running_search(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")

    def seen() -> str:
        assert status.main([str(run), "--json"]) == 0
        return orjson.loads(capsys.readouterr().out)["status"]

    assert seen() == "stopped"
    lines = (run / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (run / "trials.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    assert seen() == "dead"
    with Run(run).lock():
        assert seen() == "running"


def test_a_status_read_in_pieces_is_the_same_and_names_the_damaged_line(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Watcher(finished_run).look()
    monkeypatch.setattr(journal_tail, "_PIECE", 500)
    assert Watcher(finished_run).look() == whole
    run = shutil.copytree(finished_run, tmp_path / "damaged")
    lines = (run / "trials.jsonl").read_bytes().split(b"\n")
    lines[-3] = lines[-3].replace(b'"', b"'", 1)
    (run / "trials.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(UserError, match=f"line {len(lines) - 2} is damaged"):
        Watcher(run).look()


def test_the_status_as_a_picture(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.main([str(finished_run), "--svg", str(tmp_path / "live.svg")]) == 0
    assert capsys.readouterr().out == ""
    assert "incumbent" in (tmp_path / "live.svg").read_text()
    with pytest.raises(SystemExit) as exit_:
        cli.run(lambda: status.main([str(finished_run), "--svg", str(tmp_path / "no" / "live.svg")]), "prog")
    assert exit_.value.code == 2


def test_watching_a_stopped_search_ends(finished_run: Path) -> None:
    command = [sys.executable, "-m", "nas.status", str(finished_run), "--watch"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0
    assert "incumbent" in process.stdout


def test_a_reader_that_stops_reading_is_no_error(finished_run: Path) -> None:
    command = f"{sys.executable} -m nas.status {finished_run} --json | head -1"
    process = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert process.stderr == ""
