"""Findings of a run in sentences and small tables, for the report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis import agreement, seeds
from analysis.importance import marginals
from analysis.levels import plainly
from nas.confirm.view import gain_over_baseline, spread, verdict
from nas.run import learnt_rungs
from nas.run.commands import RunCommands
from nas.util.quantities import counted, format_count, format_duration, format_whole
from nas.view.lines import STOP_REASONS, percent

if TYPE_CHECKING:
    import pandas as pd

    from analysis.frames import Run
    from analysis.seeds import Seeds

_FEW_AT_THE_TOP = 10
_MANY_CRASHES = 0.1
_SEVERAL = 3
_CLOSE = 1.96  # standard errors: a 95 % interval


@dataclass(frozen=True)
class Step:
    """A suggested next step: the reason and the command."""

    why: str
    command: str = ""


def state(run: Run) -> str:
    """Describes whether the search runs, or why it stopped."""
    if run.running:
        return "still running: this is how it stood when it was read"
    if run.sessions.empty:
        return "not begun"
    reason = run.sessions["reason"].iloc[-1]
    if not reason:
        return "ended without notice, as by a kill or a power cut; resumed, it goes on"
    return f"stopped: {STOP_REASONS.get(reason, reason)}"


def gain(run: Run) -> float | None:
    """Returns the winner's gain in top-1 on the base architecture after as many epochs."""
    if run.incumbent is None:
        return None
    baseline = run.baseline(int(run.incumbent["epochs"]))
    return None if baseline is None else float(baseline["error"] - run.incumbent["error"])


def chance(run: Run) -> float | None:
    """Returns the difference of two top-1s that the number of validation images alone explains (95 %).

    Twice a binomial's variance: it ignores that both networks saw the same images, which makes real
    differences a little easier to see, and training noise, which makes them harder.
    """
    images = run.search.data.val_images
    if run.incumbent is None or not images:
        return None
    share = float(run.incumbent["error"])
    return _CLOSE * math.sqrt(2 * share * (1 - share) / images)


def headline(run: Run, several: Seeds | None = None) -> str:
    """Describes the result in a sentence or two: that of several seeds if there are any, else the best."""
    if several is not None and several.compared:
        return _confirmed_headline(run, several)
    if run.measured.empty:
        crashed = len(run.crashed)
        end = f"{counted(crashed, 'finished trial')} crashed" if crashed else "none has finished"
        return f"No trial has succeeded: {end}."
    winner, better, luck = run.incumbent, gain(run), chance(run)
    if winner is None:
        top = counted(run.rungs[-1], "epoch")
        return f"No configuration has been trained for {top} yet, so there is no winner."
    top1 = f"{100 * (1 - winner['error']):.2f}% validation top-1"
    text = f"The best network reaches {top1} after {counted(winner['epochs'], 'epoch')}{_over_seeds(run)}"
    if winner["origin"] == "baseline":
        return f"{text}: it is the base architecture itself. Nothing better has been found so far."
    if better is None:
        return (
            f"{text}. The base architecture has no result at these epochs, so nothing is said about a gain."
        )
    text += f", {100 * better:+.2f} points against the base architecture trained the same way."
    if luck is not None and better < luck:
        text += (
            f" With {run.search.data.val_images:,} validation images, differences below "
            f"{100 * luck:.1f} points may be chance: this one may be."
        )
    return text


def _over_seeds(run: Run) -> str:
    """Describes the seeds behind the winner's figure, "" while every configuration has one seed."""
    lead = run.incumbents.iloc[-1]
    if lead["low"] != lead["low"]:  # NaN
        return ""
    seeds = counted(lead["seeds"], "seed")
    low, high = 100 * (1 - lead["high"]), 100 * (1 - lead["low"])
    return f" ({seeds}; over all seeds {low:.2f} to {high:.2f}% with a probability of 95 %)"


def _confirmed_headline(run: Run, several: Seeds) -> str:
    said = verdict(several.found)
    text = f"Over {_seeds(several)}: {said}."
    if run.incumbent is not None and several.winner is not None:
        top1 = percent(float(run.incumbent["error"]))
        many = "estimates and may flatter" if _has_further_seeds(run) else "single measurements and flatters"
        text += f" The search's own figure, {top1}, is the best of many {many}."
    return text


