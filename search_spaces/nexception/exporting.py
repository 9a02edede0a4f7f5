"""NEXcepTion's networks outside a search: layouts, Xception as reference, released weights, recipes."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from nas.util.documents import read_yaml
from nas.util.errors import SettingError, UserError
from search_spaces.exporting import Exporting, Reference
from search_spaces.nexception.geometry import NEXCEPTION_S, XCEPTION, Geometry, idle_choices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from search_spaces.exporting import ReleasedWeights
    from search_spaces.hyperparameters import Config

_STEP = 8  # widths are multiples of it, which suits GPU kernels


class NEXcepTionExporting(Exporting):
    """The Xception family: timm's model takes any geometry, which may come from a file or be scaled."""

    timm_module: ClassVar[str] = "search_spaces.nexception.timm_models"
    base: ClassVar[str] = "Xception"
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        NEXCEPTION_S.name: {"lr": 1.4e-3, "batch_size": 128}  # NEXcepTion, Table 1
    }

    @property
    def introduction(self) -> str:
        """The two papers."""
        return (
            "A network of the Xception family ([Xception](https://arxiv.org/abs/1610.02357), "
            "[NEXcepTion](https://arxiv.org/abs/2212.08448))."
        )

    def timm_model(
        self, config: Config, geometry: Geometry, written: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Returns a separate timm model, which takes the geometry itself."""
        del written
        from search_spaces.nexception.timm_models import GENERIC

        return GENERIC, {"config": config, "geometry": geometry.to_json()}

    def pretrained_cfg(
        self, model: nn.Module, geometry: Geometry, image_size: int, num_classes: int, in_chans: int
    ) -> dict[str, Any]:
        """With the names of the first and last layer, and the size of the map that is pooled."""
        import torch

        from search_spaces.nexception.timm_models import pretrained_cfg

        ghost: Any = copy.deepcopy(model).to("meta").eval()
        features = ghost.forward_features(torch.empty(1, in_chans, image_size, image_size, device="meta"))
        return {
            **pretrained_cfg(geometry, num_classes, in_chans),
            "pool_size": list(features.shape[-2:]),
        }

    def blocks(self, model: nn.Module) -> dict[str, nn.Module]:
        """Stem, blocks of every stage, tail and head."""
        parts: dict[str, nn.Module] = {}
        for name, part in model.named_children():
            if name == "stages":
                for i, stage in enumerate(part.children()):
                    parts |= {f"stages.{i}.{inner}": block for inner, block in stage.named_children()}
            else:
                parts[name] = part
        return parts

    def references(self) -> list[Reference]:
        """The original network at its own size (arXiv:1610.02357)."""
        return [Reference("xception", self.space.points["xception"], XCEPTION)]

    def read_geometry(self, path: Path) -> Geometry:
        """Reads any widths and depths, in the form of an exported config.json.

        Raises:
            UserError: If the file holds no geometry.
        """
        values = read_yaml(path, "geometry")
        try:
            return Geometry.from_json(values)
        except UserError as error:
            raise SettingError("geometry", path, error.given) from None

    def scaled(self, geometry: Geometry, factor: float) -> Geometry:
        """Widths in multiples of 8; depths and image size stay."""

        def scale(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(scale, value))
            return max(_STEP, round(value * factor / _STEP) * _STEP)

        widths = [field.name for field in fields(Geometry) if field.name.endswith(("chs", "widths"))]
        scaled = {name: scale(getattr(geometry, name)) for name in widths}
        return replace(geometry, name=f"{geometry.name.partition('_scaled')[0]}_scaled", **scaled)

    def read_weights(self, path: Path, config: Config, geometry: Geometry) -> ReleasedWeights:
        """The authors' checkpoints; see :mod:`search_spaces.nexception.released`."""
        from search_spaces.nexception import released

        return released.read(path, config, geometry)

    def idle(self, geometry: Geometry) -> tuple[str, ...]:
        """Those of downsampling, in a pyramid."""
        return idle_choices(geometry)

    def note(self, geometry: Geometry) -> str:
        """The same in words."""
        idle = idle_choices(geometry)
        return f"in a pyramid {' and '.join(idle)} do nothing" if idle else ""

    def layout(self, geometry: Geometry) -> list[str]:
        """Widths and depths, and why some choices do nothing."""
        idle = idle_choices(geometry)
        why = f"In a pyramid {' and '.join(idle)} do nothing: the layers between stages are ConvNeXt's."
        kind = "pyramid" if geometry.pyramid else "Xception's"
        sizes = (
            f"Layout: {kind}; widths {_list(geometry.widths)}, middle blocks {_list(geometry.depths)}"
            + (f", exit {_list(geometry.exit_chs)}" if geometry.exit_chs else "")
            + f"; made for {geometry.image_size}x{geometry.image_size} pixels."
        )
        return [why, sizes] if idle else [sizes]


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
