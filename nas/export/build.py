"""Builds a found network at full size and writes its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.export import any_space, folder, model_card, released, sizes, source, summary, weights
from nas.export import recipe as recipes
from nas.export.exported import Exported, OtherForms, in_words, own_facts
from nas.trial import weights as trained
from nas.util import output
from nas.util.errors import SettingError, setting
from search_spaces.nexception.geometry import idle_choices

if TYPE_CHECKING:
    from nas.export.settings import ExportSettings
    from nas.trial.weights import Kept
    from search_spaces.nexception.geometry import Geometry
    from search_spaces.nexception.network import NEXcepTion

_SEARCHS_RECIPE = {folder.RECIPE_OF: "search"}


def export(order: ExportSettings) -> Exported:
    """Exports a network.

    Raises:
        UserError: If anything about it is wrong; nothing is written then.
    """
    if order.onnx:
        from nas.export import formats

        formats.require_onnx()
    found = source.find(order.source, trial=order.trial, config=order.config, space=order.space)
    if found.space != source.SPACE:
        return any_space.export(order, found)
    name = order.geometry or sizes.USUAL
    own_data = name == sizes.REDUCED
    geometry = sizes.find(name, found, order.input_size)
    classes = len(found.class_names) if own_data and found.class_names else 1000
    classes = classes if order.num_classes is None else order.num_classes
    in_chans = found.in_chans if own_data and found.in_chans else 3
    in_chans = in_chans if order.in_chans is None else order.in_chans
    theirs = None
    if order.weights is not None:
        output.doing("reading the released weights")
        theirs = released.read(order.weights, found.config, geometry)
        if order.num_classes not in (None, theirs.num_classes):
            raise SettingError(
                "num_classes",
                classes,
                f"{setting('weights', order.weights)} have {theirs.num_classes}; "
                f"leave it out, and let nas.train {setting('new_head')} replace the classifier",
            )
        classes = theirs.num_classes
    if order.match_macs is not None:
        target = sizes.parse_count(order.match_macs)
        geometry = sizes.match_macs(found.config, geometry, target, classes)

    output.doing("building the network" if own_data else "building the network at full size")
    model = _build(found, geometry, classes, in_chans, order.seed)
    untrained = _untrained(order, found, geometry, classes, in_chans) if own_data else ""
    kept = None
    if theirs is not None:
        model.load_state_dict(theirs.state)
    elif own_data and found.weights is not None and not untrained:
        kept = trained.read(found.weights)
        weights.filled(model, kept, found.weights)
    rows = summary.blocks(found.config, geometry, classes, in_chans)
    own = summary.total(order.output.name, rows, geometry)
    totals = [own, summary.xception(), *summary.nearest(own)]
    forms = OtherForms(order, model, (in_chans, geometry.image_size, geometry.image_size))
    folder.write(
        order.output,
        model,
        card=model_card.searched(
            order.output.name,
            found.config,
            geometry,
            rows,
            totals,
            found.facts,
            order.licence,
            None if theirs is None else theirs.facts,
            trained="" if kept is None else in_words(kept, found),
        ),
        recipe=_recipe(found, geometry, own_data=own_data).to_yaml(),
        own=own_facts(found, own, order.seed, kept, None if theirs is None else theirs.facts)
        | (_SEARCHS_RECIPE if own_data and found.recipe else {}),
        model_args={"config": found.config, "geometry": geometry.to_json()},
        pretrained_cfg=_pretrained_cfg(found, geometry, classes, in_chans, order.licence, kept),
        class_names=found.class_names if classes == len(found.class_names) else (),
        extra=forms.write,
    )
    idle = idle_choices(geometry)
    held = "" if kept is None else f"with the weights that the search kept, {in_words(kept, found)}"
    notes = [
        found.note,
        held,
        untrained and f"initial weights: {untrained}",
        f"in a pyramid {' and '.join(idle)} do nothing" if idle else "",
    ]
    fits = own_data and classes == len(found.class_names) and in_chans == found.in_chans
    return Exported(rows, totals, forms.differences, "; ".join(filter(None, notes)), fits)


def _build(found: source.Source, geometry: Geometry, classes: int, in_chans: int, seed: int) -> NEXcepTion:
    import timm
    import torch

    from search_spaces.nexception import timm_models

    torch.manual_seed(seed)
    model: NEXcepTion = timm.create_model(
        timm_models.GENERIC,
        config=found.config,
        geometry=geometry.to_json(),
        num_classes=classes,
        in_chans=in_chans,
        pretrained_cfg=timm_models.pretrained_cfg(geometry, classes, in_chans),
    )
    return model.eval()


def _untrained(
    order: ExportSettings, found: source.Source, geometry: Geometry, classes: int, in_chans: int
) -> str:
    """Why the search's network is exported without its weights, "" if it is not."""
    if found.untrained:
        return found.untrained
    asked = {
        "match_macs": order.match_macs is not None,
        "input_size": geometry != found.reduced,
        "num_classes": classes != len(found.class_names),
        "in_chans": in_chans != found.in_chans,
    }
    field = next((field for field, other in asked.items() if other), "")
    return field and f"another {field} makes another network of it than the search trained"


def _recipe(found: source.Source, geometry: Geometry, *, own_data: bool) -> recipes.Recipe:
    if own_data and found.recipe is not None:
        return found.recipe
    return recipes.published(geometry.name)


def _pretrained_cfg(
    found: source.Source,
    geometry: Geometry,
    classes: int,
    in_chans: int,
    license_: str,
    kept: Kept | None,
) -> dict[str, Any]:
    import torch

    from search_spaces.nexception import build, timm_models

    size = geometry.image_size
    with torch.device("meta"):
        model = build(found.config, geometry, 0, in_chans).eval()
        features = model.forward_features(torch.empty(1, in_chans, size, size))
    cfg = timm_models.pretrained_cfg(geometry, classes, in_chans)
    if kept is not None:  # judged on whole images, normalised so
        cfg |= {"crop_pct": 1.0, "mean": kept.facts["mean"], "std": kept.facts["std"]}
    return {**cfg, "pool_size": list(features.shape[-2:]), "license": license_}