def _seeds(several: Seeds) -> str:
    return counted(several.compared, "seed")


def confirmed(several: Seeds) -> dict[str, Any]:
    """Describes the results of several seeds: a sentence, and a row per configuration."""
    found = several.found
    rows = [
        {
            "name": seeds.label(row),
            "searched": percent(row.searched_error),
            "confirmed": spread(row.mean_error, row.sd_error),
            "gain": gain_over_baseline(row),
            "seeds": ", ".join(percent(error) for error in row.errors),
        }
        for row in found.configurations
    ]
    said = verdict(found) if several.compared else "no seed has been trained for all of them yet"
    shown = said[0].upper() + said[1:]
    return {"verdict": shown, "rows": rows, "seeds": _seeds(several), "epochs": found.epochs}


def facts(run: Run, several: Seeds | None = None) -> list[tuple[str, str]]:
    """Returns the figures at the top of the report, those of several seeds before the search's."""
    winner, better = run.incumbent, gain(run)
    finished = run.measured
    best = None if several is None else several.winner
    if best is not None:
        top = [("best top-1, confirmed", spread(best.mean_error, best.sd_error))]
        if not best.baseline:
            top.append(("against the base, confirmed", f"{gain_over_baseline(best)} points"))
        top.append(("best single measurement", percent(None if winner is None else float(winner["error"]))))
    else:
        top = [("best top-1", "–" if winner is None else f"{100 * (1 - winner['error']):.2f}%")]
        if better is not None and winner is not None and winner["origin"] != "baseline":
            top.append(("against the base", f"{100 * better:+.2f} points"))
    size = None if winner is None else (winner["macs"], winner["params"])
    if best is not None:
        size = None if best.macs is None or best.params is None else (best.macs, best.params)
    if size is not None:
        top.append(("its size", f"{format_count(size[0])} MACs, {format_count(size[1])} params"))
    limits = run.search.limits
    limit = format_duration(limits.seconds)
    limit += "" if limits.trials is None else f" or {counted(limits.trials, 'trial')}"
    return [
        *top,
        ("trials", f"{len(finished)} measured, {len(run.crashed)} crashed"),
        ("configurations", f"{run.trials['config_id'].nunique():,} of {format_whole(run.search.space.size)}"),
        ("search time", f"{format_duration(run.clock)} of {limit}"),
    ]


def rungs(run: Run) -> list[dict[str, Any]]:
    """Returns a row per rung with the number of trials and their errors."""
    rows = []
    for epochs in run.rungs:
        trials = run.trials[(run.trials["epochs"] == epochs) & ~run.trials["cached"]]
        top1 = 1 - run.budget(epochs)["error"]
        baseline = run.baseline(epochs)
        rows.append(
            {
                "epochs": epochs,
                "measured": len(top1),
                "crashed": int((trials["status"] == "crashed").sum()),
                "open": int(trials["status"].isin(["asked", "running"]).sum()),
                "best": _percent(top1.max()),
                "median": _percent(top1.median()),
                "base": _percent(float("nan") if baseline is None else 1 - baseline["error"]),
                "time": format_duration(trials["seconds"].sum()),
            }
        )
    return rows


def changes(run: Run) -> list[dict[str, Any]]:
    """Returns the winner's differences from the base architecture, with the meaning of each choice."""
    if run.incumbent is None:
        return []
    config = run.config(int(run.incumbent["trial"]))
    return [
        {
            "name": name,
            "base": plainly(run.default[name]),
            "winner": plainly(config[name]),
            "meaning": run.hyperparameters[name].meaning,
        }
        for name in run.differing(config)
    ]


def proxies(run: Run) -> list[str]:
    """A sentence for each two rungs on whether the lower one is honest."""
    table = agreement.correlations(run)
    said = [agreement.verdict(row) for _, row in table.iterrows()]
    if misleading := learnt_rungs.misleading(run.state, run.search):
        said.append(f"So the search began higher: {misleading}.")
    return said


