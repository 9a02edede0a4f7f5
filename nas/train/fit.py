"""Chooses the recipe for a network, and checks whether a training is long enough for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.export import folder, source
from nas.export import recipe as recipes
from nas.export.recipe import Recipe
from nas.run.folder import Run
from nas.util.errors import SettingError, UserError
from nas.util.quantities import counted
from search_spaces.loading import is_code

if TYPE_CHECKING:
    from collections.abc import Iterable

AUTO, SEARCH, PAPER = "auto", "search", "paper"

# With fewer updates a recipe cannot show its strength; docs/publish.md has measurements.
_FEWEST_MIXED = 1_000
_FEWEST_PLAIN = 100


@dataclass(frozen=True)
class FittedRecipe:
    """A recipe and the reason for it."""

    recipe: Recipe
    why: str


def is_run(model: str) -> bool:
    """Whether a user names a run, which stands for its best network at the size of the search."""
    return Run(Path(model).expanduser()).search_json.is_file()


def place(run: Run, output: Path) -> Path:
    """Returns the folder that the best network of a run is exported to for training."""
    return output / run.name


def choose(model: str, wanted: str, space: str | None = None, output: Path | None = None) -> FittedRecipe:
    """Chooses the recipe for a network.

    Args:
        model: A run folder, an exported folder, or the name of a model that timm knows.
        wanted: ``auto``, ``search``, ``paper`` or a YAML file.
        space: The custom space of a run, if it has one.
        output: Output folder; a training of a run's network that has begun keeps its recipe.

    Raises:
        UserError: If there is no such recipe.
    """
    if wanted == PAPER:
        return FittedRecipe(recipes.published(_geometry(model)), "Table 1's of the paper, as asked")
    if wanted not in (AUTO, SEARCH):
        return FittedRecipe(recipes.read(Path(wanted).expanduser()), f"{wanted}, as asked")
    path = Path(model).expanduser()
    if is_run(model):
        run = Run.open(path)
        begun = None if output is None else place(run, output)
        if begun is None or not (begun / folder.RECIPE).is_file():
            return _of_run(run, space)
        path = begun
    file = path / folder.RECIPE
    if not file.is_file():
        if wanted == SEARCH:
            raise _none(model)
        return FittedRecipe(
            recipes.published(model), "Table 1's of the paper, which is for networks of full size"
        )
    own = _config(path).get(folder.OWN_KEY, {})
    if own.get(folder.RECIPE_OF) == SEARCH:
        chosen = own.get(folder.CHOSEN)
        return _by_search(recipes.read(file), chosen if isinstance(chosen, list) else ())
    if wanted == SEARCH:
        raise _none(model)
    return FittedRecipe(recipes.read(file), f"{file}, which came with the network")


def shortfall(recipe: Recipe, updates: int) -> str:
    """Says in one line why a training is too short for its recipe; "" if it is not.

    Args:
        recipe: The recipe.
        updates: Number of updates per epoch.
    """
    total, epochs = recipe.epochs * updates, counted(recipe.epochs, "epoch")
    mixed = recipe.mixup > 0 or recipe.cutmix > 0 or recipe.auto_augment != "none"
    problems = []
    if total < (_FEWEST_MIXED if mixed else _FEWEST_PLAIN):
        problems.append(f"it gets only {counted(total, 'update')} in all ({epochs} of {updates:,})")
    if recipe.warmup_epochs > recipe.epochs / 2:
        problems.append(f"its warm-up of {recipe.warmup_epochs:g} is cut to half of {epochs}")
    if not problems:
        return ""
    advice = "more epochs or smaller batches"
    return f"the recipe wants a longer training: {', and '.join(problems)}; take {advice}"


def _of_run(run: Run, space: str | None) -> FittedRecipe:
    """Returns the recipe of a run's best network."""
    search = run.read_search()
    name = search.named_space
    if is_code(name) or search_spaces.get(name).training:  # the search may have chosen parts of it
        found = source.find(str(run.path), space=space)
        if found.recipe is not None:
            return _by_search(found.recipe, found.chosen)
    return _by_search(recipes.of_search(search), ())


def _by_search(recipe: Recipe, chosen: Iterable[str]) -> FittedRecipe:
    """Returns the search's recipe, naming the settings that the search chose for the network."""
    fields = [_FIELDS.get(name, name) for name in chosen]
    values = [f"{name} {getattr(recipe, name):g}" for name in fields if hasattr(recipe, name)]
    theirs = f"; with what it chose for this network: {', '.join(values)}" if values else ""
    return FittedRecipe(recipe, f"{_SEARCHED}{theirs}")


_SEARCHED = "the search's own, which its reduced networks were trained by"
_FIELDS = {"crop": "crop_padding"}  # settings of the search's recipe with other names here


def _config(path: Path) -> dict[str, Any]:
    return folder.read_config(path) if (path / folder.CONFIG).is_file() else {}


def _geometry(model: str) -> str:
    """Returns the size of a folder's network as Table 1 names it; the model's name if it is not a folder."""
    geometry = _config(Path(model).expanduser()).get("model_args", {}).get("geometry", {})
    return str(geometry.get("name", model)) if isinstance(geometry, dict) else model


def _none(model: str) -> UserError:
    return SettingError(
        "recipe",
        SEARCH,
        f"{model} does not come from a search at reduced size; must be a run folder, or "
        "what nas.export wrote of one at reduced size",
    )
