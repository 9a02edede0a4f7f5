"""The share of time in which a GPU computes, according to its driver."""

from __future__ import annotations

import math
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from statistics import mean

from nas.execution import gpus

_EVERY = 200  # milliseconds; the driver's own samples are a sixth of a second to a second long


class Occupancy:
    """Samples from ``nvidia-smi``, during the block, the share of time in which a kernel was running.

    Without it, or where it has no answer (parts of a GPU have none), nothing is known.
    """

    def __init__(self, device: str) -> None:
        """Takes ``cuda`` or ``cuda:N``; any other device has no occupancy."""
        kind, _, number = device.partition(":")
        names = gpus.visible() if kind == "cuda" and shutil.which("nvidia-smi") else []
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        found = names[int(number or 0) :][:1]
        self._command = [*query, f"-lms={_EVERY}", f"--id={found[0]}"] if found else None
        self._samples: list[tuple[float, float]] = []

    def __enter__(self) -> Occupancy:
        self._process = None
        if self._command is not None:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def between(self, begin: float, end: float) -> float:
        """Returns the mean share of time in which a kernel was running, 0 to 1; NaN if nothing is known.

        Args:
            begin: Seconds since the epoch, as of ``time.time``.
            end: Likewise.
        """
        shares = [share for moment, share in self._samples if begin <= moment <= end]
        return mean(shares) if shares else math.nan

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):
                self._samples.append((time.time(), float(line) / 100))
