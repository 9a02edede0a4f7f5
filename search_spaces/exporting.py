"""What an export needs from a search space besides its networks; a space overrides parts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from nas.util.errors import SettingError
from search_spaces.timm_config import ARCHITECTURE, classifier, pretrained_cfg

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from search_spaces.hyperparameters import Config


class Space(Protocol):
    """The members of :class:`search_spaces.base.SearchSpace` that are used here."""

    name: ClassVar[str]
    title: ClassVar[str]
    full_sizes: ClassVar[Mapping[str, Any]]

    @property
    def points(self) -> dict[str, Config]:
        """Named configurations."""


@dataclass(frozen=True)
class ReleasedWeights:
    """Weights that a paper's authors released.

    Attributes:
        state: The weights, under this package's names.
        num_classes: Number of classes.
        facts: Plain values for config.json: authors, file, SHA-256.
    """

    state: dict[str, Tensor]
    num_classes: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """A network that others of its space are compared with."""

    name: str
    config: Config
    geometry: Any


class Exporting:
    """Full-size networks of a search space: how timm builds them, and text of their model cards.

    Attributes:
        space: The space.
        timm_module: Module that registers its architecture with timm.
        base: Name of the base architecture, the head of a column.
        recipes: By the name of a full size or a timm model, the differences of its published recipe from
            :class:`nas.export.recipe.Recipe`.
    """

    timm_module: ClassVar[str] = "search_spaces.timm_models"
    base: ClassVar[str] = "base"
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, space: Space) -> None:
        self.space = space

    @property
    def introduction(self) -> str:
        """Describes the kind of network in one sentence."""
        return f"A network of the search space {self.space.name}: {self.space.title.rstrip('.')}."

    def timm_model(
        self, config: Config, geometry: Any, written: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Returns the name of timm's model and the arguments of ``timm.create_model`` for a network.

        Args:
            config: The configuration.
            geometry: Its geometry.
            written: The geometry as plain values, see :func:`search_spaces.sizes.sized`.
        """
        del geometry
        return ARCHITECTURE, {"config": config, "geometry": dict(written), "space": self.space.name}

    def pretrained_cfg(
        self, model: nn.Module, geometry: Any, image_size: int, num_classes: int, in_chans: int
    ) -> dict[str, Any]:
        """Returns timm's data configuration of a network: input, crop, name of the last layer."""
        del geometry
        cfg = pretrained_cfg(image_size, num_classes, in_chans)
        last = classifier(model, num_classes)
        return cfg if last is None else {**cfg, "classifier": last}

    def blocks(self, model: nn.Module) -> dict[str, nn.Module]:
        """Returns the blocks whose costs are listed, by their names in the network."""
        return dict(model.named_children())

    def references(self) -> list[Reference]:
        """Returns networks to compare with, besides timm's of similar size."""
        return []

    def read_geometry(self, path: Path) -> Any:
        """Reads a geometry from a JSON or YAML file.

        Raises:
            UserError: If the file holds no geometry, or the space reads none from files.
        """
        names = ", ".join(self.space.full_sizes)
        raise SettingError("geometry", path, f"{self.space.name} reads none from files; it has {names}")

    def scaled(self, geometry: Any, factor: float) -> Any:
        """Multiplies all widths of a geometry by a factor, rounded.

        Raises:
            UserError: If the space's geometries cannot be scaled.
        """
        del geometry, factor
        raise SettingError("match_macs", None, f"networks of the space {self.space.name} cannot be scaled")

    def read_weights(self, path: Path, config: Config, geometry: Any) -> ReleasedWeights:
        """Reads a file of weights that the authors of a paper released, without running code from it.

        Raises:
            UserError: If it holds anything but this network's weights, or the space has none.
        """
        del config, geometry
        raise SettingError("weights", path, f"no released weights of the space {self.space.name} are known")

    def idle(self, geometry: Any) -> tuple[str, ...]:
        """Returns the hyperparameters without effect at this size."""
        del geometry
        return ()

    def note(self, geometry: Any) -> str:
        """Describes those in a clause; "" if all have an effect."""
        del geometry
        return ""

    def layout(self, geometry: Any) -> list[str]:
        """Returns paragraphs of the model card about the size."""
        del geometry
        return []
