"""The worker's side of Dask: one trial process, kept between trials, and the functions the search calls."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from distributed import WorkerPlugin, get_worker
from distributed.utils import sync

from nas import __version__
from nas.execution import gpus
from nas.execution.dask.messages import Outcome, Ready, SentFile, TrialAbandoned
from nas.execution.local import LocalExecutor
from nas.execution.messages import EpochDone, Halted, TrialEnded, TrialPaused
from nas.trial.checkpoint import CheckpointStore
from nas.trial.weights import WeightStore
from nas.util import signals
from nas.util.awake import AwakeClock
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Worker

    from nas.execution.dask.messages import Task, WorkerSetup
    from nas.execution.messages import Facts, Report
    from search_spaces.base import Config

T = TypeVar("T")

_POLL = 0.2  # seconds
_RESTART = 60.0  # seconds that a GPU gets to recover from a fault
_SILENCE = 300.0  # seconds without a heartbeat (one every 30) after which the search counts as dead
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class TrialPlugin(WorkerPlugin):
    """The trial process of one worker for one search.

    A plugin, so that Dask ends it with the worker. Whatever a trial does to its process
    (:mod:`nas.execution.local`), the worker survives.
    """

    def __init__(self, key: str, setup: WorkerSetup) -> None:
        """Prepares; :meth:`open` starts the process.

        Args:
            key: Name of the search, unique among searches that use the same workers.
            offer: What the worker must know to join.
        """
        self._key = key
        self._setup = setup
        self._gone = threading.Event()
        self._busy = threading.Lock()
        self._paused: set[str] = set()
        self._awake = AwakeClock()
        self._heard = self._awake.now()
        self._executor: LocalExecutor | None = None
        self._claim: gpus.Claim | None = None
        self._scratch: Path | None = None

    def setup(self, worker: Worker) -> None:
        """Starts the thread that watches the search; Dask calls it in the worker's main thread."""
        # Both reach the whole group of processes; the search decides what becomes of trials.
        signals.ignored((signal.SIGINT, signal.SIGHUP))
        # Dask's workers are daemonic, and such processes may not have children; the trial process ends with
        # its worker in any case.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        # Dask sets every library to 1 thread; a trial may use as many threads as its worker was given.
        os.environ.update(dict.fromkeys(_THREADS, str(worker.state.nthreads)))

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """Ends the trial process; Dask calls it when the worker ends or the search leaves."""
        self.end()

    def end(self) -> None:
        """Ends the process at once; a trial in it is abandoned."""
        self._gone.set()
        if self._busy.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._busy.release()
        elif self._executor is not None:
            self._executor.abandon()  # the thread that waits for it cleans up

    def hear(self) -> None:
        """Records a heartbeat of the search."""
        self._heard = self._awake.now()

    def pause(self, attempts: frozenset[str]) -> None:
        """Asks the running trial, if it is one of these attempts, to stop at the end of its epoch."""
        self._paused |= attempts

    def open(self, worker: Worker) -> Ready:
        """Starts the trial process and loads the data.

        Raises:
            UserError: If the data or device are unusable, or this worker's version differs from the search's.
        """
        if self._setup.program != __version__:
            raise UserError(f"it has version {__version__} of this program, the search {self._setup.program}")
        threading.Thread(target=self._watch, daemon=True).start()
        with self._work():
            settings = self._setup.settings
            shared = self._shares_folder()
            if shared:
                os.chdir(self._setup.folder)
                sys.path.insert(0, str(self._setup.folder))
            else:
                self._scratch = Path(worker.local_directory) / "checkpoints"
                weights = None if settings.weights is None else self._scratch / "weights"
                settings = replace(settings, checkpoints=self._scratch, weights=weights)
            found = gpus.visible() if settings.device in ("auto", "cuda") else []
            if found:
                self._claim = gpus.claim(found)
                os.environ["CUDA_VISIBLE_DEVICES"] = self._claim.name  # for the trial process
            # Other workers may use the device, so free memory may not be spent on preparing the next trial.
            self._executor = LocalExecutor(settings, ahead=False)
            facts = self._executor.start()
            return Ready(facts, shared, self._gpu(facts))

    def run(self, task: Task, worker: Worker) -> Outcome:
        """Runs a trial to its end and announces its epochs while it runs.

        Raises:
            TrialAbandoned: If the process was abandoned, through no fault of the trial.
        """
        with self._work():
            executor = self._executor
            if executor is None:
                raise TrialAbandoned
            if self._scratch is not None and task.checkpoint is not None:
                self._store(self._scratch).put(task.checkpoint.name, task.checkpoint.data)
            self._submit(executor, task)
            epochs: list[EpochDone] = []
            asked = False
            while not self._gone.is_set():
                if not asked and task.attempt in self._paused:
                    executor.pause()
                    asked = True
                for report in executor.poll(_POLL):
                    if isinstance(report, TrialEnded | TrialPaused) and not self._gone.is_set():
                        return Outcome(report, tuple(epochs), *self._pack(task))
                    if isinstance(report, EpochDone):
                        epochs.append(report)
                    if not isinstance(report, Halted):
                        worker.log_event(self._key, _announcement(task, report))
            raise TrialAbandoned

    def renew(self) -> None:
        """Ends an idle trial process, useless after a fault of its GPU; the next trial starts another."""
        if self._executor is not None and self._busy.acquire(blocking=False):
            try:
                self._executor.renew()
            finally:
                self._busy.release()

    def _submit(self, executor: LocalExecutor, task: Task) -> None:
        """Starts a trial, waiting for the GPU to accept processes again after a fault.

        Raises:
            UserError: If no process can start.
        """
        deadline = time.monotonic() + _RESTART
        while True:
            try:
                executor.submit(task.spec)
                return
            except UserError:
                if self._claim is None or time.monotonic() > deadline or self._gone.wait(_RESTART / 30):
                    raise

    def measure(self, what: Callable[[LocalExecutor, Any], T], config: Config | str) -> T:
        """Measures a configuration while no trial runs: ``what`` is a method of the executor.

        Raises:
            UserError: If it cannot be measured here.
        """
        with self._work():
            if self._executor is None:
                raise TrialAbandoned
            return what(self._executor, config)

    def _gpu(self, facts: Facts) -> str:
        device = facts.hardware.device
        if not device.startswith("cuda"):
            return ""
        return f"{socket.gethostname()} {device if self._claim is None else self._claim.name}"

    def _shares_folder(self) -> bool:
        try:
            return self._setup.token_file.read_text() == self._setup.token
        except (OSError, ValueError):
            return False

    def _pack(self, task: Task) -> tuple[SentFile | None, SentFile | None]:
        """Returns the checkpoint and weights that an attempt left, if the search cannot read them itself."""
        if self._scratch is None:
            return None, None
        made = (task.spec.config_id, task.spec.epochs)
        quota = self._setup.settings.quota_bytes
        packed = (
            self._store(self._scratch).get(*made),
            WeightStore(self._scratch / "weights", quota).get(*made),
        )
        shutil.rmtree(self._scratch, ignore_errors=True)  # the next worker to train it may be another
        checkpoint, weights = (None if one is None else SentFile(*one) for one in packed)
        return checkpoint, weights

    def _store(self, folder: Path) -> CheckpointStore:
        return CheckpointStore(folder, self._setup.settings.quota_bytes)

    @contextlib.contextmanager
    def _work(self) -> Iterator[None]:
        with self._busy:
            try:
                yield
            finally:
                if self._gone.is_set():
                    self._close()

    def _close(self) -> None:
        if self._executor is not None:
            self._executor.close()
        self._executor = None
        if self._claim is not None:
            self._claim.release()
        self._claim = None

    def _watch(self) -> None:
        """Ends the process of a search that died silently, so that the device is free again."""
        while not self._gone.wait(_SILENCE / 60):
            if self._awake.now() - self._heard > _SILENCE:
                self.end()


