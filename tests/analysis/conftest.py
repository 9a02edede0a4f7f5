"""Fixtures for analysis: journals of any size without a search, and headless figures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search_spaces
from nas.run import journal
from nas.util.timestamps import iso
from search_spaces.base import Config, config_id


@pytest.fixture(scope="session")
def write_run(finished_run: Path) -> Callable[..., Path]:
    """Writes a run folder with a journal of any length: random configurations, one rung in three promoted.

    ``write_run(path, n_trials, error)`` takes ``error(config, epochs, rng) -> float | None`` (None: the
    trial crashes).
    """

    def write(
        path: Path,
        n_trials: int,
        error: Callable[[Config, int, np.random.Generator], float | None],
        rungs: tuple[int, ...] = (1, 3, 9),
        seed: int = 0,
    ) -> Path:
        path.mkdir(parents=True)
        for name in ("search.json", "configspace.json"):
            shutil.copy(finished_run / name, path / name)
        rng = np.random.default_rng(seed)
        configs = search_spaces.get("nexception").sample(n_trials, seed)
        default = search_spaces.get("nexception").default
        asked = [(default, epochs, "baseline") for epochs in rungs]
        for rank, config in enumerate(configs):
            height = sum(rank % 3**k == 0 for k in range(1, len(rungs)))
            asked += [(config, epochs, "random") for epochs in rungs[: height + 1]]
        with (path / "trials.jsonl").open("wb") as file:
            _write(file, asked[:n_trials], error, rungs, rng)
        return path

    return write


def _write(file, asked, error, rungs, rng) -> None:  # type: ignore[no-untyped-def]
    clock, best = 0.0, np.inf

    def emit(**event: object) -> None:
        stamp = {"time": iso(1_767_225_600.0 + clock), "clock": clock}
        file.write(journal.sealed({**stamp, **event}))

    emit(event="session", phase="start", command=["written"], hardware={}, versions={})
    for number, (config, epochs, origin) in enumerate(asked, start=1):
        name = config_id(config)
        emit(
            event="asked",
            trial=number,
            config_id=name,
            config=config,
            epochs=epochs,
            origin=origin,
            ask_seconds=0.01,
        )
        emit(event="started", trial=number)
        final = error(config, epochs, rng)
        begun = max((rung for rung in rungs if rung < epochs), default=0)
        for epoch in range(begun + 1, epochs + 1):
            clock += 5.0
            value = (final if final is not None else 0.5) + 0.5 / epoch - 0.5 / epochs
            emit(
                event="epoch",
                trial=number,
                epoch=epoch,
                metrics={
                    "train_loss": 2 * value,
                    "val_loss": 2 * value,
                    "top1": 1 - value,
                    "top5": 1 - value / 2,
                    "lr": 0.1,
                    "train_seconds": 4.8,
                    "val_seconds": 0.2,
                },
            )
        if final is None:
            ended: dict[str, Any] = {
                "status": "crashed",
                "error": None,
                "metrics": {},
                "reason": "loss is nan",
            }
        else:
            kernels = float(config["kernel_mid"]) + float(config["kernel_down"])
            figures = {
                "val_loss": 2 * final,
                "train_loss": 2 * final,
                "top1": 1 - final,
                "top5": 1 - final / 2,
            }
            size = {"params": 1e5 * kernels, "macs": 1e6 * kernels, "peak_memory": 1e9, "train_seconds": 4.8}
            ended = {"status": "success", "error": final, "metrics": {**figures, **size}, "reason": ""}
        emit(event="ended", trial=number, seconds=5.0 * (epochs - begun), **ended)
        if final is not None and epochs == rungs[-1] and final < best:
            best = final
            emit(event="incumbent", trial=number, error=final)
    emit(event="session", phase="stop", reason="trials")
