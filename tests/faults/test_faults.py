"""The fault campaign in short: every fault once or a few times; `make faults` is the long version."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.faults import disks, folders_shared, kills, lab, outside, trials
from tests.faults.lab import Lab, Row


@pytest.fixture(scope="module")
def here() -> Iterator[Lab]:
    with lab.opened() as opened:
        yield opened


def survived(row: Row, tried: int | None = None) -> None:
    assert row.problems == []
    assert row.lost == 0
    assert row.survived == row.tried
    assert row.tried == tried if tried is not None else row.tried > 0


def test_ten_kills_at_random_moments(here: Lab) -> None:
    survived(kills.at_random(here, 10), tried=10)


def test_a_kill_amid_each_kind_of_write(here: Lab) -> None:
    rows = kills.in_writes(here, 1, only=("journal", "checkpoint", "incumbent", "SMAC snapshot"))
    assert len(rows) == 4
    for row in rows:
        survived(row)


def test_a_kill_amid_deepcaves_export(here: Lab) -> None:
    survived(kills.in_export(here, 3))


@pytest.mark.parametrize(("number", "times"), [(signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_a_signal(here: Lab, number: signal.Signals, times: int) -> None:
    survived(kills.by_signal(here, number, times), tried=1)


@pytest.mark.slow
def test_failing_trials_in_one_search(here: Lab) -> None:
    for row in trials.failing(here):
        survived(row, tried=1)


def test_corrupted_checkpoints_at_a_promotion(here: Lab) -> None:
    survived(disks.corrupted_checkpoints(here, "overwritten"), tried=1)


def test_a_full_and_a_readonly_disk(here: Lab) -> None:
    survived(disks.breaking(here, "full", 2), tried=2)
    survived(disks.breaking(here, "readonly", 2), tried=2)


def test_a_damaged_journal_is_refused_and_repaired(here: Lab) -> None:
    survived(disks.damaged(here, 0, 1), tried=1)
    survived(disks.damaged(here, 1500, 1), tried=1)


def test_shared_moved_and_timeless_folders(here: Lab) -> None:
    survived(folders_shared.second_search(here), tried=1)
    survived(folders_shared.array_tasks(here, 1), tried=1)
    survived(folders_shared.jumping_clock(here), tried=1)
    survived(folders_shared.moved(here), tried=1)
    survived(folders_shared.other_device(here), tried=1)


@pytest.mark.parametrize("whom", ["both", "the search alone", "the trial alone"])
def test_a_suspended_search(here: Lab, whom: str) -> None:
    survived(outside.suspended(here, whom), tried=1)


def test_a_terminal_that_closes(here: Lab) -> None:
    survived(outside.nohup(here), tried=1)
    survived(outside.hung_up(here), tried=1)


def test_a_signal_to_all_processes(here: Lab) -> None:
    survived(outside.told_to_all(here, signal.SIGTERM), tried=1)


def test_a_file_system_without_locks(here: Lab) -> None:
    survived(outside.without_locks(here), tried=1)
