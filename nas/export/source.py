"""The configuration to export and what is known about it: from a run, a file or a named point."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.confirm.view import interval
from nas.export import weights
from nas.export.recipe import of_search
from nas.run import pick as picking
from nas.run.folder import Run
from nas.run.objectives import Objectives
from nas.run.state import SearchState
from nas.search.settings import SearchSettings, refuse_foreign_space
from nas.util.documents import read_json
from nas.util.errors import SettingError, UserError, setting
from nas.util.quantities import counted
from search_spaces.loading import resolved
from search_spaces.points import named_points, point_name
from search_spaces.registry import DEFAULT

if TYPE_CHECKING:
    from nas.export.recipe import Recipe
    from nas.run.confirmed_file import ConfirmedConfig, ConfirmedFile
    from nas.run.search_file import SearchFile
    from nas.run.state import Trial
    from search_spaces.base import Config, SearchSpace


@dataclass(frozen=True)
class Source:
    """A configuration and where it comes from.

    Attributes:
        config: Canonical configuration of the space.
        facts: Plain values for the model card: kind, name, trial, data, validation accuracy, ...
        reduced: Geometry of the network that the search trained; None outside a run.
        class_names: Names of the classes of that network's data.
        note: How a run's network was chosen, for the user.
        in_chans: Number of channels of that data's images; None outside a run.
        weights: The reduced network's trained weights, if the run keeps them.
        untrained: Why there are no trained weights, and how to get them; "" outside a run.
        recipe: Recipe of the search; None outside a run.
        chosen: The recipe's settings that the search chose for this configuration.
        space: The search space, as the user names it.
        width: Width of the reduced network; 0 outside a run, and for a space without widths.
    """

    config: Config
    facts: dict[str, Any]
    reduced: Any = None
    class_names: tuple[str, ...] = field(default=(), repr=False)
    note: str = ""
    in_chans: int | None = None
    weights: Path | None = None
    untrained: str = ""
    recipe: Recipe | None = None
    chosen: tuple[str, ...] = ()
    space: str = DEFAULT
    width: int = 0


def find(
    text: str,
    *,
    trial: int | None = None,
    config: Path | None = None,
    space: str | None = None,
    pick: str | None = None,
) -> Source:
    """Finds the configuration that the user names.

    Args:
        text: A run folder, a JSON file of a configuration, or a named point of the space.
        trial: Of a run, this trial instead of its winner, which is the confirmed one if ``nas.confirm`` has
            run, else the incumbent.
        config: Of a run, a file with the configuration to use instead of the winner's.
        pick: Of a run, this network of its front, see :func:`nas.run.pick.pick`.
        space: Search space of a file or a point; of a run with a custom space, that space again, since no
            code is run unasked.

    Raises:
        UserError: If there is no such configuration, or it is not of the space.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        if pick is not None:
            trial = _picked(path, pick)
        return _from_run(path, trial, config, space)
    if pick is not None:
        raise SettingError("pick", pick, f"only a run has a front; {text} is not a run folder")
    if trial is not None:
        raise SettingError("trial", trial, f"only a run has trials; {text} is not a run folder")
    if config is not None:
        raise SettingError("config", config, "goes with a run folder; to export the file, name it alone")
    name = DEFAULT if space is None else resolved(space)
    found = search_spaces.get(name)
    if path.is_file():
        return Source(_read_config(path, found), {"kind": "file", "name": path.name}, space=name)
    points = named_points(found)
    if text not in points:
        raise UserError(
            f"{text}: no such run folder or file; must be one, or a named point: {', '.join(points)}"
        )
    return Source(points[text], {"kind": "named point", "name": point_name(text)}, space=name)


def _picked(path: Path, pick: str) -> int:
    run = Run.open(path)
    search = run.read_search()
    state = SearchState.of(run.read_journal().events)
    return picking.pick(pick, Objectives.of(search), state, search.rungs[-1])


