"""The races that justify the defaults: every racer runs in the real loop, and the sums are right."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from smac.acquisition.function import EI

from benchmarks.quality import compare, levers, proxy, surrogate, variants
from benchmarks.quality.nexception_table import NexceptionTableSettings, items, known, write
from benchmarks.quality.opponents import OPPONENTS, make
from benchmarks.quality.problems import NexceptionSurrogate
from benchmarks.quality.race import race, search
from benchmarks.quality.registry import load
from benchmarks.quality.report import markdown, summary
from benchmarks.quality.traces import at, read, regrets
from nas.optimizers.protocol import Fidelity
from nas.optimizers.smac.candidates import Candidates
from nas.optimizers.smac.gaussian_process import GaussianProcess
from nas.search.settings import ChoiceSettings
from nas.util.errors import UserError
from search_spaces.base import config_id

# Their pins do not fit ours; docs/quality.md tells how to add them.
ADDED = {"dehb": "dehb", "priorband": "neps"}
HERE = sorted(name for name in OPPONENTS if name not in ADDED or find_spec(ADDED[name]))


@pytest.fixture(scope="module")
def problem() -> NexceptionSurrogate:
    return load("nexception")


def test_the_default_races_with_its_further_seeds_and_no_other_has_any() -> None:
    row = compare.run("small", "ours", 0, 40.0)  # 24 configurations: exhausted, then measured again
    assert "failed" not in row
    with_them, without = (
        race(load("small", 0), make("ours"), seed=0, evaluations=40, replicates=share)
        for share in (ChoiceSettings().replicates, 0.0)
    )
    assert row["steps"] == [(round(paid, 3), round(regret, 6)) for paid, regret in with_them]
    assert with_them != without
    assert compare.further_seeds("ours:rungs=all") == ChoiceSettings().replicates > 0
    assert {compare.further_seeds(name) for name in OPPONENTS if name != "ours"} == {0.0}


@pytest.mark.parametrize("name", HERE)
def test_every_opponent_races_and_no_incumbent_is_better_than_the_best(
    name: str, problem: NexceptionSurrogate
) -> None:
    steps = race(problem, make(name), seed=3, evaluations=6)
    paid = [cost for cost, _ in steps]
    assert paid == sorted(paid)
    assert paid[-1] <= 6
    assert all(regret >= 0 for _, regret in steps)
    default = problem.true_error(problem.space.default) - problem.optimum.best
    assert steps[0][1] == pytest.approx(default)  # the baseline comes first for all


def test_equal_seeds_give_equal_races(problem: NexceptionSurrogate) -> None:
    first, again, other = (race(problem, make("ours"), seed=s, evaluations=6) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_an_answer_is_the_beginning_of_a_longer_one_and_noise_has_the_measured_size(
    problem: NexceptionSurrogate,
) -> None:
    config = problem.space.default
    short, long = problem(config, 2, 7), problem(config, 18, 7)
    assert long.errors[:2] == short.errors
    last = [problem(config, 18, seed).errors[-1] or 0.0 for seed in range(2000)]
    assert np.mean(last) == pytest.approx(problem.true_error(config), abs=0.002)
    pool = surrogate.trainings(pd.read_parquet(surrogate.TABLE)).noise
    assert np.std(last) == pytest.approx(np.sqrt((pool[:, -1] ** 2).mean()), rel=0.15)


def test_the_surrogate_ranks_configurations_it_has_not_seen() -> None:
    data = surrogate.trainings(pd.read_parquet(surrogate.TABLE))
    assert surrogate.cross_validate(data, "pairs")["spearman"] > 0.6
    shuffled = surrogate.Curves(
        data.configs,
        data.curves[np.random.default_rng(0).permutation(len(data.curves))],
        data.seconds,
        data.noise,
    )
    assert abs(surrogate.cross_validate(shuffled, "pairs")["spearman"]) < 0.4


def test_the_table_is_what_its_list_says() -> None:
    frame = pd.read_parquet(surrogate.TABLE)
    table = frame[frame.part == "table"]
    listed = {(config_id(item.config), item.seed) for item in items(NexceptionTableSettings(configs=2000))}
    assert set(table[["config_id", "seed"]].itertuples(index=False, name=None)) <= listed
    assert table.groupby(["config_id", "seed"], observed=True).epoch.apply(list).map(len).eq(18).all()
    assert Path(surrogate.TABLE).stat().st_size < 5e6


def test_settings_of_ours_can_be_changed_by_name() -> None:
    assert make("ours:random_probability=0.5,model=forest") is not None
    for wrong in ("theirs", "tpe:seed=1"):
        with pytest.raises(UserError, match=f"--opponents {wrong}"):
            make(wrong)


def test_regret_is_that_of_the_incumbent_then() -> None:
    steps = [(1.0, 0.4), (3.0, 0.2), (9.0, 0.1)]
    assert [at(steps, mark) for mark in (0.5, 1, 2.9, 3, 100)] == [0.4, 0.4, 0.4, 0.2, 0.1]


def test_summary_ranks_by_mean_regret_and_tests_pairs(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "problem": "p",
            "opponent": name,
            "seed": seed,
            "evaluations": 80,
            "steps": [(1, level + seed / 100)],
        }
        for name, level in (("ours", 0.1), ("random", 0.2))
        for seed in range(8)
    ]
    (tmp_path / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = summary(regrets(read(tmp_path / "traces.jsonl")))
    assert list(table.index) == ["ours", "random"]
    assert table["rank"].tolist() == [1.0, 2.0]
    assert table.p["random"] == pytest.approx(2 / 2**8)  # all eight pairs the same way
    assert "| ours | **13.50** |" in markdown(table)


def test_other_rungs_can_be_raced(problem: NexceptionSurrogate) -> None:
    other = load("nexception", fidelity=Fidelity(1, 9, 3))
    assert other.optimum.full_seconds == pytest.approx(problem.optimum.full_seconds / 2)
    assert race(other, make("random"), seed=0, evaluations=3)


def test_trainings_are_added_to_the_table_without_the_rows_it_was_made_of(tmp_path: Path) -> None:
    shutil.copy(surrogate.TABLE, tmp_path / "table.parquet")
    options = NexceptionTableSettings(table=tmp_path / "table.parquet", rows=tmp_path / "rows.jsonl")
    before = known(options)
    assert len(before) == len(pd.read_parquet(surrogate.TABLE))  # on a fresh clone, nothing is trained again
    old = before[before.config_id == before.config_id.iloc[0]].iloc[:18]
    new = old.assign(seed=9)
    lines = [frame.to_json(orient="records") for frame in (old, new)]
    options.rows.write_text("\n".join([*lines, lines[1][:40]]))  # a kill cut the last line
    write(options)
    after = pd.read_parquet(options.table)
    assert len(after) == len(before) + 18
    assert sorted(after.seed.unique()) == sorted({*before.seed.unique(), 9})
    assert len(known(options)) == len(after)  # the rows are still there, and count once


def test_the_proxys_figures_are_those_of_the_table() -> None:
    frame = pd.read_parquet(surrogate.TABLE).astype({"part": str, "config_id": str})
    n, rank, noise, spread = proxy.seeds(frame)
    last = frame[(frame.part == "table") & (frame.epoch == 18)]
    both = last.groupby("config_id").seed.agg(set)
    assert n == sum({0, 1} <= seeds for seeds in both)
    assert 0.5 < rank <= 1
    assert 0 < noise < spread
    assert proxy.settings(frame).configurations["deep"] == 14
    by_epoch = proxy.epochs(surrogate.trainings(frame))
    assert by_epoch[1] < by_epoch[6] < by_epoch[12]
    worth = proxy.shares(surrogate.trainings(frame))
    assert (worth >= -1e-9).all()
    assert worth.sum() <= 1


def test_levers_are_compared_function_by_function() -> None:
    rows = [
        {"change": change, "function": function, "mark": 10, "regret": (function + gain) / 100}
        for change, gain in (("default", 0.0), ("better=1", -0.5))
        for function in range(4)
    ]
    lines = levers.table(pd.DataFrame(rows)).splitlines()
    assert lines[2] == "| better=1 | 1.00 | 1.00 | -0.50 ± 0.00 |"
    assert lines[3] == "| default | 1.50 | 1.50 |  |"


def test_a_change_of_rungs_is_raced_and_kept(tmp_path: Path) -> None:
    options = levers.LeversSettings(
        functions=1, rungs=(6, 18), evaluations=10, processes=1, traces=tmp_path / "t"
    )
    frame = levers.execute(options)
    assert frame.mark.tolist() == [10]
    assert frame.regret.between(0, 0.3).all()
    kept = options.traces.read_text()
    pd.testing.assert_frame_equal(levers.execute(options), frame)
    assert options.traces.read_text() == kept


@pytest.mark.parametrize("name", sorted(variants.VARIANTS))
def test_every_variant_races_and_chooses_otherwise(name: str, problem: NexceptionSurrogate) -> None:
    known = variants.build(f"{name}={3 if name == 'belief' else 1}", problem, 5)
    assert known is not None
    raced, maker = known
    if name == "stop":
        raced = variants.Stopping(problem, -1.0)  # even the best is never good enough: all but one stop
    asked = [
        list(search(*race, seed=5, evaluations=6)[0].trials.values())
        for race in ((raced, maker), (problem, make("ours")))
    ]
    assert [(t.config_id, t.epochs) for t in asked[0]] != [(t.config_id, t.epochs) for t in asked[1]]


def test_a_stopped_trial_costs_half_and_is_never_the_best(problem: NexceptionSurrogate) -> None:
    stopping = variants.Stopping(problem, -1.0)
    configs = problem.space.sample(9, 0)
    first, *others = (stopping(config, 18, seed) for seed, config in enumerate(configs))
    assert first == problem(configs[0], 18, 0)
    for seed, answer in enumerate(others, 1):
        whole = problem(configs[seed], 18, seed)
        assert answer.seconds == pytest.approx(whole.seconds / 2)
        assert answer.errors[-1] > first.errors[-1]
        assert answer.errors[:-1] == whole.errors[:-1]
    assert stopping(configs[1], 6, 1) == problem(configs[1], 6, 1)


def test_frugal_choice_learns_what_is_dear() -> None:
    space = load("nexception").space
    rows = Candidates(space.configspace())
    frugal = variants.Frugal(1.0, space)
    drawn = space.sample(60, 0)
    for config in drawn:
        frugal.note(rows.encode(config).get_array(), 1.0 + int(config["kernel_mid"]))
    model = GaussianProcess(space.configspace())
    X = np.array([rows.encode(config).get_array() for config in drawn])
    model.train(X, np.linspace(0.4, 0.5, 60))
    plain = EI()
    for criterion in (frugal, plain):
        criterion.update(model=model, eta=0.4, finished=60)
    pair = [rows.encode({**drawn[30], "kernel_mid": k}).get_array() for k in (3, 9)]
    shares = (frugal._compute(np.array(pair)) / plain._compute(np.array(pair))).ravel()
    assert shares[0] / shares[1] == pytest.approx(10 / 4, rel=0.15)
