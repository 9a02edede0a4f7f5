"""The plan shows what follows, and takes its time off the search's."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nas.execution.messages import Facts, Measurement
from nas.run.search_file import Data, Hardware
from nas.run.steps import parse
from nas.search import plan, plan_view
from nas.search.settings import BudgetSettings, SearchSettings

FACTS = Facts(Data(name="x", train_images=9, val_images=1), Hardware(device="cuda:0"), {}, 16, {})


def planned(hours: int, *then: str) -> plan.Plan:
    point = Measurement(train_seconds=9.0, val_seconds=1.0, build_seconds=0.8, checkpoint_bytes=1)
    measured = dict.fromkeys(("cheapest", "default", "costliest", "typical"), point)
    settings = SearchSettings(budget=BudgetSettings(f"{hours}h"))
    return plan.arrange(settings, FACTS, measured, then=parse(then))


def shown(made: plan.Plan) -> str:
    console = Console(file=io.StringIO(), width=200)
    plan_view.show(made, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_confirmation_has_its_share() -> None:
    plain, kind = planned(72), planned(72, "confirm", "report", "export:t")
    training = 0.2 + 0.8 + 45 * 10
    assert kind.confirmation == pytest.approx(12 * training)
    assert kind.reserved == pytest.approx(1.2 * 12 * training)
    trained = [
        sum(rung.trials * rung.seconds for rung in made.rungs) + made.baseline_seconds
        for made in (plain, kind)
    ]
    assert trained[0] - trained[1] == pytest.approx(kind.reserved)
    text = shown(kind)
    assert "then              confirm report export:t; 1h 48m of the budget is kept for 12 trainings" in text
    assert "of 45 epochs, about 1h 30m" in text
    assert "not all of them" not in text
    assert "then " not in shown(plain)


def test_a_budget_that_is_too_short_for_it_is_said() -> None:
    made = planned(2, "confirm:5")
    assert made.reserved == pytest.approx(0.25 * 7200)
    assert "not all of them will fit: take fewer seeds, fewer epochs or a longer budget" in shown(made)


def test_without_a_confirmation_nothing_is_kept() -> None:
    made = planned(72, "report", "export:t")
    assert made.reserved == 0
    assert made.trials == planned(72).trials
    assert "then              report export:t\n" in shown(made)
