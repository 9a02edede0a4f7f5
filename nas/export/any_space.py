"""Builds a network of any search space and writes its folder, with the space's code if that is not ours."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.export import folder, sizes, space_card, summary, weights
from nas.export import recipe as recipes
from nas.export.exported import Exported, OtherForms, in_words, own_facts
from nas.trial import weights as trained
from nas.util import output
from nas.util.errors import SettingError, UserError, first_line, setting
from search_spaces.code import described, trusting
from search_spaces.loading import is_code

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from nas.export.settings import ExportSettings
    from nas.export.source import Source
    from search_spaces.base import SearchSpace


@dataclass(frozen=True)
class _Size:
    """How large: what makes the geometry again, the side of the images in pixels, whether as searched."""

    geometry: dict[str, Any]
    image_size: int
    reduced: bool


def export(order: ExportSettings, found: Source) -> Exported:
    """Carries an order out.

    Raises:
        UserError: If anything about it is wrong; nothing is written then.
    """
    for field, value in (("weights", order.weights), ("match_macs", order.match_macs)):
        if value is not None:
            raise SettingError(field, value, "is for networks of the space nexception; leave it out")
    space = search_spaces.get(found.space)
    size = _size(order, found, space)
    own_data = size.reduced
    classes = order.num_classes or (len(found.class_names) if own_data and found.class_names else 1000)
    in_chans = order.in_chans or (found.in_chans if own_data and found.in_chans else 3)
    file, code = described(space) if is_code(found.space) else (None, None)
    model_args: dict[str, Any] = {"config": found.config, "geometry": size.geometry}
    model_args |= {"space": found.space} if code is None else {"code": code}

    output.doing("building the network")
    model = _build(order, found, model_args, size.image_size, classes, in_chans)
    untrained = _untrained(order, found, classes, in_chans) if own_data else ""
    kept = None
    if own_data and found.weights is not None and not untrained:
        kept = trained.read(found.weights)
        weights.filled(model, kept, found.weights)
    rows, own = _counted(order.output.name, model, size.image_size, in_chans)
    totals = [own, *summary.nearest(own)]
    forms = OtherForms(order, model, (in_chans, size.image_size, size.image_size))

    def beside(staging: Path) -> None:
        if file is not None:
            shutil.copyfile(file, staging / file.name)
        forms.write(staging)

    by_search = own_data and found.recipe is not None
    recipe = found.recipe if own_data and found.recipe is not None else recipes.Recipe()
    folder.write(
        order.output,
        model,
        card=space_card.card(
            order.output.name,
            space,
            found,
            (rows, totals),
            order.licence,
            trained="" if kept is None else in_words(kept, found),
            code=code,
        ),
        recipe=recipe.to_yaml(),
        own=own_facts(found, own, order.seed, kept, None)
        | ({folder.RECIPE_OF: "search", folder.CHOSEN: list(found.chosen)} if by_search else {}),
        model_args=model_args,
        pretrained_cfg=_pretrained_cfg(model, size.image_size, classes, in_chans)
        | {"license": order.licence}
        | ({} if kept is None else {"mean": kept.facts["mean"], "std": kept.facts["std"]}),
        class_names=found.class_names if classes == len(found.class_names) else (),
        extra=beside,
    )
    held = "" if kept is None else f"with the weights that the search kept, {in_words(kept, found)}"
    notes = [found.note, held, untrained and f"initial weights: {untrained}"]
    fits = own_data and classes == len(found.class_names) and in_chans == found.in_chans
    name = None if code is None else code["file"]
    return Exported(rows, totals, forms.differences, "; ".join(filter(None, notes)), fits, name)


def _size(order: ExportSettings, found: Source, space: SearchSpace) -> _Size:
    from search_spaces import timm_models

    known = [*space.full_sizes, *([] if found.reduced is None else [sizes.REDUCED])]
    if not known:
        asked = setting("geometry", sizes.REDUCED)
        raise UserError(f"{order.source}: {space.name} has no full_sizes; export a run of it, with {asked}")
    name = known[0] if order.geometry is None else order.geometry
    if name not in known:
        only = (
            "" if found.reduced is not None or name != sizes.REDUCED else "only the export of a run has it; "
        )
        raise SettingError("geometry", name, f"{only}{space.name} has {', '.join(known)}")
    reduced = name == sizes.REDUCED and found.reduced is not None
    whole = found.reduced if reduced else space.full_sizes[name]
    own = getattr(whole, timm_models.IMAGE_SIZE, None)
    side = order.input_size or own or timm_models.USUAL_SIZE
    made = {timm_models.WIDTH: found.width} if reduced else {timm_models.FULL_SIZE: name}
    geometry = {**made, timm_models.IMAGE_SIZE: side}
    timm_models.sized(space, geometry)
    return _Size(geometry, side, reduced)


def _build(
    order: ExportSettings, found: Source, model_args: dict[str, Any], side: int, classes: int, in_chans: int
) -> nn.Module:
    import timm
    import torch

    from search_spaces import timm_models

    torch.manual_seed(order.seed)
    with trusting(found.space):
        try:
            model: nn.Module = timm.create_model(
                timm_models.ARCHITECTURE,
                num_classes=classes,
                in_chans=in_chans,
                pretrained_cfg=timm_models.pretrained_cfg(side, classes, in_chans),
                **model_args,
            )
        except UserError:
            raise
        except Exception as error:  # whatever a user's builder raises
            raise UserError(
                f"{order.source}: cannot be built ({type(error).__name__}: {first_line(error)})"
            ) from error
    return model.eval()


def _untrained(order: ExportSettings, found: Source, classes: int, in_chans: int) -> str:
    """Why the search's network is exported without its weights, "" if it is not."""
    if found.untrained:
        return found.untrained
    asked = {
        "input_size": order.input_size not in (None, getattr(found.reduced, "image_size", None)),
        "num_classes": classes != len(found.class_names),
        "in_chans": in_chans != found.in_chans,
    }
    field = next((field for field, other in asked.items() if other), "")
    return field and f"another {field} makes another network of it than the search trained"


def _counted(
    name: str, model: nn.Module, side: int, in_chans: int
) -> tuple[list[summary.Row], summary.Total]:
    """The network's parts and its cost.

    Raises:
        UserError: If it does not take the images.
    """
    from nas.util.counts import count

    try:
        ghost = copy.deepcopy(model).to("meta")
        stats = count(ghost, side, in_chans)
        return summary.parts(ghost, side, in_chans), summary.Total(name, side, stats.params, stats.macs)
    except Exception as error:  # whatever a user's network raises
        raise SettingError(
            "input_size", side, f"the network does not take such images ({first_line(error)})"
        ) from error


def _pretrained_cfg(model: nn.Module, side: int, classes: int, in_chans: int) -> dict[str, Any]:
    from search_spaces import timm_models

    cfg = timm_models.pretrained_cfg(side, classes, in_chans)
    last = timm_models.classifier(model, classes)
    return cfg if last is None else {**cfg, "classifier": last}
