"""The trained weights that a run keeps of its best networks, and those networks as modules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.run.commands import space_flag
from nas.run.folder import Run
from nas.run.state import SearchState, seed_key
from nas.search.settings import SearchSettings, refuse_foreign_space
from nas.trial import weights
from nas.util.commands import typed
from nas.util.errors import UserError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from nas.run.confirmed_file import ConfirmedFile
    from nas.run.search_file import SearchFile
    from nas.trial.weights import SavedWeights

BY_SEARCH = "search"  # value in config.json for such weights


def incumbent_network(run: Run | Path | str, *, space: str | None = None) -> nn.Module:
    """Returns the best network of a run with its trained weights as validated, in evaluation mode on the CPU.

    That is the confirmed winner with the weights of its best seed if ``nas.confirm`` has run, else the
    incumbent. It takes images ``(B, C, H, W)`` normalised as in the search, see :func:`normalisation`.

    Args:
        run: The run, or its folder.
        space: The search's space again if it is a custom one, since no run folder runs code unasked.

    Raises:
        UserError: If there is no best network yet, or its weights are not kept.
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
    """Returns mean and standard deviation per channel that a run's images were normalised with.

    Both are of pixels scaled to 0..1.

    Raises:
        UserError: If the run keeps no weights, which hold these values.
    """
    run = run if isinstance(run, Run) else Run.open(Path(run).expanduser())
    for name in sorted(weights.file_sizes(run.weights)):
        facts = weights.read(run.weights / name).facts
        return facts["mean"], facts["std"]
    raise UserError(missing(run, run.read_search(), run.read_confirmed()))


def load(search: SearchFile, config: Mapping[str, Any], path: Path) -> nn.Module:
    """Builds the reduced network of a configuration and loads a file's weights.

    Raises:
        UserError: If the file is damaged, or belongs to another network.
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


def filled(model: nn.Module, kept: SavedWeights, path: Path) -> nn.Module:
    """Loads kept weights into a network and puts it in evaluation mode.

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
    """Finds the file of a configuration's trained weights, None if they are not kept.

    Args:
        run: The run.
        config_id: The configuration.
        epochs: Number of epochs it was trained for.
        confirmed: Content of ``confirmed.json``; weights of its best seed are preferred to the search's.
        searched: Keys of the search's trainings of the configuration, the best first.
    """
    store = weights.WeightStore(run.weights, 0)
    keys = [*searched, config_id]
    for row in () if confirmed is None else confirmed.configurations:
        if row.config_id == config_id:
            keys = [*(seed_key(config_id, repeat) for repeat in row.best_repeats), *keys]
    return next((path for key in keys if (path := store.path(key, epochs)).is_file()), None)


def missing(run: Run, search: SearchFile, confirmed: ConfirmedFile | None) -> str:
    """Says that weights are not kept, and which command trains them."""
    name = search.named_space
    more = [] if confirmed is None else ["--seeds", confirmed.seeds + 1]
    command = typed("nas.confirm", run.path, *more, *space_flag(name))
    return f"{run.path}: keeps no trained weights of it (an older run?); train it again with: {command}"
