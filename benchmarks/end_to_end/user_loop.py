"""The search that a user would write with Optuna, a DataLoader and a plain loop.

``python -m benchmarks.end_to_end.user_loop --sampler tpe --images FILE.npz ...`` has the same networks,
images and minutes as ``nas.search``: multivariate TPE (arXiv 2304.11127) with the Hyperband pruner, or random
configurations trained to the end. It names its winner in a JSON file.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import optuna
import torch
import tyro
from torch.utils.data import DataLoader, Dataset

import search_spaces
from benchmarks.quality.optuna_samplers import suggested
from nas.data.split import stratified_split
from nas.trial.settings import TrainSettings
from nas.util.files import replacing
from search_spaces.base import Float, Integer, plain
from search_spaces.points import COST_ENDS, named_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from nas.trial.settings import Recipe
    from search_spaces.base import Config, SearchSpace


@dataclass(frozen=True)
class UserLoopSettings:
    """The user's program."""

    images: Path
    """Archive of x_train, y_train and classes."""
    out: Path
    """Where the winner is named."""
    sampler: Literal["tpe", "random"] = "tpe"
    """tpe: with the Hyperband pruner; random: every trial to the end."""
    seconds: float = 60.0
    """Time to search."""
    share: float = 0.2
    """Share of the images to choose by."""
    space: str = "nexception"
    """Search space."""
    width: int = 32
    """Width of the networks."""
    min_epochs: int = 2
    """Lowest rung."""
    max_epochs: int = 18
    """Highest rung."""
    eta: int = 3
    """From rung to rung."""
    seed: int = 0
    """Of sampler, split and trainings."""
    device: str = "cpu"
    """Where to train."""
    flip: bool = True
    """Mirror images."""


