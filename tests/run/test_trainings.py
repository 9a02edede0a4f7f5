"""An ask looks up what the fold has counted: it walks over no trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.run import incumbent, posterior
from nas.run.events import parse
from nas.run.state import SearchState, Trial
from nas.search import replicates

TOP = 9


class Fold:
    """A search told event by event."""

    def __init__(self) -> None:
        self.state = SearchState()

    def ask(self, name: str, epochs: int, repeat: int = 0) -> int:
        number = len(self.state.trials) + 1
        more = {"repeat": repeat, "searched_trial": 1} if repeat else {}
        self._tell("asked", number, config_id=name, config={"a": name}, epochs=epochs, origin="x", **more)
        return number

    def end(self, number: int, error: float | None, *, cached: bool = False) -> None:
        status, rest = ("crashed" if error is None else "success"), {"cached": True} if cached else {}
        self._tell("ended", number, status=status, error=error, metrics={}, seconds=1.0, reason="", **rest)

    def _tell(self, event: str, trial: int, **fields: Any) -> None:
        time = "2026-01-01T00:00:00.000Z"
        self.state.apply(parse({"time": time, "clock": 1.0, "event": event, "trial": trial, **fields}))


class Unwalked(dict[int, Trial]):
    """Trials by number that nobody may go through."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("walked over all trials")

    values = items = keys = __iter__  # type: ignore[assignment]


def test_an_ask_walks_over_no_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    fold, estimated = Fold(), Counter[str]()
    real = posterior._estimated

    def counted(rung: Any) -> posterior.Posterior:
        estimated["rung"] += 1
        return real(rung)

    monkeypatch.setattr(posterior, "_estimated", counted)
    for number in range(200):
        fold.end(fold.ask(f"c{number}", 3), 0.5)
        if number % 10 == 0:
            fold.end(fold.ask(f"c{number}", TOP), 0.4 + number / 1e5)
    fold.state.trials = Unwalked(fold.state.trials)
    for _ in range(5):
        assert replicates.due(fold.state, TOP, 0.3) is not None
        fold.end(fold.ask(f"other{len(fold.state.trials)}", 3), 0.5)  # of a lower rung
        assert incumbent.leader(fold.state, TOP) is not None
    assert estimated["rung"] == 1
    repeat = fold.ask("c0", TOP, 1)
    assert replicates.due(fold.state, TOP, 0.3) is not None
    fold.end(repeat, 0.45)
    lead = incumbent.leader(fold.state, TOP)
    assert lead is not None
    assert estimated["rung"] == 3


@given(st.data())
def test_the_counts_are_those_of_a_walk(data: st.DataObject) -> None:
    fold, share = Fold(), st.floats(0.1, 0.9)
    under_way: list[int] = []
    for _ in range(data.draw(st.integers(0, 30))):
        if under_way and data.draw(st.booleans()):
            number = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            cached = not fold.state.trials[number].repeat and data.draw(st.booleans())
            fold.end(number, data.draw(share if cached else st.none() | share), cached=cached)
        else:
            name, repeat = data.draw(st.sampled_from("abcd")), data.draw(st.sampled_from([0, 0, 1, 2]))
            epochs = TOP if repeat else data.draw(st.sampled_from([3, TOP]))
            under_way.append(fold.ask(name, epochs, repeat))
    state = fold.state
    walked, reached = Counter[bool](), Counter[str]()
    for trial in state.trials.values():
        if not trial.cached:
            walked[bool(trial.repeat)] += max(trial.epochs - reached[trial.key], 0)
            reached[trial.key] = max(trial.epochs, reached[trial.key])
    assert state.asked_epochs.repeats == walked[True]
    assert state.asked_epochs.total == sum(walked.values())
    firsts: dict[str, int] = {}
    for trial in state.trials.values():
        if trial.epochs == TOP and trial.error is not None and not (trial.cached or trial.repeat):
            firsts.setdefault(trial.config_id, trial.trial)
    assert [one.trial for one in state.rung(TOP).own] == sorted(firsts.values())
    assert state.repeats(TOP) == [one for one in state.trials.values() if one.repeat]
    known = posterior.posterior(state, TOP)
    again = SearchState()
    again._rungs[TOP] = state.rung(TOP)
    again.rung(TOP).posterior = None
    assert posterior.posterior(again, TOP) == known
