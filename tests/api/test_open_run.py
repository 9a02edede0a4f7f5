"""A run, opened: what the journal says, typed and as frames."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

import nas

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def run(finished_run: Path) -> nas.Run:
    return nas.open_run(str(finished_run))


def test_it_opens_by_path_and_text(run: nas.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (run.path, str(run.path), Path(os.path.relpath(run.path))):
        assert nas.open_run(path).name == "finished"
    monkeypatch.setenv("HOME", str(run.path.parent))
    assert nas.open_run("~/finished").name == "finished"
    with pytest.raises(nas.UserError, match="no such folder"):
        nas.open_run(run.path / "other")


def test_its_trials_and_its_incumbent(run: nas.Run) -> None:
    trials = run.trials
    assert [trial.trial for trial in trials] == list(range(1, len(trials) + 1))
    assert (run.stopped, run.status) == ("trials", "stopped")
    best = run.incumbent
    known = orjson.loads((run.path / "incumbent.json").read_bytes())
    assert (best.trial, best.config, best.error) == (known["trial"], known["config"], known["error"])
    assert best.config == trials[best.trial - 1].config
    assert best.top1 == trials[best.trial - 1].top1
    assert best.baseline_top1 == pytest.approx(1 - known["baseline"]["error"])
    assert {name: list(pair) for name, pair in best.changes.items()} == {
        change["hyperparameter"]: [change["baseline"], change["incumbent"]]
        for change in known["changes_from_baseline"]
    }
    highest = [t.error for t in trials if t.status == "success" and t.epochs == best.epochs]
    assert best.error == min(error for error in highest if error is not None)
    assert repr(run).endswith(f"best top-1 {100 * best.top1:.2f}%, stopped: trials>")


def test_its_frames_hold_the_same(run: nas.Run) -> None:
    frame = run.trials_dataframe()
    assert list(frame["trial"]) == [trial.trial for trial in run.trials]
    for row, trial in zip(frame.itertuples(), run.trials, strict=True):
        assert row.epochs == trial.epochs
        assert math.isnan(row.error) if trial.error is None else row.error == trial.error
    curves = run.curves_dataframe()
    assert len(curves) == sum(len(trial.curve) for trial in run.trials)


def test_what_comes_after_the_search(run: nas.Run) -> None:
    table = run.importance(engine="local", trees=8, bootstrap=0)
    assert set(table["method"]) == {"lpi", "fanova", "fanova_pairs", "ablation"}
    assert table.attrs["notes"]
    with pytest.raises(nas.UserError, match=r"^trees=1: must be at least 2"):
        run.importance(trees=1)
    with pytest.raises(nas.UserError, match=r"^tress: no such argument; did you mean trees"):
        run.report(tress=1)
    with pytest.raises(nas.UserError, match=r"^geometry=3: must be text"):
        run.export(run.path / "out", geometry=3)
    with pytest.raises(nas.UserError, match=r"^seeds=0: must be at least 1"):
        run.confirm(seeds=0)
    with pytest.raises(nas.UserError, match=r"^quite: no such argument"):
        run.confirm(quite=True)


def test_without_weights_it_says_how_to_get_some(run: nas.Run) -> None:
    with pytest.raises(nas.UserError, match=r"keeps no trained weights.*python -m nas\.confirm"):
        run.network()
    with pytest.raises(nas.UserError, match="keeps no trained weights"):
        run.normalisation()


def test_a_run_that_goes_on_is_read_anew(simulate: Callable[..., Any]) -> None:
    search = simulate("new", trials=1)
    search.run()
    run = nas.open_run(search.path)
    assert repr(run) == f"<Run {search.path}: 1 trial, stopped: trials>"
    with pytest.raises(nas.UserError, match="no incumbent yet.* highest rung of 9 epochs"):
        run.incumbent  # noqa: B018
    search.trials = 4
    search.run()
    assert len(run.trials) >= 4
    assert run.incumbent.epochs == 9
