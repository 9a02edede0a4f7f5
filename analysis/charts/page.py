"""All interactive charts of a run's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.charts.parts import Spec

if TYPE_CHECKING:
    from analysis.frames import Run
    from analysis.seeds import Seeds


def all_charts(run: Run, several: Seeds | None) -> dict[str, Spec]:
    """Builds every chart that has data, by the name of the figure that it replaces."""
    from analysis.charts import curves as charts_curves
    from analysis.charts import search as charts_search
    from analysis.charts import space as charts_space

    if run.measured.empty:
        return {}
    charts = {
        "progress": charts_search.progress(run),
        "parallel": charts_space.parallel(run),
        "size": charts_search.size(run),
    }
    if not run.curves.empty:
        charts["learning-curves"] = charts_curves.learning_curves(run)
    if several is not None:
        charts["seeds"] = charts_curves.seeds(several)
    return charts
