"""What becomes of a command whose output goes away, and what it says while it has none."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search_spaces.nexception.geometry import Geometry
from tests import warm_programs
from tests.faults.folders import SEARCH
from tests.terminals import on_terminal

# Prints lines, a while apart, and leaves a file that says it came to its end.
PRINTING = """
import sys, time
from pathlib import Path
from nas.util import cli, output
folder, answer, pause = Path(sys.argv[1]), sys.argv[2] == "answer", float(sys.argv[3])
def main():
    (folder / "begun").touch()
    with output.dropping_unread():
        for number in range(6000):
            print(f"line {number}", flush=number % 100 == 0)
            time.sleep(pause)
    (folder / "done").touch()
    return 0
cli.run(main, "prog", answer=answer)
"""
SIGNS = 'from nas.util import cli; cli.run(lambda: print("50 ± 1 → ┌─╴✓ – … ⠋ \\udcff") or 0, "prog")'
BUSY = """
import sys, time
from nas.util import cli, output
def main():
    time.sleep({first}); output.doing("getting ready"); time.sleep({second}); print("done"); return 0
cli.run(main, "prog", answer={answer})
"""


def shell(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script, sys.executable, *args], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("kind", ["answer", "view"])
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_matter(tmp_path: Path, kind: str, closed: str) -> None:
    done = shell(f'"$0" -c "$1" "$2" {kind} 0 {closed}', PRINTING, str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "done").exists()


def test_no_file_gets_a_closed_streams_number(tmp_path: Path) -> None:
    """What is printed would stand in the first file that is opened."""
    script = (
        "import sys; from nas.util import cli\ndef main():\n file = open(sys.argv[1], 'w'); "
        "print('printed')\n"
    )
    script += " import os; os.write(1, b'by a library'); return file.fileno()\ncli.run(main, 'prog')"
    done = shell('"$0" -c "$1" "$2" <&- >&- 2>&-', script, str(tmp_path / "file"))
    assert done.returncode > 2
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize(("kind", "ends"), [("answer", False), ("view", True)])
def test_a_reader_who_has_seen_enough(tmp_path: Path, kind: str, ends: bool) -> None:
    done = shell(
        f'"$0" -c "$1" "$2" {kind} 0.0001 | head -1; exit "${{PIPESTATUS[0]}}"', PRINTING, str(tmp_path)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "line 0\n", "")
    assert (tmp_path / "done").exists() == ends


def test_help_for_a_reader_who_has_seen_enough() -> None:
    for module in ("nas.search", "nas.status", "analysis.report", "search_spaces"):
        done = shell(f'"$0" -m {module} --help | head -1; exit "${{PIPESTATUS[0]}}"')
        assert (done.returncode, done.stderr) == (0, ""), module
        assert done.stdout.startswith("usage:")


@pytest.mark.parametrize(("kind", "code"), [("answer", 2), ("view", 0)])
@pytest.mark.parametrize("lines", ["few", "many"])
def test_a_full_disk_is_told_in_a_line(tmp_path: Path, kind: str, code: int, lines: str) -> None:
    script = PRINTING
    if lines == "few":  # written at the end only
        script = PRINTING.replace("6000", "2").replace("flush=number", "flush=number and number")
    done = shell(f'ulimit -f 0; "$0" -c "$1" "$2" {kind} 0 > "$2/full"', script, str(tmp_path))
    said = "prog: what it prints cannot be written (File too large)\n"
    assert (done.returncode, done.stderr) == (code, said)
    if kind == "view":
        assert (tmp_path / "done").exists()


def test_a_full_disk_for_standard_error_loses_the_message_not_the_code(tmp_path: Path) -> None:
    done = shell('ulimit -f 0; "$0" -m nas.status "$1" 2> "$1/full"', str(tmp_path))
    assert done.returncode == 2


@pytest.mark.parametrize("kind", ["answer", "view"])
def test_a_terminal_that_hangs_up(tmp_path: Path, kind: str) -> None:
    """Writing to it gives EIO; SIGHUP comes too, but here it is ignored."""
    command = ["-c", PRINTING, str(tmp_path), kind, "0.0005"]
    with on_terminal(command, ignoring=[signal.SIGHUP]) as terminal:
        terminal.read(20, "line 5")
        terminal.hang_up()
        assert terminal.wait() == 0
    assert (tmp_path / "done").exists() == (kind == "view")


@pytest.mark.parametrize("halt", [b"", b"\x13"], ids=["not read", "Ctrl-S"])
def test_a_halted_terminal_halts_no_search(tmp_path: Path, halt: bytes) -> None:
    with on_terminal(["-c", PRINTING, str(tmp_path), "view", "0"]) as terminal:
        terminal.read(20, "line 5")
        os.write(terminal.master, halt)
        end = time.monotonic() + 20
        while not (tmp_path / "done").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        os.write(terminal.master, b"\x11")  # Ctrl-Q
        assert terminal.wait() == 0


def test_a_pipe_that_is_not_read_halts_no_search(tmp_path: Path) -> None:
    waiting = 'for _ in $(seq 200); do [ -e "$2/done" ] && break; sleep 0.05; done'
    script = f'"$0" -c "$1" "$2" view 0 | ({waiting}; ls "$2"; cat > /dev/null)'
    done = shell(script, PRINTING, str(tmp_path))
    assert "done" in done.stdout.split()


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", "50 +- 1 -> +--\\u2713 - ... * \\udcff\n"),
        ("latin-1", "50 ± 1 -> +--\\u2713 - ... * \\udcff\n"),
        ("cp1252", "50 ± 1 -> +--\\u2713 – … * \\udcff\n"),
        ("utf-8", "50 ± 1 → ┌─╴✓ – … ⠋ \\udcff\n"),
    ],
)
def test_signs_that_an_encoding_lacks_are_plainer(encoding: str, expected: str) -> None:
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", SIGNS], capture_output=True, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding) == expected


def test_every_drawing_can_be_printed_in_ascii(finished_run: Path) -> None:
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    commands = [["nas.status", str(finished_run)], ["search_spaces", "show", "nexception"]]
    for command in commands:
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, env=env)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.isascii()
        assert b"\\u" not in done.stdout, done.stdout


# What it is doing


def test_on_a_terminal_something_is_seen_within_half_a_second_and_then_all_the_time() -> None:
    with on_terminal(["-c", BUSY.format(first=1.0, second=3.0, answer=False)]) as terminal:
        terminal.read(20, "done")
        assert terminal.wait() == 0
    moments = [0.0, *(moment for moment, _ in terminal.seen)]
    assert moments[1] < 0.5 + slowness()
    assert max(later - sooner for sooner, later in itertools.pairwise(moments)) < 2.0
    assert "starting" in terminal.text
    assert "getting ready  2 s" in terminal.text
    assert terminal.text.endswith("\r\x1b[Jdone\r\n")  # the sign leaves nothing behind


def slowness() -> float:
    """Seconds that this machine takes, busy as it is, for what takes a tenth of a second alone."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import nas.util.cli"], check=True)
    return 2 * (time.monotonic() - begun)


