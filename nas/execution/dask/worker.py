"""A Dask worker's side: one trial process, kept between trials, and the functions the search calls."""

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
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker
from distributed.utils import sync

from nas import __version__
from nas.execution import gpus
from nas.execution.dask.messages import Outcome, Parcel, PlaceGone, Ready
from nas.execution.local import LocalExecutor
from nas.execution.messages import EpochDone, Halted, TrialEnded, TrialPaused
from nas.trial.checkpoint import CheckpointStore
from nas.trial.weights import WeightStore
from nas.util import signals
from nas.util.awake import AwakeClock
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Worker

    from nas.execution.dask.messages import Offer, Task
    from nas.execution.messages import Facts, Measurement, Report
    from search_spaces.base import Config

_POLL = 0.2  # seconds
_RESTART = 60.0  # seconds that a GPU gets to recover from a fault
_SILENCE = 300.0  # seconds without a word from the search, which speaks every 30, until it counts as dead
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Place(WorkerPlugin):
    """The trial process of one worker for one search.

    A plugin, so that Dask ends it with the worker; everything that a trial can do to its process
    (:mod:`nas.execution.local`) leaves the worker unharmed.
    """

    def __init__(self, key: str, offer: Offer) -> None:
        """Prepares; :meth:`open` starts the process.

        Args:
            key: Names the search among those that use the same workers.
            offer: What to train on.
        """
        self._key = key
        self._offer = offer
        self._gone = threading.Event()
        self._busy = threading.Lock()
        self._paused: set[str] = set()
        self._awake = AwakeClock()
        self._heard = self._awake.now()
        self._executor: LocalExecutor | None = None
        self._claim: gpus.Claim | None = None
        self._scratch: Path | None = None

    def setup(self, worker: Worker) -> None:
        """Called by Dask in the worker's main thread."""
        # Both reach the whole group of processes; the search decides what becomes of trials.
        signals.ignored((signal.SIGINT, signal.SIGHUP))
        # Dask's workers are daemonic, which forbids them the trial process; it ends with them anyway.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        # Dask says 1 to every library; a worker's trial may use as many threads as the worker was given.
        os.environ.update(dict.fromkeys(_THREADS, str(worker.state.nthreads)))

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """Called by Dask when the worker ends or the search leaves."""
        self.end()

    def end(self) -> None:
        """Ends the process at once; a trial in it is given up."""
        self._gone.set()
        if self._busy.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._busy.release()
        elif self._executor is not None:
            self._executor.abandon()  # the thread that waits for it tidies up

    def hear(self) -> None:
        """The search is alive."""
        self._heard = self._awake.now()

    def pause(self, attempts: frozenset[str]) -> None:
        """Asks the trial that runs, if it is one of these attempts, to stop at its epoch's end."""
        self._paused |= attempts

    def open(self, worker: Worker) -> Ready:
        """Starts the trial process and loads the data.

        Raises:
            UserError: If data, device or this worker's program are not as they should be.
        """
        if self._offer.program != __version__:
            raise UserError(f"it has version {__version__} of this program, the search {self._offer.program}")
        threading.Thread(target=self._watch, daemon=True).start()
        with self._work():
            settings = self._offer.settings
            shared = self._shares_folder()
            if shared:
                os.chdir(self._offer.folder)
                sys.path.insert(0, str(self._offer.folder))
            else:
                self._scratch = Path(worker.local_directory) / "checkpoints"
                weights = None if settings.weights is None else self._scratch / "weights"
                settings = replace(settings, checkpoints=self._scratch, weights=weights)
            found = gpus.visible() if settings.device in ("auto", "cuda") else []
            if found:
                self._claim = gpus.claim(found)
                os.environ["CUDA_VISIBLE_DEVICES"] = self._claim.name  # for the trial process
            # Other workers may use the device: what is idle in one of them is not free for preparations.
            self._executor = LocalExecutor(settings, ahead=False)
            facts = self._executor.start()
            return Ready(facts, shared, self._gpu(facts))

    def run(self, task: Task, worker: Worker) -> Outcome:
        """Runs a trial to its end and announces its epochs meanwhile.

        Raises:
            PlaceGone: If the process was given up, for no fault of the trial.
        """
        with self._work():
            executor = self._executor
            if executor is None:
                raise PlaceGone
            if self._scratch is not None and task.parcel is not None:
                self._store(self._scratch).put(task.parcel.name, task.parcel.data)
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
            raise PlaceGone

    def renew(self) -> None:
        """Gives up an idle trial process; the next trial starts another."""
        if self._executor is not None and self._busy.acquire(blocking=False):
            try:
                self._executor.renew()
            finally:
                self._busy.release()

    def _submit(self, executor: LocalExecutor, task: Task) -> None:
        """Starts a trial, as soon as a process can start again after a fault of the GPU.

        Raises:
            UserError: If none can.
        """
        deadline = time.monotonic() + _RESTART
        while True:
            try:
                executor.submit(task.spec)
                return
            except UserError:
                if self._claim is None or time.monotonic() > deadline or self._gone.wait(_RESTART / 30):
                    raise

    def measure(self, config: Config | str) -> Measurement:
        """Times a few steps of a configuration.

        Raises:
            UserError: If the network cannot be trained here.
        """
        with self._work():
            if self._executor is None:
                raise PlaceGone
            return self._executor.measure(config)

    def _gpu(self, facts: Facts) -> str:
        device = facts.hardware.device
        if not device.startswith("cuda"):
            return ""
        return f"{socket.gethostname()} {device if self._claim is None else self._claim.name}"

    def _shares_folder(self) -> bool:
        try:
            return self._offer.token.read_text() == self._offer.word
        except (OSError, ValueError):
            return False

    def _pack(self, task: Task) -> tuple[Parcel | None, Parcel | None]:
        """Checkpoint and weights that an attempt left, where the search cannot see them."""
        if self._scratch is None:
            return None, None
        made = (task.spec.config_id, task.spec.epochs)
        quota = self._offer.settings.quota_bytes
        packed = (
            self._store(self._scratch).get(*made),
            WeightStore(self._scratch / "weights", quota).get(*made),
        )
        shutil.rmtree(self._scratch, ignore_errors=True)  # the next worker to train it may be another
        checkpoint, weights = (None if one is None else Parcel(*one) for one in packed)
        return checkpoint, weights

    def _store(self, folder: Path) -> CheckpointStore:
        return CheckpointStore(folder, self._offer.settings.quota_bytes)

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
        """Ends the process of a search that died without a word, so that it does not keep the device."""
        while not self._gone.wait(_SILENCE / 60):
            if self._awake.now() - self._heard > _SILENCE:
                self.end()


