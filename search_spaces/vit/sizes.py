"""What stays fixed while a vision transformer is searched: units of width, depth and patch."""

from __future__ import annotations

from dataclasses import dataclass

from nas.util.errors import UserError

MIN_WIDTH = 48  # a head of the narrowest network then has 2 channels
BASE = 384  # DeiT-S's channels (arXiv:2012.12877, Table 1): the choice that stands for `width`
HEADS = 12  # widths are multiples of it, so that every choice of heads divides them
LEAST_IMAGE = 8


@dataclass(frozen=True)
class Geometry:
    """Size of one network.

    Attributes:
        name: Its name for people.
        image_size: Height and width of the images it is meant for, pixels.
        width: Channels where the configuration's ``width`` is 384; others in proportion.
        depth_unit: Blocks that one unit of the configuration's ``depth`` stands for.
        patch_divisor: A patch has the configuration's ``patch`` pixels divided by this.
    """

    name: str
    image_size: int
    width: int
    depth_unit: int
    patch_divisor: int

    def __post_init__(self) -> None:
        if type(self.width) is not int or self.width < MIN_WIDTH:
            raise UserError(f"width {self.width!r}: must be an integer of at least {MIN_WIDTH}")
        if type(self.depth_unit) is not int or self.depth_unit < 1:
            raise UserError(f"geometry {self.name}: depth_unit must be at least 1, got {self.depth_unit!r}")
        if self.patch_divisor not in (1, 2, 4):
            raise UserError(
                f"geometry {self.name}: patch_divisor must be 1, 2 or 4, got {self.patch_divisor!r}"
            )
        if type(self.image_size) is not int or self.image_size < LEAST_IMAGE:
            raise UserError(f"image size {self.image_size!r}: must be an integer of at least {LEAST_IMAGE}")

    def channels(self, width: int) -> int:
        """Returns the channels that a configuration's ``width`` stands for."""
        return HEADS * round(width * self.width / BASE / HEADS)


# arXiv:2012.12877, Table 1: DeiT-S.
DEIT_S = Geometry("small", 224, BASE, 2, 1)


def reduced(width: int, image_size: int = 32) -> Geometry:
    """Returns the geometry of the small network that a search trains.

    It is narrower and half as deep, and its patches are a quarter as wide. A 32x32 image becomes 16, 64 or
    256 patches, an 8x8 image 1, 4 or 16.

    Args:
        width: Channels where the configuration's ``width`` is 384; at least 48.
        image_size: Height and width of the images, pixels, at least 8.

    Raises:
        UserError: If one of them is too small or not an integer.
    """
    return Geometry(f"reduced_{width}", image_size, width, 1, 4)
