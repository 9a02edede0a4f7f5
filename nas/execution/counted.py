"""Which of a configuration's networks is counted for its costs, and how it is built."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import search_spaces
from nas import __version__
from search_spaces.sizes import IMAGE_SIZE, USUAL_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nas.run.search_file import Data
    from search_spaces.base import SearchSpace

REDUCED = "reduced"
# The defaults of nas.export at a full size.
_CLASSES, _CHANNELS = 1000, 3


@dataclass(frozen=True)
class CountedNetwork:
    """The network whose parameters, multiply-accumulates and other costs are counted.

    Attributes:
        space: The search space, as the user named it.
        network: A full size of the space, or ``reduced``.
        width: Width of the reduced network.
        image_size: Height and width of the search's images, pixels.
        num_classes: Number of classes.
        in_chans: Number of image channels.
        own: Names of the requested costs that the space itself defines.
    """

    space: str
    network: str
    width: int
    image_size: int
    num_classes: int
    in_chans: int
    own: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, space: str, network: str, data: Data, width: int, names: Iterable[str] = ()
    ) -> CountedNetwork:
        """Builds the one that a search counts.

        Args:
            space: The search space, as the user named it.
            network: A full size of the space, or ``reduced``.
            data: The images, as the trial process reports them.
            width: Width of the reduced network, as the trial process reports it.
            names: Requested costs; those that the space does not define are ignored here.
        """
        found = search_spaces.get(space)
        reduced = network == REDUCED
        classes = len(data.class_names or ()) or _CLASSES
        return cls(
            space,
            network,
            width,
            data.image_size or USUAL_SIZE,
            classes if reduced else _CLASSES,
            (data.in_chans or _CHANNELS) if reduced else _CHANNELS,
            tuple(name for name in names if name in found.costs),
        )

    def geometry(self, space: SearchSpace) -> tuple[Any, int]:
        """Returns the geometry to build, and the height and width of its images in pixels."""
        if self.network == REDUCED:
            return space.reduced(self.width, self.image_size), self.image_size
        geometry = space.full_sizes[self.network]
        return geometry, int(getattr(geometry, IMAGE_SIZE, None) or USUAL_SIZE)

    @property
    def identity(self) -> str:
        """Returns a key that differs where counts must not be mixed: another network or another version."""
        values = json.dumps([__version__, asdict(self)], sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()[:12]
