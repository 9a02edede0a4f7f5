"""A run that weighs costs: its front is Optuna's, and its limits are constraints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from optuna.study import load_study
from optuna.trial import TrialState

from analysis.studies.live import LiveStorage, Mirror
from nas.run import journal
from nas.run.folder import Run
from nas.run.objectives import Objectives
from nas.run.state import SearchState
from nas.util.errors import UserError
from search_spaces.base import Config


@pytest.fixture
def with_costs(write_run: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A run of 60 trials with a cost in their metrics, made to weigh it."""

    def make(costs: list[str], limits: dict[str, float]) -> Path:
        path = write_run(tmp_path / "front", 60, better_if_larger)
        search = orjson.loads((path / "search.json").read_bytes())
        search["objectives"] = {"costs": costs, "limits": limits, "prefer": "error", "network": "t"}
        (path / "search.json").write_bytes(orjson.dumps(search))
        (path / "trials.jsonl").write_bytes(
            b"".join(map(_weighed, (path / "trials.jsonl").read_bytes().splitlines()))
        )
        return path

    return make


def better_if_larger(config: Config, epochs: int, rng: np.random.Generator) -> float:
    return 0.8 - 0.03 * (int(config["kernel_mid"]) + int(config["kernel_down"])) + float(rng.uniform(0, 0.1))


def _weighed(line: bytes) -> bytes:
    values = journal.opened(line)
    if values["event"] == "ended" and values["error"] is not None:
        values["metrics"] |= {
            "cost_macs": values["metrics"]["macs"],
            "cost_params": values["metrics"]["params"],
        }
    return journal.sealed(values)


def shown(path: Path) -> Any:
    storage = LiveStorage()
    Mirror(Run.open(path), "front", storage).refresh()
    return storage


def test_the_front_is_optunas(with_costs: Callable[..., Path]) -> None:
    path = with_costs(["macs"], {"params": 1e6})
    study = load_study(study_name="front", storage=shown(path))
    assert study.metric_names == ["error", "MACs"]
    run = Run.open(path)
    objectives = Objectives.of(run.read_search())
    assert objectives is not None
    front = objectives.front(SearchState.of(run.read_journal().events), 9)
    expected = {trial.config_id: [trial.error, trial.metrics["macs"]] for trial in front}
    assert {trial.user_attrs["config_id"]: trial.values for trial in study.best_trials} == expected
    assert len(expected) > 1


def test_below_the_highest_rung_there_are_no_objectives(with_costs: Callable[..., Path]) -> None:
    storage = shown(with_costs(["macs"], {}))
    pruned = storage.get_all_trials(0, states=(TrialState.PRUNED,))
    assert pruned
    assert all(trial.values is None and trial.intermediate_values for trial in pruned)


def test_a_second_study_has_the_curves(with_costs: Callable[..., Path]) -> None:
    storage = shown(with_costs(["macs"], {}))
    assert [study.study_name for study in storage.get_all_studies()] == ["front", "front (error)"]
    front, alone = storage.get_all_trials(0), storage.get_all_trials(1)
    assert [trial.intermediate_values for trial in front] == [trial.intermediate_values for trial in alone]
    assert all(len(trial.values) == 1 for trial in alone if trial.state == TrialState.PRUNED)


def test_a_run_called_as_that_second_study_is_one_line(with_costs: Callable[..., Path]) -> None:
    storage, run = LiveStorage(), Run.open(with_costs(["macs"], {}))
    Mirror(run, "front (error)", storage)
    with pytest.raises(UserError, match=r"front \(error\): two studies have this name"):
        Mirror(run, "front", storage)


def test_beyond_a_limit_nothing_is_best(with_costs: Callable[..., Path]) -> None:
    path = with_costs([], {"macs": 1e7})
    storage = shown(path)
    (study,) = storage.get_all_studies()
    trials = storage.get_all_trials(0, states=(TrialState.COMPLETE,))
    assert {trial.system_attrs["constraints"][0] <= 0 for trial in trials} == {True, False}
    best = storage.get_best_trial(study._study_id)
    fitting = [trial for trial in trials if trial.user_attrs["cost_macs"] <= 1e7]
    assert best.value == min(trial.value for trial in fitting)
    assert load_study(study_name="front", storage=storage).best_trial.number == best.number
