"""The trained weights that a run keeps of its best networks, and such a network as a module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.confirm import record
from nas.run.commands import space_flag
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.search.settings import SearchSettings, refuse_foreign_space
from nas.trial import weights
from nas.util.commands import typed
from nas.util.errors import UserError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from nas.run.confirmed_file import ConfirmedFile
    from nas.run.search_file import SearchFile
    from nas.trial.weights import Kept

BY_SEARCH = "search"  # what config.json says of such weights


def incumbent_network(run: Run | Path | str, *, space: str | None = None) -> nn.Module:
    """The best network of a run as it was judged, with its trained weights, in evaluation mode on the CPU.

    The confirmed winner with its best seed's weights if ``nas.confirm`` has run, else the incumbent.
    It takes images ``(B, C, H, W)`` as the search normalised them, see :func:`normalisation`.

    Args:
        run: The run, or its folder.
        space: The search's ``--space`` once more, if that is a module of the user's own: no run folder runs
            code unasked.

    Raises:
        UserError: If there is no best network yet, or no weights of it are kept.
    """
    run = run if isinstance(run, Run) else Run.open(Path(run).expanduser())
    search = run.read_search()
    refuse_foreign_space(SearchSettings.of(search), space)
    confirmed = run.read_confirmed()
    winner = None if confirmed is None else confirmed.best
    if confirmed is not None and winner is not None:
        path = find(run, winner.config_id, confirmed.epochs, confirmed)
        config = winner.config
    else:
        state = SearchState.of(run.read_journal().events)
        if state.incumbent is None:
            raise UserError(f"{run.path}: has no best network yet, no trial reached the highest rung")
        trial = state.trials[state.incumbent]
        seeds = state.seeds(trial.config_id, trial.epochs)
        path, config = find(run, trial.config_id, trial.epochs, searched=seeds), trial.config
    if path is None:
        raise UserError(missing(run, search, confirmed))
    return load(search, config, path)


def normalisation(run: Run | Path | str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation a channel, of pixels scaled to 0..1, that a run's networks were shown.

    Raises:
        UserError: If no weights are kept, which say it.
    """
    run = run if isinstance(run, Run) else Run.open(Path(run).expanduser())
    for name in sorted(weights.file_sizes(run.weights)):
        facts = weights.read(run.weights / name).facts
        return facts["mean"], facts["std"]
    raise UserError(missing(run, run.read_search(), run.read_confirmed()))


def load(search: SearchFile, config: Mapping[str, Any], path: Path) -> nn.Module:
    """Builds the reduced network of a configuration and gives it the weights of a file.

    Raises:
        UserError: If the file is damaged, or of another network.
    """
    data = search.data
    if data.image_size is None or data.in_chans is None or data.class_names is None:
        raise UserError(f"{path}: no network can be built for it, search.json says nothing of its images")
    space = search_spaces.get(search.named_space)
    model = space.network(
        config,
        space.reduced(search.width, image_size=data.image_size),
        num_classes=len(data.class_names),
        in_chans=data.in_chans,
    )
    return filled(model, weights.read(path), path)


def filled(model: nn.Module, kept: Kept, path: Path) -> nn.Module:
    """The network with kept weights in place of its own, in evaluation mode.

    Raises:
        UserError: If they do not fit.
    """
    try:
        model.load_state_dict(kept.tensors)
    except RuntimeError as error:
        raise UserError(f"{path}: weights of another network ({first_line(error)})") from error
    return model.eval()


def find(
    run: Run,
    config_id: str,
    epochs: int,
    confirmed: ConfirmedFile | None = None,
    searched: Sequence[str] = (),
) -> Path | None:
    """Where a configuration's trained weights lie, None if they are not kept.

    Args:
        run: The run.
        config_id: The configuration.
        epochs: What it was trained for.
        confirmed: What ``confirmed.json`` holds: weights of its best seed are preferred to the search's.
        searched: Keys of the trainings that the search gave the configuration, the best first.
    """
    store = weights.WeightStore(run.weights, 0)
    keys = [*searched, config_id]
    for row in () if confirmed is None else confirmed.configurations:
        if row.config_id == config_id:
            keys = [*(record.checkpoint_key(config_id, repeat) for repeat in row.best_repeats), *keys]
    return next((path for key in keys if (path := store.path(key, epochs)).is_file()), None)


def missing(run: Run, search: SearchFile, confirmed: ConfirmedFile | None) -> str:
    """Says that weights are not kept, and the command that makes some."""
    name = search.named_space
    more = [] if confirmed is None else ["--seeds", confirmed.seeds + 1]
    command = typed("nas.confirm", run.path, *more, *space_flag(name))
    return f"{run.path}: keeps no trained weights of it (an older run?); train it again with: {command}"
