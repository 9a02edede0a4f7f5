"""Which network of a configuration is counted, and how it is built."""

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
# What nas.export builds at a full size unless told otherwise.
_CLASSES, _CHANNELS = 1000, 3


@dataclass(frozen=True)
class CountedNetwork:
    """The network whose costs count.

    Attributes:
        space: The search space, as the user named it.
        network: A full size of the space, or ``reduced``.
        width: Width of the reduced network.
        image_size: Height and width of the search's images, pixels.
        num_classes: Width of the classifier.
        in_chans: Image channels.
        own: The space's own costs that are wanted.
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
        """That of a search.

        Args:
            space: As the user named it.
            network: A full size of the space, or ``reduced``.
            data: What the trial process says of the images.
            width: What it says of the width.
            names: Costs that are wanted; those that are not the space's own count for nothing.
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
        """The geometry that is built, and the height and width of its images, pixels."""
        if self.network == REDUCED:
            return space.reduced(self.width, self.image_size), self.image_size
        geometry = space.full_sizes[self.network]
        return geometry, int(getattr(geometry, IMAGE_SIZE, None) or USUAL_SIZE)

    @property
    def identity(self) -> str:
        """Names what counts of another network or version must not be mixed with."""
        values = json.dumps([__version__, asdict(self)], sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()[:12]
