"""Search for a better network: ``python -m nas.search --budget 72h``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import tyro

from nas.optimizers.settings import MODEL
from nas.search.afterwards_flags import AfterwardsFlags
from nas.search.settings import SearchSettings, refuse_foreign_space
from nas.tracking.settings import NONE, Log, require
from nas.util import cli, flag_help, user_input
from nas.util.errors import SettingError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.folder import Run
    from nas.run.search_file import SearchFile
    from nas.search.notify import Notifier
    from nas.search.session import SessionOutcome, View

PROG = "python -m nas.search"

_DESCRIPTION = """Search for a better network than the base architecture, on one device, against the clock.

Every run is a folder runs/<name>: if it is killed, no finished trial is lost, and --resume runs/<name>
continues from there. Exit codes: 0 a limit was reached, 1 crashes that are not the networks',
2 bad input, 3 a step of --then failed, 130 Ctrl-C, 143 SIGTERM."""

_AUTO = "auto"
RENAMED = {
    "--workers": "--trial-workers",
    "--data": "--dataset",
    "--schedule": "--sched",
    "--bce-threshold": "--bce-target-thresh",
    f"--model {MODEL}": "--model process",
}
_EXIT_CODES = {"budget": 0, "trials": 0, "exhausted": 0, "crashes": 1, "interrupted": 130, "terminated": 143}


@dataclass(frozen=True)
class RunFlags:
    """The run folder, and what is shown while it runs."""

    name: Annotated[str | None, flag_help.default("data set and time")] = None
    """Name of the run's folder."""
    runs_dir: Path = Path("runs")
    """Folder that holds the run folders."""
    resume: Annotated[Path | None, flag_help.default("a new run")] = None
    """Run folder to continue with the settings it began with; only limits such as --budget may be raised.
    auto: continue the run called --name if it exists, else start it, so that all tasks of a job array can use
    the same command."""
    plan: flag_help.Switch = False
    """Measure this device, print what fits into the budget, and do not search."""
    log: Log = NONE
    """Where else to show the search and its trials as they run; --resume continues it. It is written into
    the run folder, unless MLFLOW_TRACKING_URI or WANDB_API_KEY names a server."""
    quiet: flag_help.Switch = False
    """Print nothing but errors; the log file is still written."""

    def __post_init__(self) -> None:
        if self.name is not None:
            if "/" in self.name or self.name in (".", ".."):
                raise SettingError(
                    "name", self.name, "must be a folder's name; --runs-dir is the folder that holds it"
                )
            user_input.refuse_long_name("name", self.name)


@dataclass(frozen=True)
class Command:
    """The command line."""

    run: Annotated[RunFlags, tyro.conf.FlagCreatePairsOff, flag_help.group("Run")] = field(
        default_factory=RunFlags
    )
    after: Annotated[AfterwardsFlags, flag_help.group("Afterwards")] = field(default_factory=AfterwardsFlags)
    settings: Annotated[SearchSettings, flag_help.group("")] = field(default_factory=SearchSettings)


@cli.flags(Command)
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = sys.argv[1:] if args is None else args
    user_input.refuse_empty(args)
    resumed = _given(args, "--resume")
    folder = None if resumed is None else user_input.path("resume", Path(resumed))
    if resumed == _AUTO:
        folder = _named_folder(args)
    default, stored = Command(), None
    if folder is not None:
        from nas.run.folder import Run

        begun = Run.open(folder)
        stored = begun.read_search()
        default = _begun_with(begun, stored)
        refuse_foreign_space(default.settings, _given(args, "--space"))
    command = cli.parse(
        Command,
        prog=PROG,
        description=_DESCRIPTION,
        default=default,
        args=args,
        pairs=True,
        renamed=RENAMED,
    )
    from nas.search import afterwards

    steps, settings = command.after.steps, command.settings
    afterwards.check(steps, settings.space.space)

    if command.run.plan:
        from nas.search import plan, plan_view

        plan_view.show(plan.make(settings, steps))
        return 0

    from nas.search.notify import Notifier

    require(command.run.log)
    notifier = Notifier.checked(command.after.notify, command.after.notify_seconds)
    with notifier.notifying_of_errors():
        found = _search(command, folder, stored, notifier, auto=resumed == _AUTO)
        notifier.about(found.run)
        code, message = afterwards.finish(found, steps, quiet=command.run.quiet)
        notifier.end(message)
    return code or _EXIT_CODES[found.reason]


def _search(
    command: Command, folder: Path | None, stored: SearchFile | None, notifier: Notifier, *, auto: bool
) -> SessionOutcome:
    """Begins or continues a search, unless it has ended for good; returns its outcome."""
    from nas.run.folded_journal import FoldedJournal
    from nas.run.folder import Run
    from nas.search import afterwards, session
    from nas.search.view import choose
    from nas.tracking.follower import remember
    from nas.view import summary

    quiet, steps = command.run.quiet, command.after.steps
    view = notifier.watching(choose(quiet=quiet))
    if folder is not None:
        if auto and not quiet:
            print(f"--resume auto: continues {folder}")
        run = Run.open(folder)
        stored = afterwards.remember(run, stored or run.read_search(), command.after.then)
        past = FoldedJournal.of(run) if steps else None
        if past and (ended := afterwards.ended(run, stored, past.state, command.settings)):
            remember(run, command.run.log)
            return ended
        found = session.resume(folder, command.settings, view, stored, past, log=command.run.log)
    else:
        found = _begin(command, view, auto=auto)
    if not quiet:
        summary.show(found.run, found.search, found.state, found.reason)
    return found


def _begin(command: Command, view: View, *, auto: bool) -> SessionOutcome:
    from nas.search import session

    then, log = command.after.then, command.run.log
    if not command.run.name:
        with session.unnamed(command.run.runs_dir, command.settings) as path:
            return session.begin(path, command.settings, view, then=then, log=log)
    path = command.run.runs_dir / command.run.name
    if auto and not command.run.quiet:
        print(f"--resume auto: starts {path}")
    try:
        return session.begin(path, command.settings, view, then=then, log=log)
    except UserError:
        if not auto or not path.exists():
            raise
        # Another task began it in the meantime; resuming reports whether that one still runs.
        return session.resume(path, command.settings, view, log=log)


def _given(args: Sequence[str], flag: str) -> str | None:
    """Finds a flag's value before parsing, since the settings of a resumed run become the defaults.

    Like the parser, it takes ``_`` for ``-`` and uses the last of several values.
    """
    found = None
    for index, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if not name.startswith("--") or name.replace("_", "-") != flag:
            continue
        if equals:
            found = value
        elif index + 1 < len(args):
            found = args[index + 1]
    return found


def _named_folder(args: Sequence[str]) -> Path | None:
    """Returns the folder that ``--resume auto`` continues, None if the run does not exist yet."""
    name = _given(args, "--name")
    if name is None:
        raise UserError("--resume auto: needs --name, by which all tasks find the same run")
    runs = user_input.path("runs_dir", Path(_given(args, "--runs-dir") or RunFlags.runs_dir))
    folder = runs / user_input.path("name", Path(name))
    return folder if folder.exists() else None


def _begun_with(run: Run, search: SearchFile) -> Command:
    """Returns the command that a run was begun with."""
    from nas.tracking.follower import remembered

    try:
        after = AfterwardsFlags(then=tuple(search.then or ()))
    except UserError as error:
        raise UserError(f"search.json: {error}") from None
    flags = RunFlags(log=cast("Log", remembered(run)))
    return Command(run=flags, settings=SearchSettings.of(search), after=after)


if __name__ == "__main__":
    cli.run(main, PROG)
