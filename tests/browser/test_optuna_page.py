"""optuna-dashboard in a browser, opened while a small search trains and never loaded again.

The environment variable SCREENSHOTS names a folder for pictures of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from analysis.studies.live import LiveStorage, Mirror
from nas.run.folder import Run
from tests.browser.conftest import GRAPHS, Page
from tests.typed_commands import IMAGES, ROOT, SMALL

pytestmark = pytest.mark.acceptance
ENV = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SEARCH = f"--budget 1h --trials 14 --device cpu --objectives error macs --name live --quiet {IMAGES} {SMALL}"


class Board(Page):
    """optuna-dashboard in a browser."""

    pictures = "optuna"

    @property
    def text(self) -> str:
        return str(self.driver.find_element("tag name", "body").text)

    def chart(self, element: str) -> list[dict[str, Any]]:
        """Traces of the chart in an element, empty before it is there."""
        script = GRAPHS.replace(
            "document.querySelectorAll('.js-plotly-plot')", f"document.querySelectorAll('#{element}')"
        ).replace("graph.data.map", "(graph.data || []).map")
        found: list[list[dict[str, Any]]] = self.driver.execute_script(script)
        return found[0] if found else []

    def curves(self) -> dict[int, dict[int, float]]:
        """Learning curves by trial."""
        return {
            int(trace["name"].split()[1].removeprefix("#")): dict(zip(trace["x"], trace["y"], strict=True))
            for trace in self.chart("graph-intermediate-values")
        }


def trials(run: Path, study: int) -> list[FrozenTrial]:
    storage = LiveStorage()
    Mirror(Run.open(run), "live", storage).refresh()
    return storage.get_all_trials(study)


def halted(process: subprocess.Popen[bytes], run: Path) -> bool:
    """Stops a search if it is amid a trial with a curve, which the page shows; between two it goes on."""

    def amid() -> bool:
        found = trials(run, 1) if (run / "trials.jsonl").exists() else []
        return any(one.state == TrialState.RUNNING and one.intermediate_values for one in found)

    if not amid():
        return False
    process.send_signal(signal.SIGSTOP)
    if amid():
        return True
    process.send_signal(signal.SIGCONT)
    return False


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A search that halts amid a trial, after an epoch, until it is told to go on, and its run folder."""
    folder = tmp_path_factory.mktemp("live")
    process = subprocess.Popen([sys.executable, "-m", "nas.search", *SEARCH.split()], cwd=folder, env=ENV)
    run = folder / "runs" / "live"
    deadline = time.monotonic() + 300
    while not halted(process, run):
        assert process.poll() is None, "the search ended before it was seen amid a trial"
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield process, run
    process.kill()
    process.wait()


@pytest.fixture
def ended(search: tuple[subprocess.Popen[bytes], Path]) -> Path:
    """The run folder of the search, which has come to its end."""
    process, run = search
    process.send_signal(signal.SIGCONT)
    assert process.wait(600) == 0
    return run


@pytest.fixture(scope="module")
def board(search: tuple[subprocess.Popen[bytes], Path], driver: Any) -> Iterator[Board]:
    process = subprocess.Popen(
        [sys.executable, "-m", "analysis.dashboard", str(search[1]), "--ui", "optuna", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=ENV,
    )
    try:
        assert process.stdout is not None
        ready = next(line for line in process.stdout if line.startswith("optuna-dashboard shows"))
        yield Board(driver, ready.split()[-1].removesuffix("/dashboard/studies/0"))
    finally:
        process.terminate()
        process.wait(20)


def test_curves_grow_with_the_search(board: Board, search: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, run = search
    board.driver.get(f"{board.address}/dashboard/studies/1")
    begun = board.wait(board.curves, "a curve of the running search", 120)
    process.send_signal(signal.SIGCONT)
    board.wait(lambda: len(board.curves()) > len(begun), "more curves, on the same page", 240)
    assert process.wait(600) == 0
    found = trials(run, 1)
    shown = (TrialState.COMPLETE, TrialState.PRUNED)  # not one that was asked ahead and waits
    expected = {trial.number: trial.intermediate_values for trial in found if trial.state in shown}
    promoted = [trial for trial in found if len(trial.user_attrs["trials"]) > 1]
    assert promoted, "a trial went on after the page had shown it as pruned"
    board.wait(lambda: board.curves().keys() == expected.keys(), "all curves", 60)
    board.wait(
        lambda: sum(map(len, board.curves().values())) == sum(map(len, expected.values())), "whole", 60
    )
    for number, curve in board.curves().items():
        assert curve == pytest.approx(expected[number])
    board.check()
    board.picture("curves")


def test_the_front_and_the_importances(board: Board, ended: Path) -> None:
    board.driver.get(f"{board.address}/dashboard/studies/0")
    complete = [trial for trial in trials(ended, 0) if trial.state == TrialState.COMPLETE]
    traces = board.wait(lambda: board.chart("graph-pareto-front"), "the front", 60)
    drawn = [point for trace in traces for point in zip(trace["x"], trace["y"], strict=True)]
    points = sorted((x, y) for x, y in drawn if x is not None)
    assert points == sorted(tuple(trial.values or ()) for trial in complete)
    bars = board.wait(lambda: board.chart("graph-hyperparameter-importances"), "importances", 60)
    assert len(bars) == 2, "of the error and of the MACs"
    assert "MACs" in board.text
    board.check()
    board.picture("front")


def test_the_list_of_trials(board: Board, ended: Path) -> None:
    found = trials(ended, 1)
    board.driver.get(f"{board.address}/dashboard/studies/1/trials")
    board.wait(lambda: f"{len(found)} Trials" in board.text, "all trials", 60)
    for word in ("Trial 0", "Complete", "Pruned", "config_id", found[0].user_attrs["config_id"], "baseline"):
        assert word in board.text
    board.check()
    board.picture("trials")
