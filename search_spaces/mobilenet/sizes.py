"""What stays fixed while a configuration of inverted residuals is searched: unit of width and strides."""

from __future__ import annotations

from dataclasses import dataclass

from nas.util.errors import UserError

MIN_WIDTH = 4  # below it, timm's rounding of expanded channels to eights makes expansions 3 and 4 the same


@dataclass(frozen=True)
class Geometry:
    """Size of one network.

    Attributes:
        name: Its name for people.
        image_size: Height and width of the images it is meant for, pixels; at least ``reduction``.
        width: Channels that one unit of the configuration's widths stands for; the papers' are 8.
        strides: Strides of the first block of each of the five searched stages. The stem's is 2.
    """

    name: str
    image_size: int
    width: int
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        if type(self.width) is not int or self.width < MIN_WIDTH:
            raise UserError(f"width {self.width!r}: must be an integer of at least {MIN_WIDTH}")
        if len(self.strides) != 5 or not set(self.strides) <= {1, 2}:
            raise UserError(
                f"geometry {self.name}: strides must be 5 numbers, each 1 or 2, got {self.strides}"
            )
        if type(self.image_size) is not int or self.image_size < self.reduction:
            raise UserError(
                f"image size {self.image_size!r}: must be an integer of at least {self.reduction} "
                f"for the {self.name} network"
            )

    @property
    def reduction(self) -> int:
        """How many pixels of the image one pixel of the last map spans."""
        return int(2 ** (1 + self.strides.count(2)))


# arXiv:1801.04381, Table 2; the same strides in arXiv:1905.02244, Table 1, and arXiv:1905.11946, Table 1.
MOBILE = Geometry("mobile", 224, 8, (2, 2, 2, 1, 2))


def reduced(width: int, image_size: int = 32) -> Geometry:
    """Returns the geometry of the small network that a search trains.

    It has two of the strides, so that an 8x8 image ends as a 1x1 map.

    Args:
        width: Channels of one unit of the configuration's widths, at least 4.
        image_size: Height and width of the images, pixels, at least 8.

    Raises:
        UserError: If one of them is too small or not an integer.
    """
    return Geometry(f"reduced_{width}", image_size, width, (2, 1, 2, 1, 1))
