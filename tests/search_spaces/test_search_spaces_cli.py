import json
import resource
import subprocess
import sys

import pytest

import search_spaces
from nas.util.errors import UserError
from search_spaces.__main__ import COMMANDS, main


def run(*args):
    return subprocess.run(
        [sys.executable, "-m", "search_spaces", *args], capture_output=True, text=True, check=False
    )


def test_list_names_every_space(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "nexception" in out
    assert "150,528" in out


def test_show_tells_all(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["show", "nexception"]) == 0
    out = capsys.readouterr().out
    space = search_spaces.get("nexception")
    for hp in space.hyperparameters.values():
        assert hp.name in out
        assert hp.meaning in out
        assert hp.source in out
    assert "false true" in out
    assert "1 2 3 12 13 23 123" in out
    for expected in ("150,528 configurations", space.fingerprint, "elu and celu are the same", *space.points):
        assert expected in out


def test_json_for_machines(capsys):
    assert main(["show", "nexception", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    space = search_spaces.get("nexception")
    assert shown["size"] == space.size
    assert shown["points"] == space.points
    assert shown["hyperparameters"]["kernel_mid"]["choices"] == [3, 5, 7, 9]
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == search_spaces.names()
    assert shown in listed


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["show", "nexeption"], "did you mean nexception"),
        (["show"], "NAME"),
        (["draw"], "'draw'"),
        ([], "list"),
        (["list", "--verbose"], "--verbose"),
    ],
)
def test_bad_input_is_one_line(args, named, capsys):
    with pytest.raises(UserError) as caught:
        main(args)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_like_the_others(command, capsys):
    assert main(["--help"]) == 0
    assert f"  {command} " in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert f"python -m search_spaces {command}" in said
    assert COMMANDS[command].__doc__ in said


def test_an_error_ends_the_process_with_2():
    done = run("show", "nexeption")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m search_spaces: search space 'nexeption': did you mean")


def test_a_closed_pipe_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m search_spaces show nexception --json | head -n 1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["{", "0"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("args", "most"),
    # Every space is listed with its size, and counting under conditions takes ConfigSpace, and that SciPy.
    [(["--help"], 0.5), (["show", "nexception"], 0.5), (["list"], 3.0)],
)
def test_it_answers_at_once(args, most):
    """CPU seconds, of one call in three: the wall clock also counts what else the machine does."""

    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run(*args).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert any(seconds() < most for _ in range(3))
