"""Widths and depths of the residual networks: what stays fixed while a configuration is searched."""

from __future__ import annotations

from dataclasses import dataclass

from nas.util.errors import UserError

MIN_WIDTH = 8
BASE = 64  # ResNet's channels after the stem (arXiv:1512.03385, Table 1): the choice that stands for `width`


@dataclass(frozen=True)
class Geometry:
    """Size of one network.

    Attributes:
        name: Its name for people.
        image_size: Height and width of the images it is meant for, pixels; at least ``reduction``.
        width: Channels of the first stage where the configuration's ``width`` is 64; others in proportion.
        stem_stride: 4, or 2 for small images.
        depths: Blocks of every stage at ResNet's ratio of stages.
        depths_swin: The same at the Swin Transformer's ratio, which ConvNeXt uses.
    """

    name: str
    image_size: int
    width: int
    stem_stride: int
    depths: tuple[int, ...]
    depths_swin: tuple[int, ...]

    def __post_init__(self) -> None:
        if type(self.width) is not int or self.width < MIN_WIDTH:
            raise UserError(f"width {self.width!r}: must be an integer of at least {MIN_WIDTH}")
        if self.stem_stride not in (2, 4):
            raise UserError(f"geometry {self.name}: stem_stride must be 2 or 4, got {self.stem_stride!r}")
        if not self.depths or len(self.depths) != len(self.depths_swin):
            raise UserError(f"geometry {self.name}: depths and depths_swin must name the same stages")
        if min(*self.depths, *self.depths_swin) < 1:
            raise UserError(f"geometry {self.name}: every stage must have a block")
        if type(self.image_size) is not int or self.image_size < self.reduction:
            raise UserError(
                f"image size {self.image_size!r}: must be an integer of at least {self.reduction} "
                f"for the {self.name} network"
            )

    @property
    def reduction(self) -> int:
        """How many pixels of the image one pixel of the last map spans."""
        return int(self.stem_stride * 2 ** (len(self.depths) - 1))


# arXiv:1512.03385, Table 1 (ResNet-50 and -101); arXiv:2201.03545, section 3 (ConvNeXt-T and -S).
TINY = Geometry("tiny", 224, BASE, 4, (3, 4, 6, 3), (3, 3, 9, 3))
SMALL = Geometry("small", 224, BASE, 4, (3, 4, 23, 3), (3, 3, 27, 3))


def reduced(width: int, image_size: int = 32) -> Geometry:
    """Returns the geometry of the small network that a search trains.

    It has a third of the last three stages and a stem of stride 2. The strides are the same for every image
    size: an 8x8 image ends as a 1x1 map, a 32x32 image as 4x4.

    Args:
        width: Channels of the first stage where the configuration's ``width`` is 64; at least 8.
        image_size: Height and width of the images, pixels, at least 8.

    Raises:
        UserError: If one of them is too small or not an integer.
    """
    return Geometry(f"reduced_{width}", image_size, width, 2, (1, 2, 1), (1, 3, 1))
