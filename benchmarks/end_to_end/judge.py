"""Every winner trained anew by one trainer, and judged on images that no program has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

import search_spaces
from nas.trial.loop import Diverged, train
from nas.trial.settings import TrainSettings
from nas.util.seeds import derive

if TYPE_CHECKING:
    from benchmarks.end_to_end.settings import EndToEndSettings
    from nas.data.device import DeviceData
    from search_spaces.base import Config


def accuracies(options: EndToEndSettings, data: DeviceData, config: Config, repeat: int) -> list[float]:
    """Returns test accuracy with each fresh seed; 0 where the training diverges.

    The seeds are the same for all configurations of a repeat; no program has used them.
    """
    return [_accuracy(options, data, config, derive(repeat, "judge", seed)) for seed in range(options.seeds)]


def _accuracy(options: EndToEndSettings, data: DeviceData, config: Config, seed: int) -> float:
    torch.set_num_threads(options.cores)
    space = search_spaces.get(options.space)
    recipe = TrainSettings().resolve(options.width, len(data.train), flip=data.flip)
    torch.manual_seed(derive(seed, "init"))
    geometry = space.reduced(options.width, data.train.images.shape[-1])
    model = space.network(config, geometry, data.num_classes, data.in_chans, recipe.drop_path_rate)
    epochs = options.max_epochs
    try:
        return train(model, data, recipe, epochs=epochs, max_epochs=epochs, seed=seed).last.top1
    except Diverged:
        return 0.0