def _announcement(task: Task, report: Report) -> dict[str, Any]:
    return {"kind": type(report).__name__, "attempt": task.attempt, "fields": asdict(report)}


# What the search calls: tasks, which run in the worker's thread ...


def join(key: str, offer: Offer) -> Ready:
    """Makes a place for the search on this worker.

    Raises:
        UserError: If this worker cannot take part in it.
    """
    worker = get_worker()
    sync(worker.loop, worker.plugin_add, plugin=Place(key, offer), name=key, catch_errors=False)
    return _place(key, worker).open(worker)


def run(key: str, task: Task) -> Outcome:
    """Runs a trial.

    Raises:
        PlaceGone: If the place was given up, for no fault of the trial.
    """
    worker = get_worker()
    return _place(key, worker).run(task, worker)


def measure(key: str, config: Config | str) -> Measurement:
    """Times a few steps of a configuration.

    Raises:
        UserError: If the network cannot be trained here.
    """
    return _place(key, get_worker()).measure(config)


# ... and calls beside them, which a running trial does not hold up.


def hear(key: str, dask_worker: Worker) -> None:
    """Tells the worker that the search is alive."""
    if key in dask_worker.plugins:
        _place(key, dask_worker).hear()


def pause(key: str, attempts: frozenset[str], dask_worker: Worker) -> None:
    """Asks running trials to stop at their epoch's end."""
    if key in dask_worker.plugins:
        _place(key, dask_worker).pause(attempts)


def renew(key: str, dask_worker: Worker) -> None:
    """Has an idle trial process replaced, which a fault of its GPU has made useless."""
    if key in dask_worker.plugins:
        _place(key, dask_worker).renew()


async def leave(key: str, dask_worker: Worker) -> None:
    """Ends the worker's place, if it has one, be it of an earlier session that was killed."""
    if key in dask_worker.plugins:
        await dask_worker.plugin_remove(key)


def _place(key: str, worker: Worker) -> Place:
    place = worker.plugins.get(key)
    if not isinstance(place, Place):
        raise PlaceGone
    return place
