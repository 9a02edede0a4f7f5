"""The race of whole programs: images that nobody selects on, winners as programs name them, and the table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch

import search_spaces
from benchmarks.end_to_end import images, judge, results
from benchmarks.end_to_end.racers import RaceSetup, command, race
from benchmarks.end_to_end.settings import RACERS, EndToEndSettings
from benchmarks.end_to_end.user_loop import UserLoopSettings, asked, study, winner
from benchmarks.quality.optuna_samplers import suggested
from nas.trial.loop import train
from nas.trial.settings import TrainSettings
from nas.util.errors import SettingError, UserError
from nas.util.seeds import derive
from search_spaces.points import COST_ENDS, named_points

ROOT = Path(__file__).parents[2]
SHORT: dict[str, Any] = {
    "dataset": "digits",
    "learn": 300,
    "judge": 100,
    "test": 60,
    "width": 16,
    "seeds": 1,
    "min_epochs": 1,
    "max_epochs": 2,
    "eta": 2,
    "minutes": 0.3,
    "repeats": 1,
}


def test_winners_are_judged_on_images_that_no_program_got(tmp_path: Path) -> None:
    options = EndToEndSettings(**SHORT)
    given, other = images.given(options, 0), images.given(options, 1)
    assert len(given.labels) == 400
    assert given.fingerprint != other.fingerprint
    data = images.judged(options, given, 0)
    assert (len(data.train), len(data.val)) == (300, 60)
    seen = {image.tobytes() for image in given.images}
    test = data.val.images.permute(0, 2, 3, 1).contiguous().numpy()
    assert not any(image.tobytes() in seen for image in test)
    images.write(given, tmp_path / "a" / "images.npz")
    with np.load(tmp_path / "a" / "images.npz") as archive:
        assert set(archive.files) == {"x_train", "y_train", "classes"}


def test_a_winner_is_worth_what_a_trial_of_its_seed_would_measure() -> None:
    options = EndToEndSettings(**SHORT)
    data = images.judged(options, images.given(options, 0), 0)
    space, recipe = search_spaces.get("nexception"), TrainSettings().resolve(16, 300, flip=data.flip)
    torch.manual_seed(derive(5, "init"))
    model = space.network(space.default, space.reduced(16, 8), data.num_classes, data.in_chans)
    expected = train(model, data, recipe, epochs=2, max_epochs=2, seed=5).last.top1
    assert judge.accuracy(options, data, space.default, 5) == expected


def test_every_program_gets_the_same(tmp_path: Path) -> None:
    course = RaceSetup(EndToEndSettings(**SHORT), 3, tmp_path / "images.npz", flip=False, folder=tmp_path)
    for racer in RACERS:
        flags = command(racer, course)
        values = {flag: flags[i + 1] for i, flag in enumerate(flags[:-1]) if flag.startswith("--")}
        assert values["--width"] == "16"
        assert values["--seed"] == "3"
        assert values["--max-epochs"] == "2"
        assert float(values.get("--val-fraction", values.get("--share", 0))) == 0.25
        assert values.get("--budget", values.get("--seconds")) in ("18s", "18.0")
        assert flags[-1] == "--no-flip"


def test_optuna_begins_with_the_spaces_named_points() -> None:
    space = search_spaces.get("nexception")
    made = study(UserLoopSettings(Path("x"), Path("y")), space)
    wanted = [config for name, config in named_points(space).items() if name not in COST_ENDS]
    for config in wanted:
        trial = made.ask()
        assert {name: suggested(trial, h) for name, h in space.hyperparameters.items()} == config
        made.tell(trial, 0.1)
    assert asked(space, space.default).keys() == space.hyperparameters.keys()


def test_the_winner_is_the_best_trained_to_the_end() -> None:
    made = optuna.create_study(direction="maximize")
    for accuracies, state in (
        ((0.2, 0.5), optuna.trial.TrialState.COMPLETE),
        ((0.9,), optuna.trial.TrialState.PRUNED),
        ((0.3, 0.6), optuna.trial.TrialState.COMPLETE),
    ):
        trial = made.ask()
        trial.set_user_attr("config", {"last": accuracies[-1]})
        for epoch, accuracy in enumerate(accuracies, 1):
            trial.report(accuracy, epoch)
        value = accuracies[-1] if state == optuna.trial.TrialState.COMPLETE else None
        made.tell(trial, value, state=state)
    found = winner(made, 5)
    assert (found.config, found.accuracy, found.trials, found.epochs) == ({"last": 0.6}, 0.6, 3, 5)
    pruned = optuna.create_study(direction="maximize")
    trial = pruned.ask()
    trial.set_user_attr("config", {"last": 0.4})
    trial.report(0.4, 1)
    pruned.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert winner(pruned, 1).accuracy == 0.4


def test_the_table_says_who_is_ahead_and_how_sure_that_is() -> None:
    rows = [
        {
            "racers": {
                name: {
                    "trials": 10,
                    "epochs": 20,
                    "accuracy": 0.8,
                    "fresh": [level + r / 75] * 2,
                }
                for name, level in (("ours", 0.7), ("optuna", 0.6))
            },
            "base": [0.5, 0.5],
        }
        for r in range(4)
    ]
    rows[0]["racers"]["ours"]["fresh"] = [0.71, 0.71]  # type: ignore[index]
    lines = results.table(rows, ("ours", "optuna")).splitlines()
    assert lines[2].startswith("| ours | 10 | 20 | 80.0 % | 72.2 ± ")
    assert lines[2].endswith("|  |")  # no p against itself
    assert float(lines[3].split("|")[-2]) < 0.01
    assert lines[4].startswith("| base |  |  |  | 50.0 ± 0.0 % |")
    assert "too few" in results.table(rows[:2], ("ours", "optuna"))


def test_races_of_other_terms_are_not_counted(tmp_path: Path) -> None:
    options = EndToEndSettings(**SHORT)
    row = {"repeat": 0, "terms": results.terms(options), "racers": {}, "base": []}
    (tmp_path / "r").write_text(json.dumps(row) + "\n" + json.dumps({**row, "repeat": 1})[:30])
    assert results.read(tmp_path / "r", options) == [row]
    assert results.read(tmp_path / "r", EndToEndSettings(**{**SHORT, "minutes": 2.0})) == []
    places = [
        results.terms(EndToEndSettings(**{**SHORT, "dataset": f"npz:{place}/a.npz"})) for place in ("x", "y")
    ]
    assert places[0] == places[1] != results.terms(options)


@pytest.mark.parametrize(("name", "value"), [("minutes", 0.0), ("seeds", -1), ("cores", 4096)])
def test_settings_that_make_no_race_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=name):
        EndToEndSettings(**{**SHORT, name: value})


def test_a_program_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "images.npz").write_bytes(b"no archive")
    options = EndToEndSettings(**{**SHORT, "racers": ("optuna",)})
    with pytest.raises(UserError, match="optuna: named no winner; .*images.npz|optuna: named no winner"):
        race(RaceSetup(options, 0, tmp_path / "images.npz", flip=False, folder=tmp_path))


@pytest.mark.slow
def test_a_short_race_of_all_programs(tmp_path: Path) -> None:
    flags = [part for name, value in SHORT.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    where = ["--results", str(tmp_path / "results.jsonl"), "--work", str(tmp_path / "work")]
    call = [sys.executable, "-m", "benchmarks.end_to_end", *flags, *where]
    first = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    (row,) = map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())
    assert set(row["racers"]) == set(RACERS)
    for racer in row["racers"].values():
        assert racer["trials"] >= 1
        assert 0 < racer["accuracy"] <= 1
        assert len(racer["fresh"]) == 1
    assert "1 race of 0.3 min" in first.stdout
    again = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    assert again.stdout.splitlines()[-6:] == first.stdout.splitlines()[-6:]
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1
