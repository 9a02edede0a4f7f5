"""Ends this process, and what belongs to it, as soon as the dashboard that started it is gone."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from cave.settings import Settings


def hold(settings: Settings) -> None:
    """Watches the standard input, a pipe whose other end only the dashboard holds.

    The pipe closes however the dashboard dies, by kill -9 too. Each child then ends redis, which
    cannot watch for itself, removes the dashboard's folder, and ends.
    """

    def end() -> None:
        with contextlib.suppress(redis.RedisError):
            once = Retry(NoBackoff(), 0)
            connection = redis.Redis(
                port=settings.redis_port, password=settings.redis_password, socket_timeout=2, retry=once
            )
            connection.shutdown(nosave=True)
        shutil.rmtree(settings.folder, ignore_errors=True)
        os._exit(1)  # without redis, a worker's own way out takes ten seconds

    _when_closed(end)


def hold_job() -> None:
    """The same for the process of a job, which would outlive a worker that was killed."""
    _when_closed(lambda: os._exit(1))


def _when_closed(end: Callable[[], None]) -> None:
    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        end()

    threading.Thread(target=watch, daemon=True).start()
