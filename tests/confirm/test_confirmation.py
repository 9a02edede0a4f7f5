"""Confirmation in simulated time: which configurations, which seeds, and what survives a kill."""

from __future__ import annotations

import contextlib
import io
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from nas.confirm import __main__ as confirm
from nas.confirm import candidates, record, session, view
from nas.confirm.loop import Task
from nas.execution.simulated import SimulatedClock, SimulatedExecutor, SimulatedResult
from nas.export import source
from nas.run import journal
from nas.run.confirmed_file import ConfirmedFile
from nas.run.events import SessionStarted, parse
from nas.run.folder import CONFIRMING, Run
from nas.run.state import SearchState
from nas.status import __main__ as status
from nas.util.errors import UserError
from nas.util.seeds import derive
from nas.view.logfile import SilentListener
from search_spaces.base import config_id

Problem = Callable[[dict[str, Any], int, int], SimulatedResult]


def noisy(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """Errors that depend on the configuration and, more than that, on the seed."""
    base = 0.2 + 0.01 * (int(config_id(config), 16) % 10)
    last = base + 0.05 * (seed % 97) / 97
    return SimulatedResult(tuple(last + 0.1 / (1 + epoch) for epoch in range(epochs)), seconds=10.0)


@contextlib.contextmanager
def silent(*_: object):
    yield SilentListener()


def execute(
    path: Path,
    problem: Problem = noisy,
    *,
    top: int = 3,
    seeds: int = 3,
    seconds: float | None = None,
    slots: int = 1,
    shown: Any = silent,
) -> tuple[dict[str, Any], str]:
    """Confirms a run in simulated time, from where its journal ends."""
    run = Run.open(path)
    search = run.read_search()
    searched = SearchState.of(run.read_journal().events)
    chosen = candidates.choose(searched, search.space.default, 9, top, path)
    task = Task(chosen, seeds, 9, search.settings.choice.seed, seconds)
    contents = (
        journal.read(run.confirm_journal) if run.confirm_journal.exists() else journal.Contents([], 0, 0)
    )
    clock = SimulatedClock(contents.events[-1].clock if contents.events else 0.0)
    with journal.Journal(run.confirm_journal, contents.size) as file:
        return session.carry_out(
            run,
            task,
            journal=file,
            contents=contents,
            searched=searched,
            executor=SimulatedExecutor(problem, clock, slots),
            clock=clock,
            view=shown,
            session=SessionStarted("", 0.0, command=["simulated"]),
        )


def trained(path: Path) -> dict[tuple[str, int], list[float | None]]:
    """Errors by configuration and repeat, in the order they came."""
    known = record.Record.of(journal.read(path / "confirm.jsonl").events)
    found: dict[tuple[str, int], list[float | None]] = {}
    for trial in known.state.trials.values():
        if trial.finished:
            found.setdefault((trial.config_id, trial.repeat), []).append(trial.error)
    return found


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "run")


