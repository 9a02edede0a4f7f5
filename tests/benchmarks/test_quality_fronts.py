"""The test bed of fronts: what is missing of one, races within a limit, tables, and all that race."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import front_compare, front_standings, fronts, registry
from benchmarks.quality.front_opponents import FRONT, LIMITED, make
from benchmarks.quality.fronts import Finished, FrontProblem
from nas.optimizers.smac.pareto import nondominated
from nas.util.errors import UserError


@pytest.fixture(scope="module")
def problem() -> FrontProblem:
    return fronts.load("drawn", 0)


def test_nothing_is_missing_of_the_true_front_and_all_of_no_front(problem: FrontProblem) -> None:
    places = np.flatnonzero(nondominated(problem.points))
    points = [(float(problem.errors[i]), float(problem.costs[i])) for i in places]
    assert problem.missing(points) == pytest.approx(0.0)
    assert problem.missing([]) == 1.0
    assert 0.0 < problem.missing(points[: len(points) // 2]) < 1.0


def test_the_front_found_is_judged_by_true_errors_at_each_mark(problem: FrontProblem) -> None:
    best, cost = float(np.min(problem.errors)), float(problem.costs[np.argmin(problem.errors)])
    lucky = Finished(1.0, measured=best - 0.1, error=0.9, cost=cost)  # hides the next one
    good = Finished(2.0, measured=best, error=best, cost=cost)
    assert fronts.missing_at(problem, [good], 1.9) == 1.0
    assert fronts.missing_at(problem, [good], 2.0) < 1.0
    assert fronts.missing_at(problem, [lucky, good], 2.0) == 1.0


def test_regret_within_a_limit_counts_only_what_fits(problem: FrontProblem) -> None:
    limit = problem.limit(0.1)
    assert np.mean(problem.costs <= limit) == pytest.approx(0.1, abs=0.01)
    best = problem.best(limit)
    beyond = Finished(1.0, 0.0, 0.0, 2 * limit)
    late = Finished(5.0, best + 0.2, best + 0.2, limit)
    worst = float(np.max(problem.errors)) - best
    assert fronts.regret_at(problem, [beyond], 9.0, limit) == pytest.approx(worst)
    assert fronts.regret_at(problem, [beyond, late], 2.0, limit) == pytest.approx(0.2)
    first = Finished(6.0, best, best, limit)
    assert fronts.regret_at(problem, [beyond, late, first], 6.0, limit) == pytest.approx(0.0)


@pytest.mark.parametrize("name", FRONT)
def test_every_opponent_runs_its_race_and_pays_for_it(problem: FrontProblem, name: str) -> None:
    found = fronts.race(problem, FRONT[name], seed=1, evaluations=4)
    again = fronts.race(problem, FRONT[name], seed=1, evaluations=4)
    assert found == again, "equal seeds"
    assert [one.paid for one in found] == sorted(one.paid for one in found)
    assert 0.0 <= fronts.missing_at(problem, found, 4.0) <= 1.0


def test_ours_races_with_other_settings_and_nobody_else_does(problem: FrontProblem) -> None:
    usual, all_rungs, top = (
        fronts.race(problem, make(name, limited=False), seed=1, evaluations=3)
        for name in ("ours", "ours:rungs=all", "ours:rungs=top")
    )
    assert usual != all_rungs != top
    assert len(top) >= 3
    for name in ("theirs", "random:rungs=all", "untrained"):
        with pytest.raises(UserError, match=f"--opponents {name}: must be of ours, motpe"):
            make(name, limited=False)


def test_fronts_of_functions_whose_low_rungs_mislead_are_those_of_the_races_of_one_objective() -> None:
    for name in fronts.MISLEADING:
        made, again = fronts.load(name, 1), registry.load(name, 1)
        config = again.space.default
        assert made.problem(config, 2, 0) == again(config, 2, 0)


@pytest.mark.parametrize("name", ["ours", "untrained"])
def test_what_knows_a_limit_pays_for_nothing_beyond_it(problem: FrontProblem, name: str) -> None:
    limit = problem.limit(0.1)
    found = fronts.race(problem, LIMITED[name], seed=0, evaluations=3, limit=limit)
    beyond = [one for one in found if one.cost > limit]
    assert len(beyond) <= (name == "ours"), "only the base architecture"


def raced(opponent: str, seed: int, values: dict[str, float], edition: str = "") -> dict[str, Any]:
    head = {"problem": "drawn", "share": None, "opponent": opponent, "edition": edition, "seed": seed}
    return {**head, "date": "2026-11-27", "cpu_seconds": 1.0, "values": values}


def test_a_table_has_means_the_best_in_bold_and_paired_tests() -> None:
    rows = [
        raced(name, seed, {"20": value + seed / 100, "40": value})
        for name, value in (("ours", 0.1), ("random", 0.3))
        for seed in range(6)
    ]
    rows += [raced("gp", seed, {"20": 0.05 if seed else 0.2}) for seed in range(3)]
    lines = front_compare.table(rows, (20, 40)).splitlines()
    assert lines[2] == "| ours | **12.50** | **10.00** |  |  | 6 |"
    assert lines[3] == "| random | 32.50 | 30.00 | 6, 0, 0 | 0.031 | 6 |"
    assert lines[4] == "| gp | 10.00 | not run | 1, 0, 2 | too few | 3 |", "on fewer seeds, by one mark"


def test_of_ours_the_last_edition_counts_and_of_others_the_longest_race() -> None:
    counting = [raced("ours", 0, {"20": 0.3}, "new"), raced("gp", 0, {"20": 0.5, "40": 0.4})]
    rows = [
        raced("ours", 0, {"20": 0.5, "40": 0.4}, "old"),
        raced("ours", 1, {"20": 0.5, "40": 0.4}, "old"),
        *counting,
        raced("gp", 0, {"20": 0.5}),
    ]
    assert front_compare.standing(rows) == counting


def test_the_page_says_when_and_with_which_code_the_races_were_run(tmp_path: Path) -> None:
    traces, page = tmp_path / "fronts.jsonl", tmp_path / "page.md"
    rows = [raced("ours", 0, {"20": 0.1, "40": 0.1, "80": 0.1}, "abc"), raced("gp", 0, {"20": 0.2})]
    traces.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page.write_text("Before\n<!-- front-drawn -->\nold\n<!-- end -->\nafter\n")
    front_standings.write(front_standings.FrontStandingsSettings(traces, page))
    text = page.read_text()
    assert "2 races, 2026-11-27; ours: edition abc." in text
    assert "| gp | 20.00 | not run | not run | 1, 0, 0 | too few | 1 |" in text
    assert text.startswith("Before")
    assert text.endswith("after\n")
    assert "old" not in text


def test_what_was_raced_is_not_raced_again_unless_it_is_ours_and_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run: list[tuple[str, int]] = []

    def race(options: Any, opponent: str, seed: int, marks: Any) -> dict[str, Any]:
        run.append((opponent, seed))
        return raced(opponent, seed, {str(mark): 0.5 for mark in marks}, front_compare.edition(opponent))

    monkeypatch.setattr(front_compare, "run", race)
    traces = tmp_path / "traces.jsonl"
    for seeds, changes in (("1", "a"), ("2", "a"), ("1", "b")):
        monkeypatch.setattr(front_compare.compare, "edition", lambda _, changes=changes: changes)
        args = ["--seeds", seeds, "--opponents", "ours", "random", "--traces", str(traces)]
        monkeypatch.setattr(sys, "argv", ["front_compare", *args])
        front_compare.main()
    assert run == [("ours", 0), ("random", 0), ("ours", 1), ("random", 1), ("ours", 0)]
    assert len(traces.read_text().splitlines()) == 5
    assert "| ours | **50.00** |" in capsys.readouterr().out
    run.clear()
    monkeypatch.setattr(sys, "argv", ["front_compare", *args, "--first-seed", "1000"])
    front_compare.main()
    assert run == [("ours", 1000), ("random", 1000)]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--opponents", "nobody"], "--opponents nobody: must be of ours, motpe"),
        (["--evaluations", "5"], "--evaluations 5.0: must be at least 20"),
        (["--evaluations", "5", "--share", "0.1"], "--evaluations 5.0: must be at least 10"),
    ],
)
def test_bad_settings_are_one_line(
    args: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "argv", ["front_compare", *args, "--traces", str(tmp_path / "t.jsonl")])
    with pytest.raises(SystemExit) as ended:
        front_compare.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
