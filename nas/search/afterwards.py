"""Runs the steps that follow a search in the same command; after a kill, a resumed one continues."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

import search_spaces
from nas.run.commands import space_flag
from nas.run.folder import write_json
from nas.run.steps import CONFIRM, EXPORT, REPORT, TOP, reserved_seconds, training_seconds
from nas.search import session
from nas.search.settings import SearchSettings, refuse_changes
from nas.util import attached, signals
from nas.util.errors import SettingError, one_line
from nas.util.quantities import counted, format_duration
from nas.view.lines import STOP_REASONS, percent
from nas.view.logfile import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nas.run.folder import Run
    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState
    from nas.run.steps import Step

EXIT_FAILED = 3  # a step failed, the search did not
_MODULES = {CONFIRM: "nas.confirm", REPORT: "analysis.report", EXPORT: "nas.export"}
_REDUCED = "reduced"  # the size of the search
_VERSION = 1


@dataclass(frozen=True)
class StepOutcome:
    """The outcome of a step.

    Attributes:
        step: The step, as typed.
        code: Its exit code.
        message: Its result, or why it failed.
    """

    step: str
    code: int
    message: str

    @property
    def line(self) -> str:
        """The outcome in one line."""
        return self.message if self.code == 0 else f"failed (exit code {self.code}): {self.message}"


def check(steps: Sequence[Step], space: str) -> None:
    """Refuses sizes that a space does not have, before the search instead of after it.

    Raises:
        UserError: If there is no such size.
    """
    exports = [step for step in steps if step.name == EXPORT and step.argument]
    if exports:
        known = _sizes(space)
        for step in exports:
            if step.argument not in known and not Path(step.argument).is_file():
                raise SettingError("then", step, f"the space has no such size; must be {', '.join(known)}")


def _sizes(space: str) -> list[str]:
    """Returns the sizes that its networks can be exported at, the default first."""
    return [*search_spaces.get(space).full_sizes, _REDUCED]


def ended(
    run: Run, search: SearchFile, state: SearchState, settings: SearchSettings
) -> session.SessionOutcome | None:
    """Returns the outcome of a search that has ended for good; None if it can continue.

    Raises:
        UserError: If settings differ that may not differ.
    """
    refuse_changes(SearchSettings.of(search), settings)
    limits, trials = settings.budget, settings.budget.trials
    more_time = limits.seconds > search.limits.seconds
    over = {
        "budget": not more_time,
        "trials": trials is not None and state.finished >= trials,
        "exhausted": True,
    }
    if not over.get(state.stopped, False):
        return None
    return session.SessionOutcome(run, search, state, state.stopped)


def remember(run: Run, search: SearchFile, then: Sequence[str]) -> SearchFile:
    """Writes the steps to ``search.json``, so that a resumed run knows them.

    Returns:
        The new content.
    """
    if list(then) != (search.then or []):
        search = replace(search, then=list(then))
        with run.lock(), run.written():
            run.write(search)
    return search


def budget_left(search: SearchFile, state: SearchState, steps: Sequence[Step]) -> float:
    """Returns the seconds a confirmation may take: those left by the search, and at least those planned."""
    seconds = search.limits.seconds
    planned = reserved_seconds(steps, seconds, training_seconds(state, search.rungs[-1]))
    return max(seconds - state.clock, planned, 1.0)


def finish(found: session.SessionOutcome, steps: Sequence[Step], *, quiet: bool) -> tuple[int, str]:
    """Runs the steps after a search, unless it was interrupted, and reports their outcomes.

    Returns:
        The exit code of the steps, 0 if all succeeded; and a summary in one line.

    Raises:
        UserError: If another process runs them.
    """
    state, reason = found.state, found.reason
    said = [f"{STOP_REASONS[reason]}, {counted(state.finished, 'trial')} in {format_duration(state.clock)}"]
    if state.incumbent is not None:
        said.append(f"the best has {percent(state.trials[state.incumbent].error)}")
    if not steps or reason in signals.EXIT_CODES:
        return 0, "; ".join(said)
    outcomes, ended_by = StepRunner(found, steps, quiet=quiet).carry_out()
    lines = [f"{outcome.step}: {outcome.line}" for outcome in outcomes]
    if ended_by:
        lines.append(f"{ended_by}; resumed, the search goes on with what is left")
    if not quiet:
        print("\n" + "\n".join(lines), flush=True)
    if ended_by:
        return signals.EXIT_CODES[ended_by], "; ".join((*said, *lines))
    failed = any(outcome.code for outcome in outcomes)
    return EXIT_FAILED if failed else 0, "; ".join((*said, *lines))


class StepRunner:
    """The steps of a run, and their outcomes."""

    def __init__(self, found: session.SessionOutcome, steps: Sequence[Step], *, quiet: bool = False) -> None:
        """Takes a search whose run is not locked by anyone, and the steps to run, in order."""
        self._run, self._search, self._state = found.run, found.search, found.state
        self._steps, self._quiet = steps, quiet
        self._file = found.run.path / "afterwards.json"

    def carry_out(self) -> tuple[list[StepOutcome], str]:
        """Runs the steps not yet done since the search ended; a failed one does not stop the others.

        Returns:
            The outcome of each step, and ``interrupted`` or ``terminated`` if a signal ended them, else "".

        Raises:
            UserError: If another process runs them.
        """
        with self._run.held(self._run.path / ".then.lock", "what follows a search"):
            outcomes, anew = self._known(), False
            for step in self._steps:
                # Later steps use the results of earlier ones.
                if not anew and any(known.step == str(step) and known.code == 0 for known in outcomes):
                    continue
                outcomes = [known for known in outcomes if known.step != str(step)]
                outcome = self._do(step)
                ended_by = {code: word for word, code in signals.EXIT_CODES.items()}.get(outcome.code, "")
                if ended_by:
                    return outcomes, ended_by
                anew = anew or outcome.code == 0
                outcomes.append(outcome)
                self._note(outcome)
                self._write(outcomes)
        order = [str(step) for step in self._steps]
        return sorted(outcomes, key=lambda outcome: order.index(outcome.step)), ""

    def _do(self, step: Step) -> StepOutcome:
        if not self._quiet:
            print(f"\nthen {step}", flush=True)
        prepare = {CONFIRM: self._confirm, REPORT: self._report, EXPORT: self._export}[step.name]
        args, result = prepare(step)
        quiet = ["--quiet"] if self._quiet and step.name != REPORT else []
        sys.stdout.flush()
        code, said = attached.run(_MODULES[step.name], (self._run.path, *args, *quiet), quiet=self._quiet)
        if code:
            return StepOutcome(
                str(step), code, one_line(said.partition(": ")[2] or said or "it said nothing")
            )
        return StepOutcome(str(step), code, str(result()))

    def _confirm(self, step: Step) -> tuple[list[object], Callable[[], object]]:
        """Returns the arguments of a step's command, and what gives its result."""
        seconds = f"{budget_left(self._search, self._state, self._steps):.0f}s"
        args = ["--top", TOP, "--seeds", step.seeds, "--budget", seconds]
        return [*args, *space_flag(self._search.named_space)], self._verdict

    def _report(self, _: Step) -> tuple[list[object], Callable[[], object]]:
        return [], lambda: self._run.report

    def _export(self, step: Step) -> tuple[list[object], Callable[[], object]]:
        size = step.argument or _sizes(self._search.named_space)[0]
        target = self._target(size)
        args = ["--geometry", size, "-o", target, *space_flag(self._search.named_space)]
        return args, lambda: target

    def _target(self, size: str) -> Path:
        """Returns a folder that does not exist yet, since exports of earlier winners are kept."""
        several = sum(one.name == EXPORT for one in self._steps) > 1
        name = f"{self._run.name}-{Path(size).stem}" if several else self._run.name
        target, number = Path("models", name), 2
        while target.exists():
            target, number = Path("models", f"{name}-{number}"), number + 1
        return target

    def _verdict(self) -> str:
        """Returns the confirmation's result: the last line that ``nas.status`` prints."""
        command = [sys.executable, "-m", "nas.status", str(self._run.path)]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return lines[-1] if lines else "done"

    def _note(self, outcome: StepOutcome) -> None:
        with contextlib.suppress(OSError):
            open_log(self._run.log).note(f"then {outcome.step}: {outcome.line}")

    def _known(self) -> list[StepOutcome]:
        """Returns the steps done since the search ended; none if the record cannot be read."""
        try:
            found = orjson.loads(self._file.read_bytes())
            if found["journal"] == self._run.journal.stat().st_size:
                wanted = {str(step) for step in self._steps}
                return [one for values in found["steps"] if (one := StepOutcome(**values)).step in wanted]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return []

    def _write(self, outcomes: Sequence[StepOutcome]) -> None:
        size = self._run.journal.stat().st_size
        values = {"format": _VERSION, "journal": size, "steps": [asdict(one) for one in outcomes]}
        with contextlib.suppress(OSError):  # without it, steps are repeated, which does no harm
            write_json(self._file, values)
