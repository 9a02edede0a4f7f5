"""Which executor a search uses: the local one for one trial at a time, Dask's for more."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.execution import gpus
from nas.execution.local import LocalExecutor
from nas.util.errors import UserError, setting

if TYPE_CHECKING:
    from nas.execution.protocol import MeasuringExecutor
    from nas.execution.settings import MachineSettings, WorkerSettings
    from nas.execution.share import GpuSharing


def choose(
    machine: MachineSettings, settings: WorkerSettings, shared: GpuSharing | None = None
) -> MeasuringExecutor:
    """Makes the executor that the settings ask for; nothing is started yet.

    Args:
        machine: Where trials run.
        settings: What trial processes need to know.
        shared: How trials share this machine's GPUs; None: as the settings say, without MPS.

    Raises:
        UserError: If the settings contradict each other, or the cluster's file is invalid.
    """
    scheduler, file = _given(machine.dask_scheduler), _given(machine.cluster)
    if scheduler and file:
        raise UserError(
            f"{setting('dask_scheduler')}, {setting('cluster')}: give one of them, and none for the other"
        )
    if not scheduler and not file:
        workers = count(machine, shared)
        if shared is not None:
            settings = replace(settings, environment={**settings.environment, **shared.environment})
        if workers == 1:
            return LocalExecutor(settings)
    from nas.execution.dask import clusters
    from nas.execution.dask.cluster_file import ClusterFile
    from nas.execution.dask.executor import DaskExecutor

    cluster: clusters.Cluster
    if scheduler:
        cluster = clusters.RunningScheduler(scheduler)
    elif file:
        contents = ClusterFile.read(Path(file))
        cluster = clusters.BatchSystem(contents, machine.workers or contents.workers)
    else:
        cluster = clusters.LocalWorkers(workers, shared)
    return DaskExecutor(cluster, settings, say=lambda text: print(text, file=sys.stderr, flush=True))


def count(machine: MachineSettings, shared: GpuSharing | None = None) -> int:
    """Number of trials at a time on this machine: as set, else by the number of visible GPUs, at least 1."""
    if machine.workers is not None:
        return machine.workers
    if machine.device == "cpu":
        return 1
    each = 1 if machine.trials_per_gpu == "auto" else machine.trials_per_gpu
    if shared is not None and shared.gpus:
        return shared.trials * shared.gpus
    named = machine.device not in ("auto", "cuda")
    return max(each * (1 if named else len(gpus.visible())), 1)


def _given(value: str) -> str:
    return "" if value == "none" else value