def _has_further_seeds(run: Run) -> bool:
    return any(trial.repeat and trial.error is not None for trial in run.state.trials.values())


def crash_rows(run: Run) -> list[tuple[int, str, str]]:
    """Counts the crashed trials for each reason, with the numbers of a few."""
    reasons = marginals.crash_reasons(run)
    return [
        (len(numbers), str(reason), ", ".join(str(number) for number in numbers[:5]))
        for reason, numbers in sorted(reasons.items(), key=lambda item: -len(item[1]))
    ]


def crash_choices(run: Run) -> list[dict[str, Any]]:
    """Returns the choices that crash significantly more often than all others together."""
    table: pd.DataFrame = marginals.crashes(run)
    ended = max(len(run.measured) + len(run.crashed), 1)
    share = len(run.crashed) / ended
    return [
        {**{str(key): value for key, value in row.items()}, "share": _percent(row["share"])}
        for row in table.to_dict("records")
        if row["at_least"] > share and row["crashed"] >= _SEVERAL
    ]


def next_steps(run: Run, *, confirmed: bool) -> list[Step]:
    """Suggests next steps, the most urgent first, each with its reason.

    Args:
        run: The run.
        confirmed: Whether the best have already been trained with several seeds.
    """
    known = RunCommands.of(run.path, run.search)
    resume = known.resume("" if run.sessions.empty else str(run.sessions["reason"].iloc[-1])) or ""
    if run.running:
        steps = [Step("The search goes on; make this report again later.", known.report)]
    elif run.measured.empty:
        steps = [Step("Nothing succeeded: read the crash reasons above and the log, then begin a new run.")]
    else:
        steps = []
    ended = len(run.measured) + len(run.crashed)
    if len(run.crashed) > _MANY_CRASHES * ended and not run.measured.empty:
        steps.append(Step(f"{len(run.crashed)} of {ended} trials crashed: read the reasons above first."))
    at_the_top = len(run.budget(run.rungs[-1]))
    if not run.running and not run.measured.empty and at_the_top < _FEW_AT_THE_TOP:
        steps.append(
            Step(
                f"Trials of {counted(run.rungs[-1], 'epoch')}: only {at_the_top}. Search for longer.", resume
            )
        )
    elif not run.running and _late(run):
        steps.append(
            Step("The last lead came late in the search: more time is likely to find better.", resume)
        )
    table = agreement.correlations(run)
    poor = table[(table["high"] == run.rungs[-1]) & (table["rho_low"] <= 0)]
    if not poor.empty:
        steps.append(
            Step(
                f"The ranking after {counted(int(poor['low'].iloc[0]), 'epoch')} is poor: begin a new run "
                "with more epochs on the lowest rung."
            )
        )
    better, luck = gain(run), chance(run)
    beaten = run.incumbent is not None and run.incumbent["origin"] != "baseline"
    if beaten and not confirmed and not run.running:
        trained = (
            "Only some of the best have been trained with further seeds, chosen by their figures."
            if _has_further_seeds(run)
            else "Each network was trained with one seed."
        )
        steps.append(
            Step(
                f"{trained} Train the best and the base architecture again with several: was it the "
                "network, or luck?",
                known.confirm,
            )
        )
    if beaten and better is not None and luck is not None and better < 2 * luck:
        steps.append(
            Step(
                "The gain is not far from what chance gives: search again with other seeds, then compare.",
                known.compare,
            )
        )
    if beaten:
        steps.append(
            Step(
                "The winner's accuracy was the best of many on the same validation images, so it flatters. "
                "Train the winner and the base architecture at full size with several seeds (nas.train), "
                "and measure both on images the search has not seen (nas.evaluate).",
                known.export,
            )
        )
    if not run.measured.empty:
        steps.append(Step("Explore it interactively.", known.dashboard))
    return steps


def _late(run: Run) -> bool:
    return not run.incumbents.empty and run.incumbents["clock"].iloc[-1] > 0.75 * run.clock


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.2f}%"
