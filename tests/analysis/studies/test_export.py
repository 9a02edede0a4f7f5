"""``analysis.history --format optuna``: a storage that Optuna opens, new or already there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from analysis.history.__main__ import main
from analysis.studies.live import LiveStorage, Mirror
from nas.run.folder import Run
from nas.util.errors import UserError


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """The first quarter of a run, for storages that take their time."""
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    cut(copy, 1 / 4)
    return copy


def cut(run: Path, share: float) -> None:
    journal = run / "trials.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: int(len(lines) * share)]))


def loaded(given: str) -> optuna.Study:
    storage: str | optuna.storages.BaseStorage = given
    if "://" not in given:
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(given))
    return optuna.load_study(study_name="run", storage=storage)


def mirrored(run: Path) -> list[optuna.trial.FrozenTrial]:
    storage = LiveStorage()
    Mirror(Run.open(run), "run", storage).refresh()
    return storage.get_all_trials(0)


def same(found: list[optuna.trial.FrozenTrial], expected: list[optuna.trial.FrozenTrial]) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        for name in ("number", "state", "values", "params", "distributions", "user_attrs", "datetime_start"):
            assert getattr(one, name) == getattr(other, name), name
        assert one.intermediate_values == pytest.approx(other.intermediate_values)


def export(run: Path, out: str) -> None:
    assert main([str(run), "--format", "optuna", "--output", out]) == 0


@pytest.mark.parametrize("form", ["deep/study.db", "study.log", "sqlite:///{tmp}/url.sqlite3"])
def test_optuna_opens_it(run: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = form.format(tmp=tmp_path) if "://" in form else str(tmp_path / form)
    export(run, out)
    assert capsys.readouterr().out.strip() == out
    study = loaded(f"sqlite:///{out}" if out.endswith(".db") else out)
    same(study.trials, mirrored(run))
    assert study.metric_names == ["error"]
    assert study.best_value == min(trial.value for trial in study.trials if trial.state.name == "COMPLETE")


def test_it_lies_in_the_run_by_default(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), "--format", "optuna"]) == 0
    assert capsys.readouterr().out.strip() == str(run / "analysis" / "optuna.db")
    assert [path.name for path in (run / "analysis").iterdir()] == ["optuna.db"], "no half-made file is left"


@pytest.mark.parametrize("form", ["sqlite:///{tmp}/mine.db", "{tmp}/mine.log"])
def test_a_storage_with_studies_gets_one_more(
    run: Path, finished_run: Path, tmp_path: Path, form: str
) -> None:
    out = form.format(tmp=tmp_path)
    storage: str | optuna.storages.BaseStorage = out
    if "://" not in out:
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(out))
    mine = optuna.create_study(study_name="mine", storage=storage)
    mine.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    export(run, out)
    same(loaded(out).trials, mirrored(run))
    assert len(optuna.load_study(study_name="mine", storage=storage).trials) == 3
    # The search goes on, and is exported again: its study is the run's again, nothing is doubled.
    shutil.copy(finished_run / "trials.jsonl", run / "trials.jsonl")
    cut(run, 1 / 3)
    export(run, out)
    same(loaded(out).trials, mirrored(run))
    assert len(optuna.load_study(study_name="mine", storage=storage).trials) == 3


def test_another_study_of_that_name_stays(run: Path, tmp_path: Path) -> None:
    out = f"sqlite:///{tmp_path}/mine.db"
    optuna.create_study(study_name="run", storage=out).enqueue_trial({"x": 1})
    with pytest.raises(UserError, match="has another study called run already") as error:
        export(run, out)
    assert "\n" not in str(error.value)
    assert len(loaded(out).trials) == 1


def test_a_run_of_the_same_name_is_another(run: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "two.log")
    export(run, out)
    journal = run / "trials.jsonl"
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    from nas.run.journal import opened, sealed

    journal.write_bytes(b"".join([sealed({**opened(first[:-1]), "pid": 12345}), *rest]))
    with pytest.raises(UserError, match="has another study called run already"):
        export(run, out)


@pytest.mark.parametrize(
    ("out", "line"),
    [
        ("sqlite:////none/there/x.db", "unable to open database file"),
        ("sqlite://", "in memory only"),
        ("nonsense://user:secret@host/x", "nonsense://user:\\*\\*\\*@host/x: cannot be used"),
        ("/proc/none/x.log", "cannot be written"),
        ("{tmp}", "cannot be used"),
        ("{tmp}/notes.txt", "no storage of Optuna"),
        ("{tmp}/other.json", "no storage of Optuna"),
    ],
)
def test_what_is_no_storage_is_one_line(run: Path, tmp_path: Path, out: str, line: str) -> None:
    (tmp_path / "notes.txt").write_text("buy milk\n")
    (tmp_path / "other.json").write_text("{}\n")
    with pytest.raises(UserError, match=line) as error:
        export(run, out.format(tmp=tmp_path))
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)
    assert (tmp_path / "notes.txt").read_text() == "buy milk\n"


def test_no_trial_has_finished(run: Path, tmp_path: Path) -> None:
    cut(run, 0.01)
    with pytest.raises(UserError, match="no trial has finished yet"):
        export(run, str(tmp_path / "x.db"))
    assert not (tmp_path / "x.db").exists()


def test_other_formats_do_not_import_optuna(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from analysis.history.__main__ import main; "
        f"main([{str(run)!r}, '--format', 'csv', '-o', {str(tmp_path / 'x.csv')!r}]); "
        "assert 'optuna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
