"""What is raced, and for how long."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas.optimizers.protocol import Fidelity
from nas.util.errors import SettingError

RacerName = Literal["ours", "optuna", "random"]
RACERS: tuple[RacerName, ...] = ("ours", "optuna", "random")


@dataclass(frozen=True)
class EndToEndSettings:
    """The race. Programs run side by side, as many at a time as there are cores for."""

    dataset: str = "cifar10"
    """Real images: cifar10, digits or npz:FILE with x_train, y_train, x_test and y_test."""
    data_dir: Path = Path("data")
    """Where downloaded images are kept."""
    minutes: float = 25.0
    """What every program is given."""
    repeats: int = 5
    """Races, each on other images and with other seeds."""
    learn: int = 5000
    """Images to learn from."""
    judge: int = 1000
    """Images that programs choose by."""
    test: int = 2000
    """Images of the test part, at most, on which winners are judged: no program sees them."""
    space: str = "nexception"
    """Search space; one without conditions."""
    width: int = 32
    """Width of the networks; 0 for a space that has one only."""
    min_epochs: int = 2
    """Lowest rung."""
    max_epochs: int = 18
    """Highest rung, and what winners are trained for."""
    eta: int = 3
    """From rung to rung."""
    seeds: int = 3
    """Fresh seeds that each winner is trained with."""
    cores: int = 1
    """Cores of each program."""
    device: str = "cpu"
    """cpu, or a GPU that the programs share."""
    racers: tuple[RacerName, ...] = RACERS
    """Who races."""
    results: Path = Path("benchmarks/results/end_to_end.jsonl")
    """Races that ended are kept here; those of the same settings are not run again."""
    work: Path = Path("runs/end_to_end")
    """Run folders, logs and images."""

    def __post_init__(self) -> None:
        Fidelity(self.min_epochs, self.max_epochs, self.eta)
        for name in ("minutes", "repeats", "learn", "judge", "test", "seeds", "cores"):
            if getattr(self, name) <= 0:
                raise SettingError(name, getattr(self, name), "must be above 0")
        if self.cores > len(os.sched_getaffinity(0)):
            raise SettingError("cores", self.cores, f"there are {len(os.sched_getaffinity(0))} here")

    @property
    def share(self) -> float:
        """Share of a program's images that it chooses by."""
        return self.judge / (self.learn + self.judge)
