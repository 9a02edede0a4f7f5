"""Builds a found network at full size and writes its folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nas
from nas.export import folder, model_card, released, sizes, source, summary
from nas.export import recipe as recipes
from nas.util import output
from nas.util.errors import UserError
from search_spaces.nexception.geometry import idle_choices

if TYPE_CHECKING:
    from pathlib import Path

    from nas.export.settings import Order
    from search_spaces.nexception.geometry import Geometry
    from search_spaces.nexception.network import NEXcepTion

FORMAT = 1
ONNX = "model.onnx"
TORCH_EXPORT = "model.pt2"


@dataclass(frozen=True)
class Exported:
    """What was written: the blocks, the totals (the network itself first), and the forms' differences.

    ``note`` says how a run's network was chosen, and which choices shape nothing; "" without any.
    """

    rows: list[summary.Row]
    totals: list[summary.Total]
    differences: dict[str, float]
    note: str = ""


def export(order: Order) -> Exported:
    """Carries an order out.

    Raises:
        UserError: If anything about it is wrong; nothing is written then.
    """
    if order.onnx:
        from nas.export import formats

        formats.require_onnx()
    found = source.find(order.source, trial=order.trial, config=order.config)
    own_data = order.geometry == sizes.REDUCED
    geometry = sizes.find(order.geometry, found, order.input_size)
    classes = len(found.class_names) if own_data and found.class_names else 1000
    classes = classes if order.num_classes is None else order.num_classes
    weights = None
    if order.weights is not None:
        output.doing("reading the released weights")
        weights = released.read(order.weights, found.config, geometry)
        if order.num_classes not in (None, weights.num_classes):
            raise UserError(
                f"--num-classes {classes}: --weights {order.weights} have {weights.num_classes}; leave it "
                "out, and let nas.train --new-head replace the classifier"
            )
        classes = weights.num_classes
    if order.match_macs is not None:
        target = sizes.parse_count(order.match_macs)
        geometry = sizes.match_macs(found.config, geometry, target, classes)

    output.doing("building the network at full size")
    model = _build(found, geometry, classes, order.in_chans, order.seed)
    if weights is not None:
        model.load_state_dict(weights.state)
    rows = summary.blocks(found.config, geometry, classes, order.in_chans)
    own = summary.total(order.output.name, rows, geometry)
    totals = [own, summary.xception(), *summary.nearest(own)]
    differences: dict[str, float] = {}

    def other_forms(staging: Path) -> None:
        from nas.export import formats

        shape = (order.in_chans, geometry.image_size, geometry.image_size)
        if order.onnx:
            output.doing("writing ONNX and comparing its answers")
            differences[ONNX] = formats.write_onnx(model, staging / ONNX, shape)
        if order.torch_export:
            output.doing("writing torch.export's form and comparing its answers")
            differences[TORCH_EXPORT] = formats.write_torch_export(model, staging / TORCH_EXPORT, shape)

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
            None if weights is None else weights.facts,
        ),
        recipe=recipes.published(geometry.name).to_yaml(),
        own=_own(found, own, order.seed, None if weights is None else weights.facts),
        model_args={"config": found.config, "geometry": geometry.to_json()},
        pretrained_cfg=_pretrained_cfg(found, geometry, classes, order.in_chans, order.licence),
        class_names=found.class_names if classes == len(found.class_names) else (),
        extra=other_forms,
    )
    idle = idle_choices(geometry)
    notes = [found.note, f"in a pyramid {' and '.join(idle)} do nothing" if idle else ""]
    return Exported(rows, totals, differences, "; ".join(filter(None, notes)))


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


def _pretrained_cfg(
    found: source.Source, geometry: Geometry, classes: int, in_chans: int, license_: str
) -> dict[str, Any]:
    import torch

    from search_spaces.nexception import build, timm_models

    size = geometry.image_size
    with torch.device("meta"):
        model = build(found.config, geometry, 0, in_chans).eval()
        features = model.forward_features(torch.empty(1, in_chans, size, size))
    cfg = timm_models.pretrained_cfg(geometry, classes, in_chans)
    return {**cfg, "pool_size": list(features.shape[-2:]), "license": license_}


def _own(
    found: source.Source, own: summary.Total, seed: int, weights: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": nas.__version__,
        "source": found.facts,
        "params": own.params,
        "macs": own.macs,
        "init_seed": seed if weights is None else None,
        "trained": weights,
    }