@pytest.mark.parametrize("reason", ["quiet", "quick", "plain"])
def test_it_is_not_there_where_nobody_wants_it(reason: str) -> None:
    script = BUSY.format(first=0.5, second=0.5, answer=False)
    if reason == "quick":
        script = BUSY.format(first=0, second=0, answer=False)
    args, env = (["--quiet"] if reason == "quiet" else []), {"TERM": "dumb"} if reason == "plain" else None
    with on_terminal(["-c", script, *args], env=env) as terminal:
        assert terminal.wait() == 0
    assert terminal.text == "done\r\n"


@pytest.mark.parametrize("answer", [False, True])
def test_a_pipe_gets_a_line_about_what_takes_long(answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from nas.util import spinner; spinner._WORTH_A_LINE = 0.5\n" + BUSY.format(
        first=0.1, second=2.0, answer=answer
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    told = "getting ready ...\n"
    assert (done.stdout, done.stderr) == ("done\n", told)
    script = BUSY.format(first=0.1, second=0.1, answer=answer)
    quick = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (quick.stdout, quick.stderr) == ("done\n", "")


# With a line about everything, however short it takes.
EAGER = """
import runpy, sys, time
from nas.util import spinner
spinner._WORTH_A_LINE, spinner._FRAME = 0.0, 0.001
from nas.util import output
say = output.doing
output.doing = lambda text: (say(text), time.sleep(0.05 if text else 0))
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("command", "doing"),
    [
        (("nas.status", "{run}", "--json"), ""),
        (("analysis.history", "{run}", "--format", "csv", "-o", "{tmp}/x.csv"), "reading the run ..."),
        (
            ("nas.export", "{run}", "-o", "{tmp}/model", "--geometry", "{tmp}/tiny.json"),
            "loading PyTorch ...",
        ),
        (
            ("nas.search", *SEARCH, "--trials", "2", "--optimizer", "random", "--runs-dir", "{tmp}"),
            "loading digits",
        ),
    ],
)
def test_what_a_command_is_doing_is_not_in_its_output(
    finished_run: Path, tmp_path: Path, tiny_geometry: Geometry, command: tuple[str, ...], doing: str
) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(tiny_geometry.to_json()))
    args = [word.format(run=finished_run, tmp=tmp_path) for word in command]
    (tmp_path / "eager.py").write_text(EAGER)
    done = warm_programs.run(["eager", *args], tmp_path, os.environ, timeout=120)
    assert done.returncode == 0
    assert doing in done.stderr
    assert [line for line in done.stdout.splitlines() if line.endswith(" ...")] == []


def test_a_terminal_without_our_signs_gets_a_plain_one() -> None:
    script = BUSY.format(first=0.5, second=0.5, answer=False)
    with on_terminal(["-c", script], env={"PYTHONIOENCODING": "ascii"}) as terminal:
        assert terminal.wait() == 0
    assert terminal.text.isascii()
    assert "| getting" in terminal.text or "starting" in terminal.text


def test_an_error_stands_on_a_line_of_its_own() -> None:
    script = (
        "import time; from nas.util import cli, errors\ndef main(): time.sleep(1); raise "
        "errors.UserError('no')\n"
    )
    with on_terminal(["-c", script + "cli.run(main, 'prog')"]) as terminal:
        assert terminal.wait() == 2
    assert terminal.text.endswith("\r\x1b[Jprog: no\r\n")
