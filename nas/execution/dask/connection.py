"""The connection to a Dask scheduler: its workers, tasks and calls to them, and loss of the connection."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from distributed import Client, Future

    from nas.execution.dask.clusters import Cluster

_ANSWER = 10.0  # seconds within which a scheduler answers


class SchedulerConnection:
    """A client of a scheduler that can be dropped and connected again."""

    def __init__(self, cluster: Cluster, key: str, heard: Callable[[dict[str, Any]], None]) -> None:
        """Prepares without connecting.

        Args:
            cluster: Where the scheduler comes from.
            key: Name of the search, unique among searches that use the same workers.
            heard: Called from one of Dask's threads with every event that workers log under this key.
        """
        self._cluster = cluster
        self._key = key
        self._heard = heard
        self._client: Client | None = None
        self._scheduler = ""

    @property
    def connected(self) -> bool:
        """Whether the client is connected, as far as is known."""
        return self._client is not None

    def connect(self) -> None:
        """Connects to the scheduler.

        Raises:
            OSError: If it does not answer.
            UserError: If it can never be reached.
        """
        self._client = self._cluster.connect()
        self._scheduler = ""
        self._client.subscribe_topic(self._key, lambda event: self._heard(event[1]))

    def disconnect(self) -> None:
        """Drops the connection; futures of its tasks are then useless."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # whatever its state, this client is not used again
                client.close(timeout=1)

    def workers(self) -> dict[str, str]:
        """Returns each worker's address and an identity that a new process at that address would not share.

        Raises:
            OSError: If the scheduler is gone, or another has taken its place.
        """
        client = self._client
        if client is None:
            raise ConnectionError("not connected")
        try:
            info = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER)
        except (RuntimeError, AttributeError, TimeoutError) as error:  # the client has closed itself
            raise ConnectionError(str(error)) from error
        if self._scheduler not in ("", info["id"]):
            raise ConnectionError("another scheduler has taken its place")
        self._scheduler = info["id"]
        return {address: worker["id"] for address, worker in info["workers"].items()}

    def call(self, function: Callable[..., Any], *args: object, workers: Collection[str]) -> None:
        """Calls a function on workers beside their trials; workers that do not answer are ignored."""
        if self._client is None or not workers:
            return
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            self._client.sync(
                self._client._run,
                function,
                self._key,
                *args,
                workers=list(workers),
                on_error="ignore",
                callback_timeout=_ANSWER,
            )

    def task(self, address: str, function: Callable[..., Any], *args: object) -> Future:
        """Runs a function in a worker's thread, on that worker and no other."""
        assert self._client is not None
        return self._client.submit(
            function,
            self._key,
            *args,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
            key=f"{self._key} {function.__name__} {secrets.token_hex(8)}",
        )