def _announcement(task: Task, report: Report) -> dict[str, Any]:
    return {"kind": type(report).__name__, "attempt": task.attempt, "fields": asdict(report)}


# Functions that the search calls as tasks, which run in the worker's thread.


def join(key: str, setup: WorkerSetup) -> Ready:
    """Starts a trial process for the search on this worker.

    Raises:
        UserError: If this worker cannot take part.
    """
    worker = get_worker()
    sync(worker.loop, worker.plugin_add, plugin=TrialPlugin(key, setup), name=key, catch_errors=False)
    return _plugin(key, worker).open(worker)


def run(key: str, task: Task) -> Outcome:
    """Runs a trial.

    Raises:
        TrialAbandoned: If the process was abandoned, through no fault of the trial.
    """
    worker = get_worker()
    return _plugin(key, worker).run(task, worker)


def measure(key: str, what: Callable[[LocalExecutor, Any], T], config: Config | str) -> T:
    """Measures a configuration, see :meth:`TrialPlugin.measure`."""
    return _plugin(key, get_worker()).measure(what, config)


# Functions that the search calls beside the tasks; a running trial does not delay them.


def tell(key: str, method: Callable[..., None], *args: object, dask_worker: Worker) -> None:
    """Calls a method of the search's plugin, if this worker has it."""
    if key in dask_worker.plugins:
        method(_plugin(key, dask_worker), *args)


async def leave(key: str, dask_worker: Worker) -> None:
    """Ends the search's trial process on this worker, also one left by an earlier, killed session."""
    if key in dask_worker.plugins:
        await dask_worker.plugin_remove(key)


def _plugin(key: str, worker: Worker) -> TrialPlugin:
    plugin = worker.plugins.get(key)
    if not isinstance(plugin, TrialPlugin):
        raise TrialAbandoned
    return plugin
