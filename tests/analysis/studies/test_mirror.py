"""A run's studies hold what the run holds, at any moment of its search and however often one looks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.study import load_study
from optuna.trial import FrozenTrial, TrialState

from analysis.studies.live import LiveStorage, Mirror
from analysis.studies.study import Study
from analysis.studies.trials import frozen
from nas.run import liveness
from nas.run.folder import Run
from nas.run.state import SearchState, Trial
from nas.util.errors import UserError
from nas.util.timestamps import from_iso


@pytest.fixture
def copy(finished_run: Path, tmp_path: Path) -> Path:
    """A run with an empty journal, its lines to come."""
    path = tmp_path / "run"
    shutil.copytree(finished_run, path, ignore=shutil.ignore_patterns("smac", "checkpoints"))
    (path / "trials.jsonl").write_bytes(b"")
    return path


@pytest.fixture(scope="module")
def lines(finished_run: Path) -> list[bytes]:
    return (finished_run / "trials.jsonl").read_bytes().splitlines(keepends=True)


def grow(path: Path, more: list[bytes]) -> None:
    with (path / "trials.jsonl").open("ab") as journal:
        journal.write(b"".join(more))


def mirrored(path: Path) -> list[FrozenTrial]:
    storage = LiveStorage()
    Mirror(Run.open(path), "run", storage).refresh()
    return storage.get_all_trials(0)


def by_key(path: Path) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    for trial in SearchState.of(Run.open(path).read_journal().events).trials.values():
        found.setdefault(trial.key, []).append(trial)
    return found


def test_every_training_is_in_one_trial(finished_run: Path) -> None:
    found, trainings = mirrored(finished_run), by_key(finished_run)
    assert [trial.user_attrs["config_id"] for trial in found] == [
        one[0].config_id for one in trainings.values()
    ]
    states = dict.fromkeys((TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.WAITING), 0)
    for trial, own in zip(found, trainings.values(), strict=True):
        trial._validate()
        states[trial.state] += 1
        if not own[-1].finished:  # asked ahead
            assert trial.state == TrialState.WAITING
            continue
        assert trial.params == own[0].config
        assert trial.user_attrs["trials"] == [one.trial for one in own]
        curve = {epoch: 1 - metrics["top1"] for one in own for epoch, metrics in one.curve.items()}
        assert trial.intermediate_values == pytest.approx(curve)
        reached = max(one.epochs for one in own)
        assert trial.user_attrs["epochs"] == reached
        last = max((one for one in own if one.epochs == reached), key=lambda one: one.trial)
        assert trial.state == (
            TrialState.FAIL
            if last.status == "crashed"
            else TrialState.COMPLETE
            if reached == 9
            else TrialState.PRUNED
        )
        assert trial.value == last.error
        assert trial.datetime_start is not None
        assert trial.datetime_start.timestamp() == pytest.approx(from_iso(own[0].started))
    assert min(states.values()) > 0


def test_a_mirror_that_looks_often_ends_as_one_that_looks_once(copy: Path, lines: list[bytes]) -> None:
    storage, rng = LiveStorage(), np.random.default_rng(0)
    mirror = Mirror(Run.open(copy), "run", storage)
    seen: set[TrialState] = set()
    cuts = [0, *sorted(rng.choice(len(lines), 60, replace=False)), len(lines)]
    for begin, end in pairwise(cuts):
        grow(copy, lines[begin:end])
        mirror.refresh()
        now = storage.get_all_trials(0)
        seen |= {trial.state for trial in now}
        assert [trial.number for trial in now] == [*range(len(by_key(copy)))], "none doubled, none missing"
    assert mirror.refresh() == 0
    assert storage.get_all_trials(0) == mirrored(copy)
    assert {TrialState.WAITING, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL} <= seen


def test_a_look_touches_only_what_is_new(copy: Path, lines: list[bytes]) -> None:
    storage = LiveStorage()
    mirror = Mirror(Run.open(copy), "run", storage)
    place = max(place for place, line in enumerate(lines) if b'"event":"epoch"' in line)
    grow(copy, lines[:place])
    mirror.refresh()
    before = storage.get_all_trials(0, deepcopy=False)
    grow(copy, lines[place : place + 1])
    assert mirror.refresh() == 1
    after = storage.get_all_trials(0, deepcopy=False)
    assert sum(a is not b for a, b in zip(before, after, strict=True)) == 1


def test_a_half_written_line_is_waited_for(copy: Path, lines: list[bytes]) -> None:
    storage = LiveStorage()
    mirror = Mirror(Run.open(copy), "run", storage)
    grow(copy, [*lines[:30], lines[30][:20]])
    mirror.refresh()
    grow(copy, [lines[30][20:], *lines[31:]])
    mirror.refresh()
    assert storage.get_all_trials(0) == mirrored(copy)


def test_a_promoted_trial_goes_on(copy: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "analysis.studies.following.liveness.of", lambda run, state: liveness.Liveness(liveness.RUNNING)
    )
    storage = LiveStorage()
    mirror = Mirror(Run.open(copy), "run", storage)
    states: dict[int, list[str]] = {}
    for line in lines[:-1]:
        grow(copy, [line])
        mirror.refresh()
        for trial in storage.get_all_trials(0, deepcopy=False):
            passed = states.setdefault(trial.number, [])
            if passed[-1:] != [trial.state.name]:
                passed.append(trial.state.name)
    rung = ["WAITING", "RUNNING"]
    assert states[0] == [*rung, *rung, *rung, "COMPLETE"], "the baseline, whose next rung is due at once"
    assert [*rung, "PRUNED"] in states.values()
    assert any(passed[-1] == "FAIL" for passed in states.values())
    assert any(passed[2:3] == ["PRUNED"] and passed[-1] == "COMPLETE" for passed in states.values())


def test_what_is_answered_from_the_record_is_not_due(finished_run: Path) -> None:
    study = Study.of(Run.open(finished_run))
    done = next(one for one in by_key(finished_run).values() if one[-1].error is not None)
    again = replace(done[0], trial=999, status="asked", error=None, ended="", started="", attempts=0)
    before, after = (
        frozen(trainings, study, number=0, trial_id=0, alive=True) for trainings in (done, [*done, again])
    )
    assert after.state == before.state
    assert after.values == before.values


def test_what_trains_is_running_until_the_search_dies(
    copy: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = True
    monkeypatch.setattr(
        "analysis.studies.following.liveness.of",
        lambda run, state: liveness.Liveness(liveness.RUNNING if alive else liveness.DEAD),
    )
    storage = LiveStorage()
    mirror = Mirror(Run.open(copy), "run", storage)
    cut = max(place for place, line in enumerate(lines) if b'"event":"epoch"' in line) + 1
    grow(copy, lines[:cut])
    mirror.refresh()
    (running,) = storage.get_all_trials(0, states=(TrialState.RUNNING,))
    assert running.intermediate_values
    alive = False
    (ahead,) = storage.get_all_trials(0, states=(TrialState.WAITING,))
    assert mirror.refresh() == 2
    due, also_due = storage.get_all_trials(0, states=(TrialState.WAITING,))
    assert (due.number, also_due.number) == (running.number, ahead.number)
    assert due.system_attrs["fixed_params"] == due.params == running.params


def test_further_seeds_are_trials_of_their_own(tmp_path: Path, simulation: Any) -> None:
    simulation(tmp_path / "seeds", trials=120, replicates=0.5).run()
    found, trainings = mirrored(tmp_path / "seeds"), by_key(tmp_path / "seeds")
    further = [trial for trial in found if trial.user_attrs["replicate"]]
    assert len(further) == sum(one[0].repeat > 0 for one in trainings.values()) > 0
    own = {trial.user_attrs["config_id"]: trial for trial in found if not trial.user_attrs["replicate"]}
    for trial in further:
        assert trial.params == own[trial.user_attrs["config_id"]].params
        assert trial.user_attrs["seed"] == trial.user_attrs["replicate"]
        assert trial.state == TrialState.COMPLETE


def test_the_study_says_what_the_run_is(finished_run: Path) -> None:
    storage = LiveStorage()
    Mirror(Run.open(finished_run), "demo", storage).refresh()
    study = load_study(study_name="demo", storage=storage)
    assert study.metric_names == ["error"]
    assert study.direction.name == "MINIMIZE"
    assert study.user_attrs["rungs"] == [1, 3, 9]
    assert study.user_attrs["space"] == "nexception"
    errors = [trial.error for one in by_key(finished_run).values() for trial in one if trial.epochs == 9]
    assert study.best_value == min(error for error in errors if error is not None)


def test_a_journal_that_was_cut_is_said(copy: Path, lines: list[bytes]) -> None:
    mirror = Mirror(Run.open(copy), "run", LiveStorage())
    grow(copy, lines[:50])
    mirror.refresh()
    (copy / "trials.jsonl").write_bytes(b"".join(lines[:20]))
    with pytest.raises(UserError, match="was cut"):
        mirror.refresh()


def test_a_configuration_of_another_space_is_one_line(write_run: Callable[..., Path], tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 5, lambda config, epochs, rng: 0.5)
    space = (path / "configspace.json").read_text()
    (path / "configspace.json").write_text(space.replace('"kernel_mid"', '"kernel_middle"'))
    with pytest.raises(UserError, match=r"trial \d does not fit configspace.json"):
        mirrored(path)


def test_a_long_journal_is_read_once(write_run: Callable[..., Path], tmp_path: Path) -> None:
    """The cost of a look is that of what is new: reading is counted, not timed."""
    path = write_run(tmp_path / "run", 400, lambda config, epochs, rng: 0.5)
    storage = LiveStorage()
    mirror = Mirror(Run.open(path), "run", storage)
    assert mirror.refresh() == len(storage.get_all_trials(0, deepcopy=False))
    with pytest.MonkeyPatch.context() as patch:
        read: list[int] = []
        patch.setattr("nas.run.events.parse", lambda values: read.append(1))
        mirror.refresh()
    assert read == []
