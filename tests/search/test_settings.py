"""Settings on the command line and in the run folder."""

from dataclasses import replace

import pytest

from nas.execution.settings import MachineSettings
from nas.search.__main__ import Command
from nas.search.settings import SearchSettings, refuse_changes
from nas.util import cli


@pytest.mark.parametrize(("said", "stored"), [(True, False), (False, True), (None, False), (True, True)])
@pytest.mark.parametrize(
    ("flag", "group"), [("flip", "train"), ("cuda_graphs", "machine"), ("reference", "machine")]
)
def test_switches_can_be_set_either_way_whatever_a_resumed_run_holds(said, stored, flag, group):
    values = SearchSettings().to_json()
    values[group][flag] = stored
    name = flag.replace("_", "-")
    args = [] if said is None else [f"--{name}" if said else f"--no-{name}"]
    default = Command(settings=SearchSettings.from_json(values))
    found = cli.parse(Command, prog="p", description="", default=default, args=args, pairs=True)
    assert found.settings.to_json()[group][flag] == (stored if said is None else said)


def test_a_run_of_before_the_reference_flag_is_read_and_may_turn_to_it():
    values = SearchSettings().to_json()
    del values["machine"]["reference"]
    values["machine"]["cuda_graphs"] = False
    stored = SearchSettings.from_json(values)
    assert (stored.machine.reference, stored.machine.cuda_graphs) == (False, False)
    refuse_changes(stored, replace(stored, machine=MachineSettings(reference=True)))
