"""A resume takes seconds a hundred thousand trials: nothing is read or folded twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from nas.execution.messages import Facts
from nas.execution.simulated import SimulatedClock, SimulatedExecutor
from nas.run import journal
from nas.run.folded_journal import FoldedJournal
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.search import __main__ as search
from nas.search import afterwards, session
from tests.conftest import synthetic


class Place(SimulatedExecutor):
    """Where the simulated run's trials ran before."""

    def __init__(self, run: Run) -> None:
        super().__init__(synthetic, SimulatedClock())
        self._known = run.read_search()

    def start(self) -> Facts:
        known = self._known
        return Facts(known.data, known.hardware, {}, known.width, {})


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def counting(*args: Any) -> Any:
            counts[name] += 1
            return real(*args)

        monkeypatch.setattr(owner, name, counting)

    count(journal, "read")
    count(Run, "read_search")
    count(SearchState, "apply")
    return counts


@pytest.fixture
def run(simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of 20 trials, which a resume would run on where they ran."""
    simulation = simulate(trials=20, optimizer="random")
    simulation.run()
    run = Run(simulation.path)
    place = Place(run)
    monkeypatch.setattr(session, "choose", lambda *_: place)
    return run


def test_a_resume_reads_and_folds_everything_once(run: Run, counted: Counter[str]) -> None:
    counted.clear()
    assert search.main(["--resume", str(run.path), "--trials", "24"]) == 0
    assert (counted["read"], counted["read_search"]) == (1, 1)
    assert counted["apply"] == len(run.journal.read_bytes().splitlines())


@pytest.mark.parametrize("limit", ["20", "24"])
def test_nor_does_a_resume_with_what_follows(
    limit: str, run: Run, monkeypatch: pytest.MonkeyPatch, counted: Counter[str]
) -> None:
    """Whether the search has ended for good, and whether there is a step to be carried out."""
    called: list[str] = []

    def step(module: str, *_: Any, **__: Any) -> tuple[int, str]:
        called.append(module)
        return 0, ""

    monkeypatch.setattr(afterwards.attached, "run", step)
    monkeypatch.setattr(afterwards.StepRunner, "_verdict", lambda _: "confirmed")
    counted.clear()
    assert search.main(["--resume", str(run.path), "--trials", limit, "--then", "confirm", "report"]) == 0
    assert called == ["nas.confirm", "analysis.report"]
    assert (counted["read"], counted["read_search"]) == (1, 1)
    assert counted["apply"] == len(run.journal.read_bytes().splitlines())


def test_what_was_written_meanwhile_is_read(simulate: Callable[..., Any]) -> None:
    simulation = simulate(trials=4, optimizer="random")
    simulation.run()
    run = Run(simulation.path)
    past = FoldedJournal.of(run)
    assert past.is_all(run)
    with run.journal.open("ab") as file:
        file.write(b"{")
    assert not past.is_all(run)
    assert not FoldedJournal.of(run).is_all(run), "its length may be that of the line written over it"
