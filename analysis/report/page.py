"""The report: one page about a run, for any browser, without a network."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.importance import ImportanceSettings
from nas.util import output
from nas.util.files import overwrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from analysis.frames import Run
    from analysis.seeds import Seeds


_LABELS = {
    "network": "Block diagrams of the base architecture and of the winner",
    "progress": "Validation accuracy of every trial and of the best so far, over search time",
    "budgets": "Accuracy after few epochs against accuracy after many",
    "importance-lpi": "Bars: local importance of each choice for each rung",
    "importance-fanova": "Bars: fANOVA importance of each choice for each rung",
    "importance-fanova-pairs": "Bars: importance of pairs of choices for each rung",
    "importance-ablation": "Predicted accuracy after each change from the base architecture to the winner",
    "marginals": "Mean accuracy for every value of every choice",
    "parallel": "Parallel coordinates of all configurations, coloured by accuracy",
    "size": "Accuracy against multiply-accumulates and against parameters, with Pareto fronts",
    "front": "Accuracy against the cost that is minimised, with the front, and its hypervolume over time",
    "front-importance": "Importance of each choice for accuracy, for the cost, and for what lies between",
    "front-choices": "Bars: what each choice does to accuracy and to the cost",
    "learning-curves": "Accuracy and loss over epochs of the ten best configurations",
    "seeds": "Mean accuracy and loss over epochs with standard deviations over seeds",
}


def report(run: Run, settings: ImportanceSettings = ImportanceSettings()) -> Path:  # noqa: B008 - frozen
    """Writes ``report.html`` into the run's analysis folder, and every figure as PNG and SVG.

    Works for a run that goes on, has few trials or crashed all along: what cannot be said yet is
    said to be missing.

    Returns:
        The page.

    Raises:
        UserError: If the folder cannot be written.
    """
    from markupsafe import Markup

    from analysis import outputs, seeds
    from analysis.charts import page as charts
    from analysis.figures import search as figures_search
    from analysis.figures import style as figures

    several = seeds.seeds(run)
    with outputs.writable(run.analysis) as folder:
        output.doing("drawing the figures of the search")
        drawn = _draw(run, several)
        output.doing("finding out which choices matter")
        context = _importance(run, settings, drawn, folder)
        output.doing("writing the figures")
        drawings = {name: outputs.write_figure(figure, folder, name) for name, figure in drawn.items()}
        bubbles = figures_search.size_titles(run)
        titles = {"size": {"points-macs": bubbles, "points-params": bubbles}} if bubbles else {}
        inline = {
            # Safe: text is drawn as outlines, labels and titles are escaped.
            name: Markup(figures.inline(text, name, _LABELS[name], titles.get(name)))
            for name, text in drawings.items()
        }
        output.doing("drawing the interactive charts")
        specs = {
            # Safe: what could end the script element, or a string in it, is escaped.
            name: Markup(_script_json(spec))
            for name, spec in charts.all_charts(run, several).items()
        }
        page = folder / "report.html"
        context |= {"figures": inline, "charts": specs, **_scripts(), "palette": figures.PALETTE}
        context["trials"] = _trials(run, folder)
        overwrite(page, _render({**_context(run, several), **context}))
    return page


def _trials(run: Run, folder: Path) -> dict[str, Any]:
    """The table of all trials for the page, and as a file."""
    from importlib.resources import files

    from markupsafe import Markup

    from analysis import outputs, trial_table

    outputs.write_csv(trial_table.ordered(run), folder / "trials.csv")
    columns = trial_table.columns(run)
    ours = (files("analysis.report") / "templates" / "trials.js").read_text(encoding="utf-8")
    return {
        "columns": columns,
        "rows": trial_table.rows(columns),
        "total": f"{len(run.trials):,}",
        "left_out": len(run.trials) > trial_table.MOST_ROWS,
        # Safe: what could end the script element, or a string in it, is escaped.
        "data": Markup(_script_json([column.data() for column in columns])),
        "script": Markup(ours),
    }


def _script_json(spec: Any) -> str:
    """Formats JSON for a script element, safe for any strings."""
    import orjson

    text = orjson.dumps(spec, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _scripts() -> dict[str, Any]:
    """Returns Vega-Lite and the script that embeds all charts."""
    from importlib.resources import files

    from markupsafe import Markup

    bundle = _vega_lite()
    ours = (files("analysis.report") / "templates" / "charts.js").read_text(encoding="utf-8")
    return {"vega": Markup(bundle), "script": Markup(ours)}


@functools.cache  # it takes seconds
def _vega_lite() -> str:
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub demands a snippet
    if "</script" in bundle.lower() or "<!--" in bundle:  # of another release, perhaps
        raise RuntimeError("Vega-Lite's script cannot stand inside a page")
    return bundle


def _draw(run: Run, several: Seeds | None) -> dict[str, Figure]:
    """Draws the figures of the search; those without data yet are left out."""
    from analysis import agreement
    from analysis.figures import network as figures_network
    from analysis.figures import search as figures_search
    from analysis.figures import seeds as figures_seeds

    drawn = {"network": figures_network.network(run)}
    if run.measured.empty:
        return drawn
    if (agreement.correlations(run)["configs"] >= agreement.MIN_DRAWN).any():
        drawn["budgets"] = figures_search.budgets(run)
    if several is not None:
        drawn["seeds"] = figures_seeds.seeds(several)
    drawn |= _tradeoffs(run, several)
    return {
        **drawn,
        "progress": figures_search.progress(run),
        "parallel": figures_search.parallel(run),
        "size": figures_search.size(run),
        "learning-curves": figures_search.learning_curves(run),
    }


def _tradeoffs(run: Run, several: Seeds | None) -> dict[str, Figure]:
    """Draws the figures of a search with several objectives; none for others."""
    from analysis import tradeoffs
    from analysis.figures import front as figures_front

    objectives = tradeoffs.objectives(run)
    if objectives is None or not objectives.costs:
        return {}
    drawn = {"front": figures_front.front(run, objectives, None if several is None else several.found)}
    choices = figures_front.choices(run, objectives)
    return drawn if choices is None else {**drawn, "front-choices": choices}


def _importance(
    run: Run, settings: ImportanceSettings, drawn: dict[str, Figure], folder: Path
) -> dict[str, Any]:
    """Adds the figures of importance and writes its tables, or says why there are none."""
    from analysis import outputs
    from analysis.importance import by_budget, marginals
    from analysis.importance import figures as figures_importance

    if not marginals.enough(run):
        why = (
            f"No rung has {marginals.MIN_TRIALS} successful trials yet: too few to tell what matters. "
            "One trial alone would look like an importance of 100 %."
        )
        return {"importance": None, "why_no_importance": why}
    found = by_budget.importances(run, settings)
    choices = marginals.marginals(run, trees=settings.trees, seed=settings.seed)
    outputs.write_csv(found.table, folder / "importance.csv")
    outputs.write_csv(choices, folder / "marginals.csv")
    drawn.update(figures_importance.all_figures(run, found, choices))
    drawn.update(_importance_by_objective(run, settings, folder))
    return {"importance": found}


def _importance_by_objective(run: Run, settings: ImportanceSettings, folder: Path) -> dict[str, Figure]:
    """The figure of importance along the scalarisation, its table too; none for one objective."""
    from analysis import outputs, tradeoffs
    from analysis.figures import front as figures_front
    from analysis.importance.by_objective import by_objective

    objectives = tradeoffs.objectives(run)
    if objectives is None or not objectives.costs:
        return {}
    found = by_objective(run, objectives, trees=settings.trees, seed=settings.seed)
    if found.empty:
        return {}
    outputs.write_csv(found, folder / "importance-by-objective.csv")
    return {"front-importance": figures_front.importances(found, objectives)}


def _context(run: Run, several: Seeds | None) -> dict[str, Any]:
    from datetime import datetime, timezone

    import orjson

    from analysis.report import findings, profiled
    from nas.run.commands import RunCommands
    from nas.util import records

    search = run.search
    return {
        "run": run,
        "state": findings.state(run),
        "read_at": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "headline": findings.headline(run, several),
        "confirmed": None if several is None else findings.confirmed(several),
        "how_to_confirm": RunCommands.of(run.path, search).confirm,
        "facts": findings.facts(run, several),
        "changes": findings.changes(run),
        "rungs": findings.rungs(run),
        "proxies": findings.proxies(run),
        "crash_rows": findings.crash_rows(run),
        "crash_choices": findings.crash_choices(run),
        "next_steps": findings.next_steps(run, confirmed=several is not None and several.compared > 1),
        "profiled": profiled.rows(run),
        "made": _made(run),
        "command": _typed(run.begun_by),
        "settings": orjson.dumps(records.write(search), option=orjson.OPT_INDENT_2).decode(),
    }


def _typed(command: Sequence[str]) -> str:
    """Returns the command as typed; Python puts the module's file in its first place."""
    words = [str(word) for word in command]
    if words and words[0].endswith(("nas/search.py", "nas/search/__main__.py")):
        words[:1] = ["python", "-m", "nas.search"]
    return shlex.join(words)


