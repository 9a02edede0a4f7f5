"""What follows a search: in order, once, whatever fails or is killed on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from nas.run.folder import Run
from nas.run.state import SearchState
from nas.run.steps import parse, reserved_seconds, training_seconds
from nas.search import __main__ as command
from nas.search import afterwards, session
from nas.search.afterwards import StepRunner, check, ended, finish, remember
from nas.search.afterwards_flags import AfterwardsFlags
from nas.search.limits import Limits
from nas.search.settings import SearchSettings
from nas.util import locks
from nas.util.errors import UserError

ALL = ("confirm:2", "report", "export:t")


@dataclass
class Commands:
    """Stands for the processes: remembers what was called, and answers as it is told."""

    codes: dict[str, int] = field(default_factory=dict)
    called: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, module: str, args: Any, *, quiet: bool = False) -> tuple[int, str]:
        self.called.append((module, *map(str, args)))
        code = self.codes.get(module, 0)
        if module == "nas.export" and code == 0:
            Path(args[args.index("-o") + 1]).mkdir(parents=True)
        return code, "python -m x: why not" if code else ""

    @property
    def modules(self) -> list[str]:
        return [module for module, *_ in self.called]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Commands:
    made = Commands()
    monkeypatch.setattr(afterwards.attached, "run", made.run)
    monkeypatch.setattr(StepRunner, "_verdict", lambda _: "confirmed: trial 5")
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def run(simulate: Callable[..., Any]) -> Run:
    search = simulate("mine", trials=6, seconds=1000.0)
    search.run()
    return Run(search.path)


def stopped(run: Run, reason: str) -> session.SessionOutcome:
    return session.SessionOutcome(run, run.read_search(), SearchState.of(run.read_journal().events), reason)


def ending(run: Run, wanted: SearchSettings) -> str:
    state = SearchState.of(run.read_journal().events)
    found = ended(run, run.read_search(), state, wanted)
    return "" if found is None else found.reason


def carried_out(run: Run, *words: str) -> dict[str, int]:
    outcomes, wish = StepRunner(stopped(run, "trials"), parse(words or ALL), quiet=True).carry_out()
    assert wish == ""
    return {outcome.step: outcome.code for outcome in outcomes}


def test_steps_run_in_their_order_as_one_would_type_them(run: Run, commands: Commands) -> None:
    assert carried_out(run) == dict.fromkeys(ALL, 0)
    confirm, report, export = commands.called
    left = 1000.0 - SearchState.of(run.read_journal().events).clock
    seconds = ("--budget", f"{left:.0f}s")
    assert confirm == ("nas.confirm", str(run.path), "--top", "3", "--seeds", "2", *seconds, "--quiet")
    assert report == ("analysis.report", str(run.path))
    assert export[:4] == ("nas.export", str(run.path), "--geometry", "t")
    assert Path("models/mine").is_dir()


def test_what_is_done_is_not_done_again(run: Run, commands: Commands) -> None:
    carried_out(run)
    assert carried_out(run) == dict.fromkeys(ALL, 0)
    assert len(commands.called) == 3


def test_a_step_that_fails_stops_no_other_and_is_tried_again(run: Run, commands: Commands) -> None:
    commands.codes["nas.confirm"] = 2
    assert carried_out(run) == {"confirm:2": 2, "report": 0, "export:t": 0}
    assert carried_out(run) == {"confirm:2": 2, "report": 0, "export:t": 0}
    assert commands.modules == ["nas.confirm", "analysis.report", "nas.export", "nas.confirm"]
    del commands.codes["nas.confirm"]
    assert carried_out(run) == dict.fromkeys(ALL, 0)
    # Report and export were of a winner that had not been confirmed; what was exported stays.
    assert commands.modules[4:] == ["nas.confirm", "analysis.report", "nas.export"]
    assert sorted(path.name for path in Path("models").iterdir()) == ["mine", "mine-2"]


def test_a_signal_ends_it_and_the_next_call_goes_on(run: Run, commands: Commands) -> None:
    commands.codes["analysis.report"] = 143
    outcomes, wish = StepRunner(stopped(run, "trials"), parse(ALL)).carry_out()
    assert ([outcome.step for outcome in outcomes], wish) == (["confirm:2"], "terminated")
    assert finish(stopped(run, "trials"), parse(ALL), quiet=True)[0] == 143
    commands.codes.clear()
    assert carried_out(run) == dict.fromkeys(ALL, 0)
    assert commands.modules == ["nas.confirm", *["analysis.report"] * 3, "nas.export"]


def test_a_search_that_went_on_has_its_steps_done_anew(
    simulate: Callable[..., Any], commands: Commands
) -> None:
    search = simulate("mine", trials=6)
    search.run()
    carried_out(Run(search.path))
    search.trials = 8
    search.run()
    carried_out(Run(search.path))
    assert commands.modules == 2 * ["nas.confirm", "analysis.report", "nas.export"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"journal": 3}', '{"journal": SIZE, "steps": [{"step": 3}]}']
)
def test_a_record_that_cannot_be_read_costs_the_steps_only(run: Run, commands: Commands, text: str) -> None:
    size = str(run.journal.stat().st_size)
    (run.path / "afterwards.json").write_text(text.replace("SIZE", size))
    assert carried_out(run) == dict.fromkeys(ALL, 0)


def test_several_sizes_have_folders_of_their_own(run: Run, commands: Commands) -> None:
    carried_out(run, "export:t", "export:reduced", "export")
    assert sorted(path.name for path in Path("models").iterdir()) == ["mine-reduced", "mine-t", "mine-t-2"]


def test_one_process_at_a_time(run: Run, commands: Commands) -> None:
    with (
        locks.held(run.path / ".then.lock", "what follows a search"),
        pytest.raises(UserError, match="in use by process .* what follows a search"),
    ):
        carried_out(run)
    assert commands.called == []


def test_what_came_of_it_is_said_and_the_code_tells(
    run: Run, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.codes["nas.export"] = 2
    code, message = finish(stopped(run, "trials"), parse(ALL), quiet=False)
    assert code == 3
    assert message.startswith("the number of trials is reached, 6 trials in ")
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines[0] == "confirm:2: confirmed: trial 5"
    assert lines[1] == f"report: {run.path}/analysis/report.html"
    assert lines[2] == "export:t: failed (exit code 2): why not"
    assert message.endswith("; ".join(lines))
    assert "then export:t: failed (exit code 2): why not" in run.log.read_text()
    for reason in ("interrupted", "terminated"):
        assert finish(stopped(run, reason), parse(ALL), quiet=True)[0] == 0
    assert finish(stopped(run, "trials"), (), quiet=True)[0] == 0


def test_a_search_is_over_once_its_limits_are_reached(run: Run) -> None:
    def settings(**budget: Any) -> SearchSettings:
        stored = SearchSettings.of(run.read_search()).to_json()
        return SearchSettings.from_json({**stored, "budget": {**stored["budget"], **budget}})

    assert ending(run, settings(trials=6)) == "trials"
    assert ending(run, settings(trials=7)) == ""
    assert ending(run, settings(trials=None)) == ""
    with pytest.raises(UserError, match="this run was begun with"):
        ending(run, SearchSettings.from_json({**settings().to_json(), "choice": {"seed": 8}}))


def test_a_budget_that_is_used_up_is_over_unless_it_grows(simulate: Callable[..., Any]) -> None:
    search = simulate("short", trials=None, seconds=259200.0 / 200)
    assert search.run() == "budget"
    run = Run(search.path)
    stored = SearchSettings.of(run.read_search())
    shorter = stored.to_json() | {"budget": {**stored.to_json()["budget"], "budget": "20m"}}
    assert ending(run, SearchSettings.from_json(shorter)) == "budget"
    assert ending(run, stored) == ""  # 72 hours, where the run was given 20 minutes


def test_time_is_kept_for_the_confirmation(simulate: Callable[..., Any]) -> None:
    steps = parse(["confirm"])
    plain, kind = (
        simulate("plain", trials=None, seconds=6000.0),
        simulate("kind", trials=None, seconds=6000.0),
    )
    assert plain.run() == "budget"
    search, journal = kind.search()
    search._limits = Limits(
        6000.0, None, None, lambda state: reserved_seconds(steps, 6000.0, training_seconds(state, 9))
    )
    with journal:
        from nas.run.events import SessionStarted

        assert search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={})) == "budget"
    state = search.state
    training = training_seconds(state, 9)
    assert training is not None
    held = reserved_seconds(steps, 6000.0, training)
    assert 0 < held < 1500
    assert state.clock <= 6000.0 - held
    other = SearchState.of(Run(plain.path).read_journal().events)
    assert other.clock > 6000.0 - held
    # The trials are the same as long as there is time.
    assert [trial.config for trial in state.trials.values()] == [
        trial.config for trial in other.trials.values()
    ][: len(state.trials)]
    begun = Run(kind.path).read_search()
    assert afterwards.budget_left(begun, state, steps) >= held
    assert afterwards.budget_left(begun, other, steps) == pytest.approx(held)


def test_search_json_has_it_only_where_something_follows(run: Run) -> None:
    before = run.search_json.read_bytes()
    remember(run, run.read_search(), ())
    assert run.search_json.read_bytes() == before
    remember(run, run.read_search(), ALL)
    assert run.read_search().then == list(ALL)
    assert command._begun_with(run, run.read_search()).after == AfterwardsFlags(then=ALL)
    remember(run, run.read_search(), ())
    assert run.read_search().then == []


@pytest.mark.parametrize("then", ["confirm", [3], {"confirm": 1}, ["fly"]])
def test_a_foreign_search_json_is_refused_in_a_line(run: Run, then: Any) -> None:
    search = orjson.loads(run.search_json.read_bytes())
    run.search_json.write_bytes(orjson.dumps({**search, "then": then}))
    with pytest.raises(UserError, match=r"search\.json: .*then"):
        command.main(["--resume", str(run.path)])


def test_sizes_that_a_space_has_not_are_refused_before_anything_runs(tmp_path: Path) -> None:
    for word in ("export", "export:t", "export:reduced", "confirm"):
        check(parse([word]), "nexception")
    with pytest.raises(UserError, match="the space has no such size; must be t, s, .*reduced"):
        check(parse(["export:huge"]), "nexception")
    runs = ["--runs-dir", str(tmp_path / "runs")]
    for args, said in [
        (["--then", "export:huge"], "--then export:huge: the space has no such size"),
        (["--then", "fly"], "--then 'fly': must be confirm"),
        (["--notify-after", "3h"], "--notify-after 3h: needs a command"),
        (["--notify", "no-such-program now"], "no such program: no-such-program"),
        (["--notify", "if"], "not a command that sh understands"),
    ]:
        with pytest.raises(UserError, match=said):
            command.main([*args, *runs])
    assert not (tmp_path / "runs").exists()


def test_an_ended_search_goes_on_with_what_follows_without_searching(
    run: Run, commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "resume", lambda *_: pytest.fail("there is nothing left to search"))
    assert command.main(["--resume", str(run.path), "--then", *ALL]) == 0
    assert commands.modules == ["nas.confirm", "analysis.report", "nas.export"]
    assert run.read_search().then == list(ALL)
    assert command.main(["--resume", str(run.path), "--quiet"]) == 0  # it is known now, and done
    assert len(commands.called) == 3
