"""Learning curves of configurations, joined over the trials that trained them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from analysis.frames import Run


def ranking(run: Run) -> pd.DataFrame:
    """Returns the longest trial of each configuration, the longest and best first."""
    measured = run.measured.sort_values(["epochs", "error", "trial"], ascending=[False, True, True])
    return measured.drop_duplicates("config_id")


def curve(run: Run, config_id: str) -> pd.DataFrame:
    """Joins all epochs of one configuration; promoted ones have several trials, of which the latest counts.

    Those of further seeds are left out.
    """
    own = run.trials.index[(run.trials["config_id"] == config_id) & (run.trials["replicate"] == 0)]
    points = run.curves[run.curves["trial"].isin(own)]
    return points.drop_duplicates("epoch", keep="last").sort_values("epoch")
