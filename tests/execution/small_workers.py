"""Settings of trial processes that train small networks on a few digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.execution.settings import WorkerSettings
from nas.trial.settings import TrainSettings


def settings(folder: Path, **changes: Any) -> WorkerSettings:
    """For trials whose checkpoints lie below ``folder``, on one thread."""
    made = WorkerSettings(
        space="faulty:FaultySpace",
        width="tiny",
        dataset="digits",
        data_dir=folder / "data",
        image_size=8,
        max_images=200,
        val_fraction=0.2,
        seed=0,
        max_epochs=4,
        train=TrainSettings(batch_size=16),
        device="cpu",
        threads=1,
        checkpoints=folder / "checkpoints",
        quota_bytes=10**9,
    )
    return replace(made, **changes)
