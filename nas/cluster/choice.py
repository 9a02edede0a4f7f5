"""Which executor a search gets: the plain one for one trial at a time, Dask's for more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cluster import gpus
from nas.engine.local import LocalExecutor
from nas.errors import UserError

if TYPE_CHECKING:
    from nas.cluster.executor import DaskExecutor
    from nas.engine.worker import WorkerSettings
    from nas.settings import MachineSettings


def choose(machine: MachineSettings, settings: WorkerSettings) -> LocalExecutor | DaskExecutor:
    """Makes the executor that the flags ask for; nothing is started yet.

    Raises:
        UserError: If the flags contradict each other, or the cluster's file is not as it should be.
    """
    scheduler, file = _given(machine.dask_scheduler), _given(machine.cluster)
    if scheduler and file:
        raise UserError("--dask-scheduler, --cluster: give one of them, and none for the other")
    if not scheduler and not file:
        workers = count(machine)
        if workers == 1:
            return LocalExecutor(settings)
    from nas.cluster import sites
    from nas.cluster.executor import DaskExecutor
    from nas.cluster.site_file import SiteFile

    site: sites.Site
    if scheduler:
        site = sites.Running(scheduler)
    elif file:
        contents = SiteFile.read(Path(file))
        site = sites.Batch(contents, machine.workers or contents.workers)
    else:
        site = sites.Machine(workers)
    return DaskExecutor(site, settings, say=lambda text: print(text, file=sys.stderr, flush=True))


def count(machine: MachineSettings) -> int:
    """Trials at a time on this machine: as asked, else one for each visible GPU, or a single one."""
    if machine.workers is not None:
        return machine.workers
    if machine.device == "cpu":
        return 1
    named = machine.device not in ("auto", "cuda")
    return max(machine.trials_per_gpu * (1 if named else len(gpus.visible())), 1)


def _given(value: str) -> str:
    return "" if value == "none" else value