def test_the_best_and_the_baseline_are_trained_with_the_same_fresh_seeds(run: Path) -> None:
    seen: dict[int, set[str]] = {}

    def watched(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        assert epochs == 9
        seen.setdefault(seed, set()).add(config_id(config))
        return noisy(config, epochs, seed)

    found, reason = execute(run, watched)
    assert (reason, found.complete, found.compared) == ("done", True, [1, 2, 3])
    state = SearchState.of(Run.open(run).read_journal().events)
    best = sorted(
        (trial.error, trial.config_id)
        for trial in state.trials.values()
        if trial.error is not None and trial.epochs == 9 and trial.origin != "baseline" and not trial.cached
    )
    default = config_id(Run.open(run).read_search().space.default)
    wanted = {name for _, name in best[:3]} | {default}
    assert seen == {derive(0, "confirm", repeat): wanted for repeat in (1, 2, 3)}
    assert [row.config_id for row in found.configurations if row.baseline] == [default]
    assert Run.open(run).read_confirmed() == found


def test_the_figures_are_the_journals(run: Path) -> None:
    found, _ = execute(run)
    errors = trained(run)
    base = next(row for row in found.configurations if row.baseline)
    for row in found.configurations:
        own = [errors[row.config_id, repeat][0] for repeat in (1, 2, 3)]
        assert row.errors == own
        assert row.mean_error == pytest.approx(statistics.fmean(own))
        assert row.sd_error == pytest.approx(statistics.stdev(own))
        gains = [b - o for b, o in zip(base.errors, own, strict=True)]
        if not row.baseline:
            assert row.mean_gain == pytest.approx(statistics.fmean(gains))
            assert row.sd_gain == pytest.approx(statistics.stdev(gains))
    means = [row.mean_error for row in found.configurations]
    assert means == sorted(means)
    assert found.winner == found.configurations[0].config_id


@settings(max_examples=12)
@given(share=st.floats(0, 1), slots=st.integers(1, 3))
def test_cut_off_anywhere_it_ends_with_the_same_figures(
    share: float, slots: int, finished_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    whole = shutil.copytree(finished_run, folder / "whole")
    expected, _ = execute(whole, top=2, seeds=2)
    data = (whole / "confirm.jsonl").read_bytes()
    cut = shutil.copytree(finished_run, folder / "cut")
    (cut / "confirm.jsonl").write_bytes(data[: round(share * len(data))])
    found, reason = execute(cut, top=2, seeds=2, slots=slots)
    assert reason == "done"

    def figures(values: ConfirmedFile) -> list[Any]:
        return [(row.config_id, row.errors, row.mean_gain) for row in values.configurations]

    assert figures(found) == figures(expected)
    assert all(len(errors) == 1 for errors in trained(cut).values()), "a finished training was run again"
    shutil.rmtree(folder)


def test_the_time_is_kept_seeds_stay_balanced_and_more_time_continues(run: Path) -> None:
    found, reason = execute(run, seconds=900.0)
    assert reason == "budget"
    assert not found.complete
    counts = [sum(error is not None for error in row.errors) for row in found.configurations]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == 9  # 90 s each and, of the first, what the search's cost model predicts
    assert found.compared == list(range(1, min(counts) + 1))
    found, reason = execute(run, seconds=2000.0)
    assert (reason, found.complete) == ("done", True)


def test_nothing_is_trained_twice_and_more_seeds_go_on(run: Path) -> None:
    execute(run, seeds=2)
    before = (run / "confirm.jsonl").read_bytes()
    found, reason = execute(run, seeds=2)
    assert (reason, found.complete) == ("done", True)
    assert (run / "confirm.jsonl").read_bytes() == before
    found, _ = execute(run, top=1, seeds=4)
    assert len(found.configurations) == 2
    assert found.compared == [1, 2, 3, 4]
    assert (run / "confirm.jsonl").read_bytes().startswith(before)


def test_a_crash_keeps_from_winning_and_is_tried_once_more(run: Path) -> None:
    best = candidates.choose(
        SearchState.of(Run.open(run).read_journal().events),
        Run.open(run).read_search().space.default,
        9,
        3,
        run,
    )[0]

    def failing(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        if config == best.config and seed == derive(0, "confirm", 2):
            return SimulatedResult((None,) * epochs, seconds=10.0)
        return SimulatedResult((0.1 if config == best.config else 0.3,) * epochs, seconds=10.0)

    found, reason = execute(run, failing)
    assert reason == "done"
    row = next(row for row in found.configurations if row.config_id == best.config_id)
    assert row.crashes == ["simulated crash in epoch 1"]
    assert row.errors == [0.1, None, 0.1]
    assert found.winner != best.config_id
    assert found.complete
    found, _ = execute(run, lambda config, epochs, seed: SimulatedResult((0.1,) * epochs, 10.0))
    assert trained(run)[best.config_id, 2] == [None, 0.1]
    assert found.winner == best.config_id


def test_what_is_printed(run: Path) -> None:
    lines = io.StringIO()

    def shown(work: Any, task: Task) -> Any:
        return view.choose(quiet=False)(work, task)

    with contextlib.redirect_stdout(lines):
        found, reason = execute(run, shown=shown)
    said = lines.getvalue()
    assert "12 trainings of 9 epochs to do, at most about" in said
    assert said.count("top-1 ") == 12
    assert "seed 3 of 3, baseline: top-1" in said
    console = Console(file=io.StringIO(), width=100, color_system=None)
    view.show(found, reason, Run.open(run).read_search().space.default, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    best = found.configurations[0]
    assert view.spread(best.mean_error, best.sd_error) in text
    assert "3 fresh seeds (validation; mean ± sd)" in text
    assert "95 % interval" in text or "base architecture has the lowest" in text


@pytest.mark.parametrize(
    ("errors", "base", "said"),
    [
        ([0.30, 0.31, 0.29], [0.30, 0.30, 0.31], "the gain may be chance"),
        (
            [0.10, 0.11, 0.12],
            [0.30, 0.31, 0.32],
            "confirmed: trial 4, 89.00 ± 1.00%, +20.00 ± 0.00 points on the baseline (95 %",
        ),
        ([0.30, 0.31], [0.20, 0.21], "the base architecture has the lowest mean error"),
        ([0.1], [0.3], "one seed says nothing of the spread"),
        ([None, 0.1], [None, 0.1], "every configuration crashed at least once"),
    ],
)
def test_the_verdict(errors: list[float | None], base: list[float | None], said: str) -> None:
    chosen = [
        candidates.Candidate("a", {"x": 1}, 4, 0.1),
        candidates.Candidate("b", {"x": 0}, 1, 0.3, baseline=True),
    ]
    known = record.Record()
    number = 0
    for one, own in zip(chosen, (errors, base), strict=True):
        for repeat, error in enumerate(own, start=1):
            number += 1
            stamp = {"trial": number, "time": "2026-01-01T00:00:00.000Z", "clock": 0.0}
            asked = {"config_id": one.config_id, "config": one.config, "epochs": 9, "origin": "confirmation"}
            known.apply(parse({**stamp, **asked, "event": "asked", "repeat": repeat, "searched_trial": None}))
            ended = {"status": "success" if error is not None else "crashed", "error": error, "metrics": {}}
            known.apply(parse({**stamp, **ended, "event": "ended", "seconds": 1.0, "reason": "no"}))
    found = record.summarise(known, chosen, epochs=9, seeds=len(errors))
    assert said in view.verdict(found)


def test_the_confirmed_winner_is_exported(run: Path) -> None:
    before = source.find(str(run))
    assert "the incumbent" in before.note
    last = candidates.choose(
        SearchState.of(Run.open(run).read_journal().events),
        Run.open(run).read_search().space.default,
        9,
        3,
        run,
    )[2]
    execute(
        run,
        lambda config, epochs, _: SimulatedResult((0.1 if config == last.config else 0.3,) * epochs, 10.0),
    )
    after = source.find(str(run))
    assert after.config == last.config != before.config
    assert after.note == f"the confirmed winner, trial {last.trial}: lowest mean error over 3 seeds"
    assert after.facts["validation_top1"] == pytest.approx(0.9)
    assert after.facts["confirmed_by_seeds"] == 3
    assert source.find(str(run), trial=1).facts["trial"] == 1
    (run / "confirmed.json").write_text("{")
    with pytest.raises(UserError, match=r"confirmed\.json: not readable"):
        source.find(str(run))


def test_a_confirmation_is_no_search(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Run(run).lock(CONFIRMING):
        assert status.main([str(run), "--json"]) == 0
        assert orjson.loads(capsys.readouterr().out)["status"] == "stopped"
        with pytest.raises(UserError, match="in use by process .*, confirming"):
            confirm.main([str(run)])
    with Run(run).lock(), pytest.raises(UserError, match="in use by process .*, searching"):
        confirm.main([str(run)])


def test_the_status_names_the_next_step_and_then_the_verdict(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status.main([str(run)])
    assert f"python -m nas.confirm {run} --top 3 --seeds 3" in capsys.readouterr().out
    found, _ = execute(run)
    status.main([str(run)])
    assert view.verdict(found) in capsys.readouterr().out
    status.main([str(run), "--json"])
    assert orjson.loads(capsys.readouterr().out)["confirmed"]["winner"] == found.winner


def test_a_run_without_a_result_at_the_top(simulate) -> None:
    search = simulate("early", trials=4)
    search.run()
    with pytest.raises(UserError, match="no configuration but the baseline was trained for 9 epochs"):
        confirm.main([str(search.path)])
    assert not (search.path / "confirm.jsonl").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--top", "0"], "--top 0: must be at least 1"),
        (["--seeds", "0"], "--seeds 0: must be at least 1"),
        (["--budget", "long"], "--budget 'long': not a duration"),
        (["--trial-timeout", "x"], "--trial-timeout 'x': not a duration"),
    ],
)
def test_bad_flags(flags: list[str], said: str, run: Path) -> None:
    with pytest.raises(UserError) as caught:
        confirm.main([str(run), *flags])
    assert said in str(caught.value)