def _from_run(path: Path, trial: int | None, config: Path | None, said: str | None) -> Source:
    run = Run.open(path)
    search = run.read_search()
    settings = SearchSettings.of(search)
    refuse_foreign_space(settings, said)
    name = settings.space.space
    if said is not None and resolved(said) != name:
        raise SettingError("space", said, f"{path} searched the space {name}; leave it out")
    space = search_spaces.get(name)
    if space.fingerprint != search.space.fingerprint:
        raise UserError(f"{path}: searched {name} when it offered other choices; put its code back as it was")
    state = SearchState.of(run.read_journal().events)
    facts: dict[str, Any] = {"kind": "run", "name": run.name, "data": search.data.name}
    note = ""
    if config is not None:
        if trial is not None:
            raise UserError(f"{setting('trial', trial)} and {setting('config', config)}: must be one of them")
        chosen = _read_config(config, space)
        facts["configuration"] = config.name
        kept = None
    elif trial is None and (confirmed := run.read_confirmed()) and (winner := confirmed.best):
        chosen = space.validate(winner.config)
        facts |= _confirmed_figures(confirmed, winner)
        kept = weights.find(run, winner.config_id, confirmed.epochs, confirmed)
        note = _confirmed_note(confirmed, winner, state)
    else:
        found = _trial(path, state, trial)
        chosen = space.validate(found.config)
        facts |= _figures(found, state)
        seeds = state.seeds(found.config_id, found.epochs) if trial is None else []
        kept = weights.find(run, found.key, found.epochs, searched=seeds)
        if trial is None:
            by = "one seed: nas.confirm would try several" if len(seeds) < 2 else f"{len(seeds)} seeds"
            note = f"the incumbent, trial {found.trial}, judged by {by}"
    data = search.data
    reduced = None if data.image_size is None else space.reduced(search.width, data.image_size)
    return Source(
        chosen,
        facts,
        reduced,
        tuple(data.class_names or ()),
        note,
        data.in_chans,
        kept,
        "" if kept is not None else _untrained(run, search, trial, config),
        _recipe(search, space, chosen),
        tuple(name for name in space.training if name in chosen),
        name,
        search.width or 0,
    )


def _recipe(search: SearchFile, space: SearchSpace, config: Config) -> Recipe | None:
    """Returns the recipe by which the search trained this configuration."""
    if not search.train:
        return None
    chosen = {name: config[name] for name in space.training if name in config}
    return of_search(replace(search, train={**search.train, **chosen}))


def _untrained(run: Run, search: SearchFile, trial: int | None, config: Path | None) -> str:
    if config is not None:
        return f"{config}: no trained weights of it are known"
    if trial is not None:
        return f"trial {trial}: its weights are not kept, as only those of the best at the highest rung are"
    return weights.missing(run, search, run.read_confirmed())


def _trial(path: Path, state: SearchState, trial: int | None) -> Trial:
    if trial is None:
        if state.incumbent is None:
            raise UserError(
                f"{path}: has no incumbent yet, no trial reached the highest rung; "
                f"choose one by {setting('trial')}"
            )
        return state.trials[state.incumbent]
    if trial not in state.trials:
        raise SettingError("trial", trial, f"{path} has trials 1 to {max(state.trials, default=0)}")
    return state.trials[trial]


def _figures(trial: Trial, state: SearchState) -> dict[str, Any]:
    facts: dict[str, Any] = {"trial": trial.trial, "config_id": trial.config_id, "epochs": trial.epochs}
    if trial.error is not None:
        facts["validation_top1"] = 1 - trial.error
    error, seeds, interval = state.estimate
    if trial.trial == state.incumbent and interval is not None and error is not None:
        facts |= {"validation_top1": 1 - error, "seeds": seeds}
    baseline = state.baseline(trial.epochs)
    if baseline is not None and baseline.error is not None:
        facts["baseline_validation_top1"] = 1 - baseline.error
    return facts


def _confirmed_figures(confirmed: ConfirmedFile, winner: ConfirmedConfig) -> dict[str, Any]:
    baseline = confirmed.baseline
    facts: dict[str, Any] = {
        "trial": winner.searched_trial,
        "config_id": winner.config_id,
        "epochs": confirmed.epochs,
        "confirmed_by_seeds": len(confirmed.compared),
    }
    if winner.mean_error is not None:
        facts["validation_top1"] = 1 - winner.mean_error
    if winner.sd_error is not None:
        facts["sd_over_seeds_of_validation_top1"] = winner.sd_error
    seeds = len(confirmed.compared)
    if winner.mean_error is not None and winner.sd_error is not None and seeds > 1:
        ends = interval(1 - winner.mean_error, winner.sd_error, seeds)
        facts["95%_interval_of_validation_top1"] = [min(max(end, 0.0), 1.0) for end in ends]
    if baseline is not None and baseline.mean_error is not None:
        facts["baseline_validation_top1"] = 1 - baseline.mean_error
    return facts


def _confirmed_note(confirmed: ConfirmedFile, winner: ConfirmedConfig, state: SearchState) -> str:
    seeds = len(confirmed.compared)
    name = "the base architecture itself" if winner.baseline else f"trial {winner.searched_trial}"
    note = f"the confirmed winner, {name}: lowest mean error over {counted(seeds, 'seed')}"
    confirmed_ids = {row.config_id for row in confirmed.configurations}
    number = state.incumbent
    if number is not None and state.trials[number].config_id not in confirmed_ids:
        note += f"; trial {number} is the incumbent since, confirm it too by calling nas.confirm again"
    return note


def _read_config(path: Path, space: SearchSpace) -> Config:
    values = read_json(path)
    if isinstance(values, dict) and isinstance(values.get("config"), dict):  # incumbent.json, for one
        values = values["config"]
    try:
        return space.validate(values)
    except UserError as error:
        raise UserError(f"{path}: {error.given}") from None
