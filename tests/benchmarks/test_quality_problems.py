"""Problems and opponents of the races: functions are what they claim to be, and searches on them end."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import compare, gate, standings
from benchmarks.quality.bumps import Bumps
from benchmarks.quality.chains import ChainFunction, SmallSpace
from benchmarks.quality.compare import CompareSettings, edition, execute
from benchmarks.quality.drawn import DrawnFunction
from benchmarks.quality.neighbours import Evolution, LocalSearch, exchanges
from benchmarks.quality.opponents import OPPONENTS, make
from benchmarks.quality.optuna_samplers import suggested
from benchmarks.quality.perceptron import PerceptronSpace, train
from benchmarks.quality.race import race, search
from benchmarks.quality.registry import PROBLEMS, chosen, load
from benchmarks.quality.report import replaced
from benchmarks.quality.traces import read, regrets, standing
from nas.optimizers.protocol import Fidelity, Outcome
from nas.util.errors import UserError
from search_spaces.base import Float, Hyperparameter, Integer

HERE = [name for name in PROBLEMS if not name.startswith(("nasbench201", "hpobench"))]  # no package needed


@pytest.mark.parametrize("name", HERE)
def test_every_problem_is_raced_and_nothing_is_better_than_its_best(name: str) -> None:
    problem = load(name, 1)
    for racer in ("random", "local"):
        steps = race(problem, make(racer), seed=1, evaluations=6)
        assert steps
        assert all(regret >= -1e-9 for _, regret in steps)
        assert steps[-1][0] <= 6.001


@pytest.mark.parametrize(("name", "low"), [("opposed", -0.8), ("unrelated", 0.0), ("weak", 0.25)])
def test_low_rungs_correlate_as_is_said(name: str, low: float) -> None:
    drawn = [load(name, seed).rungs for seed in range(8)]  # a single pair may correlate by chance
    found = np.mean([np.corrcoef(rungs[0], rungs[-1])[0, 1] for rungs in drawn])
    assert found == pytest.approx(low, abs=0.15)


def test_blunt_rungs_tell_bad_from_good_but_not_the_best_apart() -> None:
    low, _, high = load("blunt", 0).rungs
    best = high < np.quantile(high, 0.05)
    assert np.corrcoef(low, high)[0, 1] > 0.5
    assert abs(np.corrcoef(low[best], high[best])[0, 1]) < 0.25


def test_two_problems_share_no_function_and_seeds_draw_others() -> None:
    tops = [load(name, seed).rungs[-1] for name in ("drawn", "flat", "opposed", "weak") for seed in (0, 1)]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.9 for a, b in itertools.combinations(tops, 2))


def test_the_best_of_a_chain_is_the_best_of_all() -> None:
    problem = ChainFunction(SmallSpace(), 5)
    every = [problem.true_error(config) for config in problem.space.enumerate()]
    assert len(every) == 24
    assert problem.optimum.best == pytest.approx(min(every))
    huge = load("huge", 2)
    drawn = [huge.true_error(config) for config in huge.space.sample(2000, 0)]
    assert huge.optimum.best < min(drawn)
    assert np.std(drawn) == pytest.approx(0.022, rel=0.3)


def test_hartmanns_best_point_is_the_published_one() -> None:
    assert Bumps.hartmann(4).highest == pytest.approx(3.32237, abs=1e-4)
    problem = Bumps.drawn(0)
    points = np.random.default_rng(0).random((4000, 6))
    assert max(map(problem.value, points)) <= problem.highest + 1e-9


def test_half_of_the_space_crashes_in_the_second_epoch_and_the_default_does_not() -> None:
    problem = load("crashing", 0)
    assert np.mean(problem.crashes) == pytest.approx(0.5, abs=0.01)
    answers = [problem(config, 18, 0) for config in [problem.space.default, *problem.space.sample(200, 0)]]
    assert None not in answers[0].errors
    lost = [answer for answer in answers if None in answer.errors]
    assert 60 < len(lost) < 140
    assert all(answer.errors[0] is not None and answer.errors[1] is None for answer in lost)


def test_the_perceptrons_table_is_what_training_gives() -> None:
    problem = load("perceptron")
    for config in PerceptronSpace().sample(2, 3):
        wanted = [problem(config, 27, 0).errors[epoch - 1] for epoch in (3, 9, 27)]
        assert train(config, 0) == pytest.approx(wanted, abs=0.02)  # other CPUs round otherwise
    space = problem.space
    assert problem.optimum.best == min(problem.true_error(config) for config in space.enumerate())


def test_problems_are_chosen_by_name_and_by_group() -> None:
    assert chosen(["aside", "hartmann", "drawn"])[-1] == "drawn"
    assert all(PROBLEMS[name].aside for name in chosen(["aside"]))
    assert len(chosen(["all", "drawn"])) == len(PROBLEMS)
    with pytest.raises(UserError, match="--problem nowhere: must be of drawn"):
        load("nowhere")
    with pytest.raises(UserError, match="--rungs: huge has rungs of its own"):
        load("huge", 0, Fidelity(6, 18))


@pytest.mark.parametrize("name", ["smac", "tpe", "asha", "local", "evolution", "random", "ours"])
def test_a_race_in_a_small_space_ends_and_finds_what_there_is(name: str) -> None:
    problem = ChainFunction(SmallSpace(), 1)
    state, steps = search(problem, make(name), seed=1, evaluations=40)
    assert {trial.config_id for trial in state.trials.values()}
    assert steps[-1][1] <= steps[0][1]


def test_smac_is_told_the_length_of_the_race_it_is_in() -> None:
    space = SmallSpace()
    for fidelity, trials in ((Fidelity(18, 18), 40), (Fidelity(2, 18), 250)):
        made: Any = make("smac", 40)(space, fidelity, 0)
        assert made._optimizer._facade.scenario.n_trials == trials


@pytest.mark.parametrize("name", ["smac", "tpe", "gp", "local", "evolution", "ours"])
def test_numbers_can_be_raced(name: str) -> None:
    state, steps = search(Bumps.drawn(2), make(name), seed=2, evaluations=8)
    assert len({trial.config_id for trial in state.trials.values()}) >= 7
    assert steps[-1][1] < steps[0][1] or len(steps) == 1


def test_an_exchange_changes_one_thing() -> None:
    import random

    space = Bumps.drawn(0).space
    for one in exchanges(space.default, space, random.Random(0)):
        assert len(space.changes(one)) == 1
    small = SmallSpace()
    found = exchanges(small.default, small, random.Random(0))
    assert len(found) == 1 + 2 + 3
    assert all(len(small.changes(one)) == 1 for one in found)


def test_a_local_search_goes_to_the_best_neighbour_and_starts_again_when_stuck() -> None:
    problem = ChainFunction(SmallSpace(), 3)
    local = LocalSearch(problem.space, problem.fidelity, 0)
    seen, best = [], 1.0
    for _ in range(60):
        suggestion = local.ask()
        if suggestion is None:
            break
        error = problem.true_error(suggestion.config)
        local.tell(suggestion, Outcome(error, 1.0))
        seen.append(error)
        best = min(best, error)
    assert best == pytest.approx(problem.optimum.best)


def test_evolution_lets_the_oldest_die() -> None:
    problem = load("drawn", 0)
    evolution = Evolution(problem.space, problem.fidelity, 0)
    for number in range(45):
        suggestion = evolution.ask()
        assert suggestion is not None
        assert suggestion.origin == ("random" if number < 20 else "child")
        evolution.tell(suggestion, Outcome(0.0 if number == 0 else 0.5, 1.0))
    assert all(error == 0.5 for error, _, _ in evolution._alive)


def test_optuna_is_asked_as_its_users_would() -> None:
    class Trial:
        def __init__(self) -> None:
            self.asked: list[tuple[str, Any]] = []

        def suggest_int(self, name: str, low: int, high: int, log: bool = False) -> int:
            self.asked.append((name, (low, high, log)))
            return high

        def suggest_float(self, name: str, low: float, high: float, log: bool = False) -> float:
            self.asked.append((name, (low, high, log)))
            return low

        def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
            self.asked.append((name, choices))
            return choices[0]

    trial = Trial()
    assert suggested(trial, Float("lr", 0.001, 1.0, 0.1, log=True)) == 0.001
    assert suggested(trial, Integer("depth", 1, 4, 2)) == 4
    assert suggested(trial, Hyperparameter("kernel", (3, 5, 9), 3, ordinal=True)) == 9
    assert suggested(trial, Hyperparameter("norm", ("a", "b"), "a")) == "a"
    assert trial.asked == [
        ("lr", (0.001, 1.0, True)),
        ("depth", (1, 4, False)),
        ("kernel", (0, 2, False)),
        ("norm", ["a", "b"]),
    ]


def test_races_are_kept_and_only_ours_is_run_again_when_its_code_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = CompareSettings(("small",), ("ours", "random"), 1, 4, 1, tmp_path / "races")
    execute(options)
    first = read(options.traces)
    assert [row["opponent"] for row in first] == ["ours", "random"]
    assert sorted(file.name for file in options.traces.iterdir()) == ["ours.jsonl", "random.jsonl"]
    execute(options)
    assert read(options.traces) == first
    monkeypatch.setattr(compare, "edition", lambda name: "other" if name == "ours" else "")
    again = {**first[0], "edition": "other", "steps": [[1, 0.5]]}
    (options.traces / "ours.jsonl").write_text(f"{json.dumps(first[0])}\n{json.dumps(again)}\n")
    execute(options)
    assert read(options.traces) == [first[0], again, first[1]]
    counted = standing(read(options.traces))
    assert [(row["opponent"], row["edition"]) for row in counted] == [("ours", "other"), ("random", "")]
    assert edition("ours") == edition("ours:model=forest") != edition("random")


def test_a_longer_race_has_run_the_shorter_unless_its_length_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = {"problem": "small", "edition": "", "seed": 0, "evaluations": 80.0, "steps": [[1, 0.5], [60, 0.1]]}
    rows = [{**long, "opponent": name} for name in ("tpe", "smac")]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked: list[str] = []

    class Pool(ThreadPoolExecutor):
        def submit(self, function: Any, /, *race: Any, **kwargs: Any) -> Any:
            asked.append(race[1])
            row = {**long, "opponent": race[1], "evaluations": race[3], "steps": [[1, 0.3]]}
            return super().submit(lambda: row)

    monkeypatch.setattr(compare, "ProcessPoolExecutor", lambda processes, context: Pool(1))
    execute(CompareSettings(("small",), ("tpe", "smac"), 1, 40, 1, tmp_path))
    assert asked == ["smac"]
    frame = regrets(read(tmp_path)).set_index(["opponent", "evaluations"]).regret
    assert frame["tpe"].to_dict() == {10: 0.5, 20: 0.5, 40: 0.5, 80: 0.1}
    assert frame["smac"].to_dict() == {10: 0.3, 20: 0.3, 40: 0.3, 80: 0.1}


def test_a_file_of_traces_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "races.jsonl").touch()
    with pytest.raises(SystemExit, match="2"):
        compare.main(["--traces", str(tmp_path / "races.jsonl")])
    assert "races.jsonl: must be a folder, is a file" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(set(OPPONENTS) - {"dehb", "priorband"}))
def test_a_race_can_be_run_again(name: str) -> None:
    first, second = (compare.run("drawn", name, 3, 6) for _ in range(2))
    assert first["steps"] == second["steps"] != []


def test_a_race_that_fails_is_told_and_ends_no_others(tmp_path: Path) -> None:
    row = compare.run("nexception", "nobody", 0, 4)
    assert row["failed"].startswith("UserError: --opponents nobody")
    assert standings.failures([row, row]).endswith("): 2")


def test_the_gate_can_fail_at_a_check_and_at_all_together() -> None:
    checks = (gate.Check("drawn"), gate.Check("opposed", limit=1.5))
    mean = {
        ("drawn", "ours"): 1.0,
        ("drawn", "random"): 2.0,
        ("opposed", "ours"): 1.2,
        ("opposed", "random"): 1.0,
    }
    assert [line[:6] for line in gate.verdict(mean, checks)] == ["ok    "] * 3
    mean["drawn", "ours"] = 2.5
    assert [line[:6] for line in gate.verdict(mean, checks)] == ["FAILED", "ok    ", "FAILED"]
    kinds = {PROBLEMS[check.problem].kind for check in gate.CHECKS}
    assert kinds == {entry.kind for entry in PROBLEMS.values()}


def test_an_empty_place_in_the_page_is_filled_and_a_full_one_replaced() -> None:
    page = "<!-- a -->\n<!-- end -->\nkept\n<!-- b -->\nold\n<!-- end -->\n"
    once = replaced(page, "a", "new")
    assert once == "<!-- a -->\nnew\n<!-- end -->\nkept\n<!-- b -->\nold\n<!-- end -->\n"
    assert replaced(once, "b", "two\nlines") == once.replace("old", "two\nlines")
    assert replaced(replaced(once, "a", "x"), "a", "new") == once


def test_standings_count_wins_and_losses_alike() -> None:
    levels = {"ours": 1.0, "tpe": 2.0, "local": 0.5}
    rows = [
        {
            "problem": "drawn",
            "opponent": name,
            "seed": seed,
            "evaluations": 20,
            "steps": [(1, (level + seed / 10) / 100)],
        }
        for name, level in levels.items()
        for seed in range(8)
    ]
    rows.append({"problem": "huge", "opponent": "ours", "seed": 0, "evaluations": 20, "steps": [(1, 0.01)]})
    table = standings.means(regrets(rows), (20,))
    marks = standings.by_mark(regrets(rows)).splitlines()
    assert marks[2].startswith("| local | ")
    assert marks[2].endswith(", 0.0078, 8 | not run | not run |")
    lines = standings.pooled(table).splitlines()
    assert lines[2].startswith("| local | 8 | ")
    assert "| 0, 0, 8 | 0.0078 |" in lines[2]
    shares = {line.split(" | ")[0].strip("| "): line.split(" | ")[2:4] for line in lines[2:]}
    assert shares["ours"][1].strip() == ""
    assert {shares[name][1] for name in ("local", "tpe")} == {shares["tpe"][1]}
    assert float(shares["tpe"][1]) < float(shares["tpe"][0]), "of the races that both ran"
    assert "| 8, 0, 0 | 0.0078 |" in lines[-1]
    problem = standings.by_problem(table).splitlines()
    assert problem[2] == "| drawn | 8 | 1.35 | **0.85** * | 2.35 * |"
    assert problem[3] == "| huge | 1 | **1.00** | not run | not run |"
    table.loc[table.index.get_level_values("seed") > 5, "local"] = float("nan")
    fewer = standings.by_problem(table).splitlines()
    assert fewer[0] == "| problem | seeds | ours | local, 6 seeds | tpe |"
    assert fewer[2] == "| drawn | 8 | **1.35** | 0.75 * | 2.35 * |"


def test_a_drawn_function_is_the_one_that_settings_were_tuned_on() -> None:
    problem = DrawnFunction(0)
    errors = [problem(config, 18, 7).errors for config in problem.space.sample(3, 1)]
    assert [curve[1] for curve in errors] == pytest.approx([0.656223, 0.647835, 0.670999], abs=1e-5)
    assert [curve[17] for curve in errors] == pytest.approx([0.441481, 0.443954, 0.444667], abs=1e-5)
    assert problem.optimum.best == pytest.approx(0.435525, abs=1e-5)
