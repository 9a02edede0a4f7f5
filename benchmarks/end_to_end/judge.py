"""Every winner trained anew by one trainer, and judged on images that no program has seen."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

import search_spaces
from nas.data.device import Part
from nas.trial.loop import Diverged, train
from nas.trial.settings import TrainSettings
from nas.trial.validation import evaluate
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.end_to_end.settings import EndToEndSettings
    from nas.data.device import DeviceData
    from nas.trial.snapshot import Snapshot
    from nas.trial.trainer import EpochMetrics
    from search_spaces.base import Config

_FEW = 64  # images judged after each epoch, of which only the last counts


def accuracies(
    options: EndToEndSettings, data: DeviceData, configs: Sequence[Config], repeat: int
) -> list[list[float]]:
    """Returns the test accuracy of each configuration with each fresh seed; 0 where the training diverges.

    The seeds are the same for all configurations of a repeat; no program has used them. On a CPU as many are
    trained at a time as programs have raced, each on as many cores.
    """
    seeds = [derive(repeat, "judge", seed) for seed in range(options.seeds)]
    work = [(options, data, config, seed) for config in configs for seed in seeds]
    if options.device == "cpu":
        at_once = len(os.sched_getaffinity(0)) // options.cores
        with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
            found = list(pool.map(accuracy, *zip(*work, strict=True)))
    else:
        found = [accuracy(*one) for one in work]
    return [found[i : i + len(seeds)] for i in range(0, len(found), len(seeds))]


def accuracy(options: EndToEndSettings, data: DeviceData, config: Config, seed: int) -> float:
    """Trains a configuration to the highest rung; returns its accuracy on ``data.val``, 0 if it diverges."""
    torch.set_num_threads(options.cores)
    space = search_spaces.get(options.space)
    recipe = TrainSettings().resolve(options.width, len(data.train), flip=data.flip)
    torch.manual_seed(derive(seed, "init"))
    geometry = space.reduced(options.width, data.train.images.shape[-1])
    model = space.network(config, geometry, data.num_classes, data.in_chans, recipe.drop_path_rate)
    few = replace(data, val=Part(data.val.images[:_FEW], data.val.labels[:_FEW]))

    def keep(_: EpochMetrics, weights: Snapshot) -> None:
        model.load_state_dict(weights())

    epochs = options.max_epochs
    try:
        train(model, few, recipe, epochs=epochs, max_epochs=epochs, seed=seed, on_evaluated=keep)
    except Diverged:
        return 0.0
    return evaluate(model, data)[1]
