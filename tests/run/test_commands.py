"""What the program tells people to type can be typed: quoted, complete, and such that it goes on."""

from __future__ import annotations

import shlex
from importlib import import_module
from pathlib import Path

import pytest

import search_spaces
from analysis.frames import load
from analysis.report import findings
from nas.run.commands import RunCommands
from nas.run.folder import Run
from nas.util import cli
from nas.util.commands import typed
from nas.view import summary
from tests.descriptions import described

HOUR = 3600.0
REASONS = ("budget", "trials", "interrupted", "terminated", "crashes", "")


class Parsed(Exception):
    """The command line was understood."""


def understand(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parses a command as its program would, without doing what it says."""
    words = shlex.split(command)
    assert words[1] == "-m"
    real = cli.parse

    def parse(*args, **kwargs):
        raise Parsed(real(*args, **kwargs))

    with monkeypatch.context() as patch:
        patch.setattr(cli, "parse", parse)
        module = import_module(f"{words[2]}.__main__")
        patch.setattr(Run, "open", Run)  # no run lies there
        patch.setattr(Run, "read_search", lambda _: described())
        with pytest.raises(Parsed):
            module.main(words[3:])


@pytest.mark.parametrize("reason", [*REASONS, "exhausted"])
@pytest.mark.parametrize("space", ["nexception", "package.module:MySpace", "/my folder/space.py"])
@pytest.mark.parametrize("path", ["runs/plain", "runs/with space; and 'quotes'", "/abs/$HOME"])
def test_every_command_about_a_run_is_understood(reason, space, path, monkeypatch):
    commands = RunCommands(Path(path), space, 72 * HOUR, 40)
    found = [commands.report, commands.confirm, commands.export, commands.dashboard, commands.compare]
    for command in filter(None, [*found, commands.resume(reason)]):
        assert path in shlex.split(command)
        understand(command, monkeypatch)


def test_only_the_limit_that_was_reached_is_raised():
    commands = RunCommands(Path("runs/a"), "nexception", 72 * HOUR, 40)
    resumed = {reason: commands.resume(reason) for reason in (*REASONS, "exhausted")}
    plain = "python -m nas.search --resume runs/a"
    assert resumed["budget"] == f"{plain} --budget 6d00h"
    assert resumed["trials"] == f"{plain} --trials 80"
    assert {resumed[reason] for reason in ("interrupted", "terminated", "crashes", "")} == {plain}
    assert resumed["exhausted"] is None


def test_a_space_of_ones_own_is_named_and_nothing_it_has_not_is_offered():
    commands = RunCommands(Path("runs/a"), "my.module:Space", HOUR, None)
    assert commands.confirm.endswith("--space my.module:Space")
    assert str(commands.resume("")).endswith("--space my.module:Space")
    assert "--geometry reduced" in commands.export
    assert commands.export.endswith("--space my.module:Space")


@pytest.mark.parametrize("space", search_spaces.names())
def test_the_size_that_is_offered_is_one_that_the_space_has(space):
    words = shlex.split(RunCommands(Path("runs/a"), space, HOUR, None).export)
    size = words[words.index("--geometry") + 1]
    assert size in (*search_spaces.get(space).full_sizes, "reduced")
    assert (size == "reduced") == (not search_spaces.get(space).full_sizes)


def test_an_exported_network_is_trained_into_a_folder(monkeypatch):
    understand(
        typed("nas.train", "models/a b", "--data", "folder:DIR", "-o", "models/a b-trained"), monkeypatch
    )


def test_what_is_printed_after_a_search_and_in_the_report_is_understood(finished_run, monkeypatch):
    run = Run.open(finished_run)
    for command in summary.next_commands(run, run.read_search(), "trials", found=True):
        understand(command, monkeypatch)
    read = load(finished_run)
    steps = [step.command for step in findings.next_steps(read, confirmed=False) if step.command]
    assert steps
    for command in steps:
        understand(command, monkeypatch)


def test_the_report_gives_the_command_that_began_the_run(finished_run, tmp_path):
    assert load(finished_run).begun_by == tuple(Run.open(finished_run).read_journal().events[0].command)


@pytest.mark.parametrize(
    "space", ["package.module:MySpace", "/my folder/space.py", "/my folder/space.py:Mine"]
)
def test_code_that_is_not_ours_is_named_by_every_command_that_would_run_it(space):
    commands = RunCommands(Path("runs/plain"), space, 72 * HOUR, 40)
    for command in (commands.confirm, commands.export, commands.resume("budget"), commands.resume("")):
        assert shlex.split(command)[-2:] == ["--space", space]
