"""Prints a plan."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from nas.run.steps import trainings
from nas.util import tables
from nas.util.errors import one_line
from nas.util.quantities import counted, format_duration, format_size

if TYPE_CHECKING:
    from rich.table import Table

    from nas.search.plan import Plan


def show(plan: Plan, console: Console | None = None) -> None:
    """Prints a plan, by default to standard output."""
    console = console or Console()
    data = plan.facts.data
    console.print(
        f"[bold]plan[/] for {format_duration(plan.seconds)} on {plan.facts.hardware.device}"
        f"{_width(plan)}, {data.name}: {data.train_images} training images, "
        f"{data.val_images} validation images\n"
    )
    console.print(_speeds(plan))
    console.print(_rungs(plan))
    console.print(
        f"expected trials   about {plan.trials:.0f}{_with(plan.workers)} ({plan.least:.0f} if all cost "
        f"as much as the costliest, {plan.most:.0f} as little as the cheapest)"
    )
    console.print(f"baseline          {format_duration(plan.baseline_seconds)} at the start, all rungs")
    if plan.sharing:
        console.print(f"sharing           {one_line(plan.sharing)}")
    if plan.then:
        console.print(_then(plan))
    need, quota = plan.checkpoint_bytes, plan.quota_bytes
    fits = "" if need <= quota else " [yellow](some configurations will be trained from the start)[/]"
    console.print(
        f"disk              up to {format_size(need)} of checkpoints, quota {format_size(quota)}{fits}"
    )
    if plan.trials < 1:
        console.print(
            "[yellow]the budget is too short for one round: take fewer epochs or a longer budget[/]"
        )
    if plan.advised_workers:
        console.print(
            f"[yellow]cores would be idle: --trial-workers {plan.advised_workers} trains that many networks "
            "at a time[/]"
        )
    end = datetime.now() + timedelta(seconds=plan.seconds)
    console.print(f"end, if started now: {end:%A %Y-%m-%d %H:%M}")


def _then(plan: Plan) -> str:
    """Describes what follows the search, and the time reserved for it."""
    text = f"then              {one_line(' '.join(map(str, plan.then)))}"
    if not plan.confirmation:
        return text
    text += (
        f"; {format_duration(plan.reserved)} of the budget is kept for "
        f"{counted(trainings(plan.then), 'training')} of "
        f"{counted(plan.rungs[-1].epochs, 'epoch')}, about {format_duration(plan.confirmation)}"
    )
    short = "[yellow](not all of them will fit: take fewer seeds, fewer epochs or a longer budget)[/]"
    return text if plan.reserved >= plan.confirmation else f"{text} {short}"


def _with(workers: int) -> str:
    return f" with {workers} workers" if workers > 1 else ""


def _width(plan: Plan) -> str:
    """Describes the width, for a space that has widths."""
    return f", width {plan.facts.width}" if plan.facts.width else ""


def _speeds(plan: Plan) -> Table:
    names = ("configuration", "one epoch", "validation", "build", "checkpoint")
    table = tables.table("measured", *names, words=names[:1])
    for name, point in plan.measured.items():
        table.add_row(
            name,
            format_duration(point.train_seconds),
            format_duration(point.val_seconds),
            format_duration(point.build_seconds),
            format_size(point.checkpoint_bytes),
        )
    return table


def _rungs(plan: Plan) -> Table:
    table = tables.table("rungs", "epochs", "newly trained", "one trial takes", "expected trials")
    for rung in plan.rungs:
        table.add_row(
            str(rung.epochs), str(rung.new_epochs), format_duration(rung.seconds), f"{rung.trials:.0f}"
        )
    return table
