"""Builds a found network and writes its folder, with the code of a custom space."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.export import folder, forms, model_card, reexport, sample, sizes, source, summary, weights
from nas.export import recipe as recipes
from nas.export.exported import Exported, config_entries, description, pushed
from nas.run.folder import Run
from nas.trial import weights as trained
from nas.util import output
from nas.util.errors import SettingError, UserError, first_line, setting
from search_spaces.code import described, named, trusting
from search_spaces.loading import is_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from nas.export.settings import ExportSettings
    from nas.export.sizes import Size
    from nas.export.source import Source
    from nas.trial.weights import SavedWeights
    from search_spaces.base import SearchSpace
    from search_spaces.exporting import ReleasedWeights


def export(settings: ExportSettings) -> Exported:
    """Exports a network.

    Raises:
        UserError: If anything fails; nothing is written then, unless only the push fails.
    """
    if settings.onnx or settings.int8:
        from nas.export import formats

        formats.require_onnx()
    if reexport.is_exported(settings.source):
        return reexport.export(settings)
    found = source.find(
        settings.source,
        trial=settings.trial,
        config=settings.config,
        space=settings.space,
        pick=settings.pick,
    )
    space = search_spaces.get(found.space)
    size = sizes.find(settings.geometry, found, settings.input_size)
    classes, in_chans = _ends(settings, found, size)
    released = None
    if settings.weights is not None:
        released = _released(settings, space, found, size)
        classes = released.num_classes
    if settings.match_macs is not None:
        size = sizes.match_macs(space, found.config, size, settings.match_macs, classes)

    from nas.data import transforms  # loads PyTorch: what is refused was refused before

    output.doing("building the network" if size.reduced else "building the network at full size")
    file, code = described(space, found.space) if is_code(found.space) else (None, None)
    model, model_args = _build(settings, found, space, size, (classes, in_chans), code)
    untrained = _untrained(settings, found, classes, in_chans) if size.reduced else ""
    kept = None
    if released is not None:
        model.load_state_dict(released.state)
    elif size.reduced and found.weights is not None and not untrained:
        kept = trained.read(found.weights)
        weights.filled(model, kept, found.weights)
    rows, totals = _counted(settings.output.name, model, space, size, in_chans)
    learned = "" if kept is None else description(kept, found)
    cfg = _pretrained_cfg(model, space, size, (classes, in_chans), kept) | {"license": settings.licence}
    data_config = forms.data_config(model, cfg)
    images = None
    if settings.int8:
        images = _sample(settings, found, data_config, classes, kept is not None, released is not None)
    facts = None if released is None else released.facts
    by_search = size.reduced and found.recipe is not None
    with folder.appearing(settings.output) as staging:
        if file is not None:
            shutil.copyfile(file, staging / file.name)
        shape = (in_chans, size.image_size, size.image_size)
        written = forms.write(staging, model, shape, settings, images)
        folder.fill(
            staging,
            model,
            card=model_card.exported(
                settings.output.name,
                space,
                found,
                size.geometry,
                (rows, totals),
                model_card.Weights(settings.licence, learned, facts),
                code,
                settings.push_to_hub,
                model_card.forms(written, transforms.normalisation(data_config)),
            ),
            recipe=_recipe(found, size).to_yaml(),
            own=config_entries(found, totals[0], settings.seed, kept, facts)
            | ({folder.RECIPE_OF: "search", folder.CHOSEN: list(found.chosen)} if by_search else {})
            | ({folder.FORMS: {form.file: form.to_json() for form in written}} if written else {}),
            model_args=model_args,
            pretrained_cfg=cfg,
            class_names=found.class_names if classes == len(found.class_names) else (),
        )
    url = pushed(settings)
    notes = [
        found.note,
        learned and f"with the weights that the search kept, {learned}",
        untrained and f"initial weights: {untrained}",
        space.exporting.note(size.geometry),
    ]
    fits = size.reduced and classes == len(found.class_names) and in_chans == found.in_chans
    say = None if code is None else named(code, str(settings.output))
    return Exported(rows, totals, written, "; ".join(filter(None, notes)), fits, say, url)


def _ends(settings: ExportSettings, found: Source, size: Size) -> tuple[int, int]:
    """Returns the numbers of classes and channels: as set, else of the search's data if at its size."""
    classes = len(found.class_names) if size.reduced and found.class_names else 1000
    in_chans = found.in_chans if size.reduced and found.in_chans else 3
    return settings.num_classes or classes, settings.in_chans or in_chans


