"""The summary printed when a search ends: best networks, winner against baseline, next commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from nas.run.commands import RunCommands
from nas.run.incumbent import ranked
from nas.util import tables
from nas.util.commands import interpreter
from nas.util.quantities import counted, format_count, format_duration
from nas.view.lines import STOP_REASONS, over_seeds, percent
from nas.view.panel import word
from search_spaces.hyperparameters import differences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rich.table import Table

    from nas.run.folder import Run
    from nas.run.incumbent import IncumbentEstimate
    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState, Trial

_TOP = 10


def show(
    run: Run, search: SearchFile, state: SearchState, reason: str, console: Console | None = None
) -> None:
    """Prints the end of a session and why it stopped, by default to standard output."""
    console = console or Console()
    console.print(
        f"\n[bold]{run.name}[/]: {STOP_REASONS[reason]}, after {format_duration(state.clock)} and "
        f"{counted(state.finished, 'trial')} ({len(state.crashed)} crashed)\n"
    )
    if reason == "crashes":
        console.print(f"[red]the crash: {state.trials[state.crashed[-1]].reason}[/]\n")
    best = ranking(state)
    if best:
        console.print(_table(best[:_TOP], _leads(state), search.space.default))
    if state.incumbent is not None:
        console.print(_winner(state.trials[state.incumbent], state, search.space.default))
    console.print(Text(f"run folder   {run.path}"))
    console.print(Text("next"))
    for command in next_commands(run, search, reason, found=state.incumbent is not None):
        console.print(Text(f"  {command}"), soft_wrap=True)


def ranking(state: SearchState) -> list[Trial]:
    """Returns the best trial of each configuration, by epochs (descending), then by error over all seeds."""
    best: dict[str, Trial] = {}
    for trial in state.trials.values():
        if trial.status == "success" and not trial.cached and not trial.repeat:
            known = best.get(trial.config_id)
            if known is None or trial.epochs > known.epochs:
                best[trial.config_id] = trial
    leads = _leads(state)
    return sorted(best.values(), key=lambda t: (-t.epochs, _error(t, leads), t.trial))


def _leads(state: SearchState) -> dict[int, IncumbentEstimate]:
    """Returns the estimates for the configurations of the highest rung, by trial."""
    highest = max((trial.epochs for trial in state.trials.values()), default=0)
    return {lead.trial.trial: lead for lead in ranked(state, highest)}


def _error(trial: Trial, leads: Mapping[int, IncumbentEstimate]) -> float:
    if trial.trial in leads:
        return leads[trial.trial].error
    return 1.0 if trial.error is None else trial.error


def next_commands(run: Run, search: SearchFile, reason: str, *, found: bool) -> list[str]:
    """Returns the commands to run next, in the usual order.

    ``reason`` is why the search stopped, ``found`` whether any network was trained to the highest rung.
    """
    known = RunCommands.of(run.path, search, interpreter())
    wanted = [known.report, known.resume(reason)]
    if found:
        wanted = [known.report, known.confirm, known.resume(reason), known.export]
    return [command for command in wanted if command is not None]


def confirmed_commands(run: Run) -> list[str]:
    """Returns the commands to run after a confirmation."""
    known = RunCommands.of(run.path, run.read_search(), interpreter())
    return [known.report, known.export]


def _table(trials: list[Trial], leads: Mapping[int, IncumbentEstimate], default: Mapping[str, Any]) -> Table:
    repeated = any(lead.interval is not None for lead in leads.values())
    names = ("", "trial", "epochs", "top-1", *(["seeds"] if repeated else []), "params", "MACs")
    table = tables.table("best networks (validation)", *names, words=())
    table.add_column("changes from the baseline", overflow="fold")
    for place, trial in enumerate(trials, start=1):
        table.add_row(
            str(place),
            str(trial.trial),
            str(trial.epochs),
            percent(_error(trial, leads)),
            *([str(leads[trial.trial].seeds if trial.trial in leads else 1)] if repeated else []),
            format_count(trial.metrics["params"]),
            format_count(trial.metrics["macs"]),
            ", ".join(f"{k} {word(v)}" for k, _, v in differences(trial.config, default)) or "the baseline",
        )
    return table


def _winner(winner: Trial, state: SearchState, default: Mapping[str, Any]) -> Table:
    baseline = state.baseline(winner.epochs)
    table = tables.table("winner and baseline", "", "baseline", "winner")
    error, seeds, interval = state.estimate
    top1 = percent(error) + over_seeds(seeds, interval)
    table.add_row("top-1", percent(None if baseline is None else baseline.error), top1)
    for key, label in (("params", "params"), ("macs", "MACs")):
        base = None if baseline is None else format_count(baseline.metrics[key])
        table.add_row(label, base or "–", format_count(winner.metrics[key]))
    for key, before, value in differences(winner.config, default):
        table.add_row(key, word(before), word(value))
    return table
