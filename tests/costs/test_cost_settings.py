"""What a user says of objectives and limits."""

from __future__ import annotations

from typing import Any

import pytest

import search_spaces
from nas.costs.settings import CostSettings
from nas.search.settings import SearchSettings, refuse_changes
from nas.util.errors import SettingError, UserError


def test_a_search_of_the_error_alone_is_described_as_ever() -> None:
    settings = SearchSettings()
    assert "costs" not in settings.to_json()
    assert SearchSettings.from_json(settings.to_json()) == settings
    assert not settings.costs.active


def test_what_is_said_comes_back() -> None:
    costs = CostSettings(
        ("error", "macs", "train-seconds"), max_macs="600M", max_latency="4ms", prefer="knee"
    )
    settings = SearchSettings(costs=costs)
    assert SearchSettings.from_json(settings.to_json()) == settings
    assert costs.limits == {"macs": 6e8, "latency": 4.0}
    assert costs.costs == ("macs", "epoch_seconds")
    assert costs.measured == ("epoch_seconds", "latency")


def test_every_cost_may_have_a_limit() -> None:
    costs = CostSettings(max_memory="500MB", max_train_seconds="1m30s", max_cost=["energy=2.5", "price=3k"])  # type: ignore[arg-type]  # JSON has lists
    assert costs.limits == {"memory": 5e8, "epoch_seconds": 90.0, "energy": 2.5, "price": 3000.0}
    assert costs.given["energy"] == ("max_cost", "energy=2.5")
    assert costs.measured == ("memory", "epoch_seconds")
    settings = SearchSettings(costs=costs)
    assert SearchSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"objectives": ("macs",)}, "must begin with error"),
        ({"objectives": ()}, "must begin with error"),
        ({"objectives": ("error", "macs", "params", "latency")}, "at most 3"),
        ({"objectives": ("error", "macs", "macs")}, "each objective once"),
        ({"objectives": ("error", "error")}, "each objective once"),
        ({"max_macs": "many"}, "max_macs='many': not a number above 0"),
        ({"max_params": "0"}, "max_params='0': not a number above 0"),
        ({"max_latency": "4"}, "max_latency='4': not a time above 0"),
        ({"max_memory": "much"}, "max_memory='much': not a size"),
        ({"max_memory": "0GB"}, "max_memory=0GB: must be more than 0"),
        ({"max_train_seconds": "30"}, "max_train_seconds='30': not a duration"),
        ({"max_cost": ("energy",)}, "max_cost=energy: must be NAME=VALUE"),
        ({"max_cost": ("=3",)}, "max_cost==3: must be NAME=VALUE"),
        ({"max_cost": ("energy=little",)}, "max_cost='little': not a number above 0"),
        ({"max_cost": ("energy=-1",)}, "max_cost=energy=-1: must be a number above 0"),
        ({"max_cost": ("energy=nan",)}, "max_cost=energy=nan: must be a number above 0"),
        ({"max_cost": ("energy=1", "energy=2")}, "energy has a limit already"),
        ({"max_cost": ("macs=600M",)}, "is for the space's own costs; write max_macs=600M"),
        ({"max_cost": ("train-seconds=3s",)}, "write max_train_seconds=3s"),
        ({"prefer": "knee"}, "needs a second objective"),
        ({"prefer": "cheap", "max_macs": "1M"}, "must be error or knee"),
        ({"cost_of": "t"}, "no cost is minimised or limited"),
        ({"latency_command": "bench {onnx}", "max_macs": "1M"}, "latency is no objective"),
        ({"latency_command": "bench", "max_latency": "4ms"}, "must have {onnx}"),
        ({"latency_command": "bench '{onnx}", "max_latency": "4ms"}, "not a command"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError) as caught:
        CostSettings(**values)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        (CostSettings(("error", "flops")), "flops is not a cost; there are macs, params, latency, memory"),
        (CostSettings(max_cost=("energy=3",)), "nexception has no cost energy; it defines none"),
        (CostSettings(("error", "macs"), cost_of="xl"), "has no such size; must be auto or t, s, tp"),
        (
            CostSettings(max_latency="4ms", latency_command="no-such-bench {onnx}"),
            "no-such-bench: no such program",
        ),
    ],
)
def test_what_the_space_or_machine_lacks_is_refused(costs: CostSettings, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        costs.resolve(search_spaces.get("nexception"))
    assert said in str(caught.value)


def test_auto_counts_what_an_export_writes() -> None:
    assert CostSettings(("error", "macs")).resolve(search_spaces.get("nexception")).network == "t"
    assert CostSettings(max_macs="1G", cost_of="s").resolve(search_spaces.get("nexception")).network == "s"


def test_a_resumed_run_keeps_its_objectives() -> None:
    plain, weighed = SearchSettings(), SearchSettings(costs=CostSettings(("error", "macs")))
    for stored, wanted in ((plain, weighed), (weighed, plain)):
        with pytest.raises(UserError, match="objectives=error.*: this run was begun with error"):
            refuse_changes(stored, wanted)
    refuse_changes(weighed, weighed)