def _released(settings: ExportSettings, space: SearchSpace, found: Source, size: Size) -> ReleasedWeights:
    assert settings.weights is not None
    output.doing("reading the released weights")
    released = space.exporting.read_weights(settings.weights, found.config, size.geometry)
    if settings.num_classes not in (None, released.num_classes):
        raise SettingError(
            "num_classes",
            settings.num_classes,
            f"{setting('weights', settings.weights)} have {released.num_classes}; "
            f"leave it out, and let nas.train {setting('new_head')} replace the classifier",
        )
    return released


def _build(
    settings: ExportSettings,
    found: Source,
    space: SearchSpace,
    size: Size,
    ends: tuple[int, int],
    code: Mapping[str, str] | None,
) -> tuple[nn.Module, dict[str, Any]]:
    """Returns the network with its initial weights, and the arguments with which timm builds it again."""
    import timm
    import torch

    from search_spaces import timm_models

    timm_models.make_known()
    if code is None:
        name, model_args = space.exporting.timm_model(found.config, size.geometry, size.written)
    else:
        name = timm_models.ARCHITECTURE
        model_args = {"config": found.config, "geometry": size.written, "code": code}
    classes, in_chans = ends
    torch.manual_seed(settings.seed)
    with trusting(found.space):
        try:
            model: nn.Module = timm.create_model(name, num_classes=classes, in_chans=in_chans, **model_args)
        except UserError:
            raise
        except Exception as error:  # a user's space may raise anything
            raise UserError(
                f"{settings.source}: cannot be built ({type(error).__name__}: {first_line(error)})"
            ) from error
    return model.eval(), model_args


def _sample(
    settings: ExportSettings,
    found: Source,
    data_config: Mapping[str, Any],
    classes: int,
    by_search: bool,
    released: bool,
) -> sample.Sample:
    """Images to calibrate an 8-bit form on, and to judge it on.

    Raises:
        UserError: If the weights are initial ones, or the images are not there.
    """
    if not by_search and not released:
        raise sample.refuse_untrained()
    if settings.data is None and by_search:
        return sample.of_run(Run.open(Path(settings.source).expanduser()), settings.data_dir, data_config)
    if settings.data is None:
        raise sample.required()
    names = found.class_names if by_search else ()
    return sample.of_data(settings.data, settings.data_dir, data_config, names, classes, None)


def _untrained(settings: ExportSettings, found: Source, classes: int, in_chans: int) -> str:
    """Says why the search's network is exported without its trained weights; "" if it has them."""
    if found.untrained:
        return found.untrained
    asked = {
        "match_macs": settings.match_macs is not None,
        "input_size": settings.input_size not in (None, getattr(found.reduced, "image_size", None)),
        "num_classes": classes != len(found.class_names),
        "in_chans": in_chans != found.in_chans,
    }
    field = next((field for field, other in asked.items() if other), "")
    return field and f"another {field} makes another network of it than the search trained"


def _recipe(found: Source, size: Size) -> recipes.Recipe:
    if size.reduced and found.recipe is not None:
        return found.recipe
    return recipes.published(str(getattr(size.geometry, "name", "")))


def _counted(
    name: str, model: nn.Module, space: SearchSpace, size: Size, in_chans: int
) -> tuple[list[summary.Row], list[summary.Total]]:
    """Counts the network's blocks, and the costs of the network and of others to compare with.

    Raises:
        UserError: If the network does not accept the images.
    """
    from nas.util.counts import count

    try:
        ghost = copy.deepcopy(model).to("meta")
        stats = count(ghost, size.image_size, in_chans)
        rows = summary.rows(ghost, space.exporting.blocks(ghost), size.image_size, in_chans)
    except Exception as error:  # a user's network may raise anything
        raise SettingError(
            "input_size", size.image_size, f"the network does not take such images ({first_line(error)})"
        ) from error
    own = summary.Total(name, size.image_size, stats.params, stats.macs)
    known = [summary.reference(space, one) for one in space.exporting.references()]
    return rows, [own, *known, *summary.nearest(own)]


def _pretrained_cfg(
    model: nn.Module, space: SearchSpace, size: Size, ends: tuple[int, int], kept: SavedWeights | None
) -> dict[str, Any]:
    classes, in_chans = ends
    cfg = space.exporting.pretrained_cfg(model, size.geometry, size.image_size, classes, in_chans)
    if kept is None:
        return cfg
    # Validated on whole images, normalised in this way.
    return cfg | {"crop_pct": 1.0, "mean": kept.facts["mean"], "std": kept.facts["std"]}