@dataclass(frozen=True)
class Winner:
    """The winner that the program names.

    Attributes:
        config: The best trial's configuration.
        accuracy: Its accuracy on the validation images.
        trials: Number of trials begun.
        epochs: Total number of epochs trained.
    """

    config: Config
    accuracy: float
    trials: int
    epochs: int


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """Images one by one, each through torchvision's transforms."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], transform: Callable[[Any], torch.Tensor]
    ) -> None:
        self._images, self._labels, self._transform = images, labels, transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self._transform(self._images[index]), int(self._labels[index])


@dataclass
class Program:
    """Loaders, networks and the clock."""

    options: UserLoopSettings
    began: float = field(default_factory=time.perf_counter)
    epochs: int = 0

    def __post_init__(self) -> None:
        with np.load(self.options.images) as archive:
            images, labels, classes = (archive[key] for key in ("x_train", "y_train", "classes"))
        self.space = search_spaces.get(self.options.space)
        self.classes, self.channels, self.side = len(classes), images.shape[-1], images.shape[1]
        split = stratified_split(labels, self.options.share, self.options.seed)
        self.recipe = TrainSettings().resolve(self.options.width, len(split.train))
        mean = images[split.train].mean(axis=(0, 1, 2)) / 255
        std = images[split.train].std(axis=(0, 1, 2)) / 255
        learn, judge = transforms(mean, std, self.side, flip=self.options.flip)
        workers = len(os.sched_getaffinity(0))
        self.learn = DataLoader(
            Pictures(images[split.train], labels[split.train], learn),
            self.recipe.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=True,
        )
        self.judge = DataLoader(Pictures(images[split.val], labels[split.val], judge), 256)

    def objective(self, trial: optuna.Trial) -> float:
        """Trains a configuration; reports the accuracy after each epoch."""
        config = plain({name: suggested(trial, h) for name, h in self.space.hyperparameters.items()})
        trial.set_user_attr("config", config)
        torch.manual_seed(trial.number)
        geometry = self.space.reduced(self.options.width, self.side)
        model = self.space.network(config, geometry, self.classes, self.channels)
        accuracy = 0.0
        for epoch, accuracy in enumerate(self.accuracies(model.to(self.options.device)), 1):
            self.epochs += 1
            trial.report(accuracy, epoch)
            if time.perf_counter() - self.began > self.options.seconds:
                trial.study.stop()
                if epoch < self.options.max_epochs:
                    raise optuna.TrialPruned
            if epoch < self.options.max_epochs and trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    def accuracies(self, model: torch.nn.Module) -> Iterator[float]:
        """Trains to the highest rung; yields the accuracy after each epoch."""
        from timm.optim import create_optimizer_v2

        recipe: Recipe = self.recipe
        optimizer = create_optimizer_v2(model, "lamb", lr=recipe.lr, weight_decay=recipe.weight_decay)
        steps = self.options.max_epochs * len(self.learn)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
        criterion = torch.nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
        for _ in range(self.options.max_epochs):
            model.train()
            for images, labels in self.learn:
                loss = criterion(model(images.to(self.options.device)), labels.to(self.options.device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            yield self.accuracy(model)

    @torch.no_grad()
    def accuracy(self, model: torch.nn.Module) -> float:
        """Returns the share of validation images classified correctly."""
        model.eval()
        right = 0
        for images, labels in self.judge:
            right += int((model(images.to(self.options.device)).argmax(1).cpu() == labels).sum())
        return right / len(self.judge.dataset)  # type: ignore[arg-type]


def transforms(
    mean: NDArray[np.float64], std: NDArray[np.float64], side: int, *, flip: bool
) -> tuple[Callable[[Any], torch.Tensor], Callable[[Any], torch.Tensor]]:
    """Returns the transforms for training and validation."""
    from torchvision import transforms as t

    end = [t.ToTensor(), t.Normalize(mean.tolist(), np.maximum(std, 1 / 255).tolist())]
    mirror = [t.RandomHorizontalFlip()] if flip else []
    learn = t.Compose([t.ToPILImage(), t.RandomCrop(side, padding=side // 8), *mirror, *end])
    return learn, t.Compose(end)


def study(options: UserLoopSettings, space: SearchSpace) -> optuna.Study:
    """A study that begins with the space's named points, as ``nas.search`` does."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if options.sampler == "random":
        made = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=options.seed), direction="maximize"
        )
    else:
        made = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=options.seed, multivariate=True),
            pruner=optuna.pruners.HyperbandPruner(options.min_epochs, options.max_epochs, options.eta),
            direction="maximize",
        )
    for name, config in named_points(space).items():
        if name not in COST_ENDS:
            made.enqueue_trial(asked(space, config))
    return made


def asked(space: SearchSpace, config: Config) -> dict[str, Any]:
    """A configuration as ``suggested`` asks for it: ordered choices by their number."""
    values: dict[str, Any] = {}
    for name, parameter in space.hyperparameters.items():
        listed = parameter.ordinal and not isinstance(parameter, Float | Integer)
        values[name] = parameter.choices.index(config[name]) if listed else config[name]
    return values


def winner(done: optuna.Study, epochs: int) -> Winner:
    """The best trial that was trained to the end, or the best there is if none was."""
    trials = [one for one in done.trials if one.intermediate_values]
    ended = [one for one in trials if one.state == optuna.trial.TrialState.COMPLETE]
    best = max(ended or trials, key=lambda one: one.intermediate_values[max(one.intermediate_values)])
    accuracy = best.intermediate_values[max(best.intermediate_values)]
    return Winner(best.user_attrs["config"], accuracy, len(trials), epochs)


def main(options: UserLoopSettings) -> None:
    """Searches, and names the winner."""
    program = Program(options)
    made = study(options, program.space)
    made.optimize(program.objective)
    with replacing(options.out) as scratch:
        scratch.write_text(json.dumps(asdict(winner(made, program.epochs))))


if __name__ == "__main__":
    main(tyro.cli(UserLoopSettings, description=__doc__))