def _made(run: Run) -> list[tuple[str, str]]:
    """Describes software, hardware and seed."""
    from nas.util.quantities import counted, format_size

    search = run.search
    data, hardware = search.data, search.hardware
    device = [hardware.device, hardware.cpu or ""]
    if hardware.cores is not None:
        device.append(counted(hardware.cores, "core"))
    if hardware.memory_bytes is not None:
        device.append(format_size(hardware.memory_bytes))
    *lower, top = run.rungs
    rungs = " / ".join([*map(str, lower), counted(top, "epoch")])
    versions = {"smacnas": search.program, **search.versions}
    sessions = run.sessions
    begun = f"{sessions['started'].iloc[0]:%Y-%m-%d %H:%M} UTC" if len(sessions) else "–"
    return [
        ("begun", f"{begun}, {counted(len(sessions), 'session')}"),
        (
            "data",
            f"{data.name}: {data.train_images or 0:,} images to train, {data.val_images or 0:,} to validate",
        ),
        ("network", search.space.name + (f", width {search.width}" if search.width else "")),
        ("budgets", rungs),
        ("optimizer", search.settings.choice.optimizer),
        ("seed", str(search.settings.choice.seed)),
        ("hardware", ", ".join(part for part in device if part)),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def _render(context: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from nas.util.quantities import counted

    environment = Environment(
        loader=PackageLoader("analysis.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["counted"] = counted
    return environment.get_template("report.html").render(context)
