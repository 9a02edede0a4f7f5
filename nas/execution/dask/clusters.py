"""Where Dask's scheduler and workers come from: this machine, a scheduler that runs, a batch system."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import time
import warnings
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import dask
from distributed import Client, LocalCluster

from nas.util.errors import SettingError
from nas.util.system import cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_jobqueue.core import JobQueueCluster

    from nas.execution.dask.cluster_file import ClusterFile
    from nas.execution.share import GpuSharing

_ANSWER = 5.0  # seconds within which a scheduler answers
_RESUBMIT = 60.0  # seconds between checks for jobs that ended and are still needed
_LOOPBACK = "127.0.0.1:0"  # for Dask's own pages, on a free port

_SETTINGS = {
    # A worker's death is reported at once; the search decides about its trial.
    "distributed.scheduler.allowed-failures": 0,
    # A trial's task waits for its separate process: a long task in a worker is not a fault.
    "distributed.admin.tick.limit": "1h",
    "distributed.worker.memory.spill": False,
    # A checkpoint may be sent along with its trial.
    "distributed.admin.large-graph-warning-threshold": "1TB",
}


class Cluster(Protocol):
    """A scheduler and how to reach it."""

    @property
    def name(self) -> str:
        """Description of the scheduler, for messages."""
        ...

    @property
    def workers(self) -> int:
        """Number of workers requested, 0 if they join of their own accord."""
        ...

    @property
    def warning(self) -> str:
        """One line on who can reach the scheduler; "" if only this machine can, or others are kept out."""
        ...

    @property
    def one_each(self) -> bool:
        """Whether workers can no longer share a GPU, so that only one on each GPU may get trials."""
        ...

    @property
    def waits_for(self) -> str:
        """What the search waits for while there is no worker, for messages."""
        ...

    def connect(self) -> Client:
        """Connects to the scheduler, after starting it if it is the cluster's own.

        Raises:
            UserError: If it can never be reached.
            OSError: If it does not answer now.
        """
        ...

    def refresh(self) -> str:
        """Replaces workers that are gone for good; called regularly.

        Returns:
            What else happened, in one line, or "".
        """
        ...

    def close(self) -> None:
        """Ends what the cluster started."""
        ...


class LocalWorkers:
    """Worker processes on this machine, with a scheduler inside the search, bound to loopback."""

    name = "Dask on this machine"
    warning = ""
    waits_for = "the worker processes"

    def __init__(self, workers: int, shared: GpuSharing | None = None) -> None:
        """Prepares that number of worker processes, which share GPUs as ``shared`` says."""
        self.workers = workers
        self.one_each = False
        self._shared = shared
        self._cluster: LocalCluster | None = None

    def connect(self) -> Client:
        """Starts scheduler and workers."""
        if self._cluster is None:
            dask.config.set(_SETTINGS)
            with _quiet():
                self._cluster = LocalCluster(
                    n_workers=self.workers,
                    threads_per_worker=max(1, cores() // self.workers),
                    memory_limit=0,  # Dask would measure the small worker, not its trial process
                    host="127.0.0.1",
                    dashboard_address=_LOOPBACK,
                    worker_dashboard_address=_LOOPBACK,
                    silence_logs=logging.CRITICAL,
                )
        return Client(self._cluster, timeout=_ANSWER, set_as_default=False)

    def refresh(self) -> str:
        """Checks the MPS daemon; Dask's nannies replace processes that die."""
        if self._shared is None:
            return ""
        said = self._shared.check_daemon()
        self.one_each = self.one_each or (bool(said) and self._shared.trials == 1)
        return said

    def close(self) -> None:
        """Ends the workers."""
        if self._cluster is not None:
            with _quiet():
                self._cluster.close(timeout=_ANSWER)


class RunningScheduler:
    """A scheduler that the user started; its workers are those that join it."""

    waits_for = "a worker to join it"
    workers = 0
    one_each = False

    def __init__(self, address: str) -> None:
        """Takes ``tcp://host:port`` or ``tls://host:port``.

        Raises:
            UserError: If it is not such an address.
        """
        parts = urlsplit(address)
        try:
            good = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port
        except ValueError:
            good = False
        if not good:
            raise SettingError("dask_scheduler", address, "must be tcp://HOST:PORT or tls://HOST:PORT")
        self.name = f"the Dask scheduler at {address}"
        self._address = address
        self._reached = False
        self.warning = open_door(address)

    def connect(self) -> Client:
        """Connects to the scheduler; the first time it must be running.

        Raises:
            UserError: If it does not answer the first time, or rejects the certificates.
            OSError: If it does not answer later on.
        """
        dask.config.set(_SETTINGS)
        try:
            with _quiet():
                client = Client(self._address, timeout=_ANSWER, set_as_default=False)
        except (TypeError, ValueError) as error:
            raise SettingError(
                "dask_scheduler",
                self._address,
                f"{_gist(error)}; Dask's configuration must name the certificates (distributed.comm.tls)",
            ) from None
        except OSError as error:
            if self._reached:
                raise
            raise SettingError(
                "dask_scheduler",
                self._address,
                f"no scheduler answers there; start one with: dask scheduler ({_gist(error)})",
            ) from None
        self._reached = True
        return client

    def refresh(self) -> str:
        """Does nothing: workers come and go as their owner decides."""
        return ""

    def close(self) -> None:
        """Does nothing: the scheduler belongs to the user."""


class BatchSystem:
    """Jobs of a batch system, one or more workers each; the scheduler is inside the search."""

    waits_for = "the batch system to start the first job"
    one_each = False

    def __init__(self, file: ClusterFile, workers: int) -> None:
        """Takes a cluster's file and the number of workers to start."""
        self._file = file
        self.workers = workers
        self._cluster: JobQueueCluster | None = None
        self._looked = 0.0

    @property
    def name(self) -> str:
        """Description of the batch system, for messages."""
        return f"Dask on {self._file.system.upper()}"

    @property
    def warning(self) -> str:
        """A warning unless encrypted: jobs must reach the scheduler, so it listens on the network."""
        return "" if self._cluster is None else open_door(self._cluster.scheduler_address)

    def connect(self) -> Client:
        """Starts the scheduler and submits the jobs.

        Raises:
            UserError: If Dask rejects the file's options, or the batch system the jobs.
        """
        if self._cluster is None:
            dask.config.set(_SETTINGS)
            with _quiet():
                self._cluster = self._file.cluster()
                self._cluster.scale(self.workers)
            self._looked = time.monotonic()
        return Client(self._cluster, timeout=_ANSWER, set_as_default=False)

    def refresh(self) -> str:
        """Submits new jobs in place of those that have ended, for example at their time limit."""
        if self._cluster is not None and time.monotonic() - self._looked > _RESUBMIT:
            self._looked = time.monotonic()
            self._cluster.scale(self.workers)
        return ""

    def close(self) -> None:
        """Ends the jobs."""
        if self._cluster is not None:
            with _quiet():
                self._cluster.close(timeout=2 * _ANSWER)


def open_door(address: str) -> str:
    """Returns a warning if others can reach a scheduler, "" if they cannot."""
    parts = urlsplit(address)
    if parts.scheme == "tls" or is_loopback(parts.hostname or ""):
        return ""
    return (
        f"warning: {address} is neither encrypted nor protected: whoever reaches it can run programs as "
        "you; docs/scaling.md says how to use TLS"
    )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _gist(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Dask's warnings off the terminal; the search reports what matters itself."""
    for name in ("distributed", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
