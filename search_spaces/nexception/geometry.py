"""Widths and depths of the networks: what stays fixed while a configuration is searched."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_WIDTH = 16


@dataclass(frozen=True)
class Geometry:
    """Widths, depths and input size of one network.

    Two layouts share it. Xception's (NEXcepTion, Tables 5 and 6): stem of stride 2, stages that
    open with a downsampling residual block, an exit block and two separable convolutions. ConvNeXt's
    pyramid (NEXcepTion, Table 4): stem of stride 4, stages of middle blocks with a 2x2 convolution
    of stride 2 between them, no exit.

    Attributes:
        name: Its name for people.
        image_size: Height and width of the images it is meant for, pixels. Others work too, down to
            ``reduction``.
        pyramid: ConvNeXt's layout instead of Xception's.
        patchify_chs: Channels of the patchify stem.
        conv_chs: Channels of the two convolutions of the convolutional stem.
        conv_padding: Padding of these two, pixels.
        widths: Channels of every stage.
        depths: Middle blocks in every stage.
        exit_chs: Channels of the exit block and of the two separable convolutions after it; empty
            in a pyramid.
    """

    name: str
    image_size: int
    pyramid: bool
    patchify_chs: int
    conv_chs: tuple[int, int]
    conv_padding: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    exit_chs: tuple[int, ...]

    def __post_init__(self) -> None:
        chs = (self.patchify_chs, *self.conv_chs, *self.widths, *self.exit_chs)
        if not self.widths or min(chs) < 1:
            raise UserError(f"geometry {self.name}: every width must be at least 1, got {chs}")
        if len(self.depths) != len(self.widths) or min(self.depths) < int(self.pyramid):
            raise UserError(
                f"geometry {self.name}: depths {self.depths} must hold a number of blocks, at least "
                f"{int(self.pyramid)} with pyramid {self.pyramid}, for each of the widths {self.widths}"
            )
        if len(self.conv_chs) != 2 or len(self.exit_chs) != (0 if self.pyramid else 3):
            raise UserError(
                f"geometry {self.name}: conv_chs must hold 2 widths and exit_chs "
                f"{0 if self.pyramid else 3}, got {self.conv_chs} and {self.exit_chs}"
            )
        if self.conv_padding not in (0, 1):
            raise UserError(f"geometry {self.name}: conv_padding must be 0 or 1, got {self.conv_padding}")
        if self.image_size < self.reduction:
            raise UserError(
                f"image size {self.image_size}: must be at least {self.reduction} for the {self.name} network"
            )

    @property
    def reduction(self) -> int:
        """How many pixels of the image one pixel of the last map spans; also the least image size."""
        return 2 ** (len(self.widths) + (1 if self.pyramid else 2))

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for a JSON file; :meth:`from_json` is the inverse."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Geometry:
        """Reads what :meth:`to_json` returned.

        Raises:
            UserError: If a key is missing, unknown or of another type.
        """
        names = [field.name for field in fields(cls)]
        if not hasattr(data, "keys") or set(data) != set(names):
            raise UserError(f"geometry: expected an object with the keys {', '.join(names)}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        for key, value in values.items():
            like = getattr(XCEPTION, key)
            if type(value) is not type(like) or (
                isinstance(value, tuple) and not all(type(item) is int for item in value)
            ):
                raise UserError(f"geometry: {key} must look like {like!r}, got {value!r}")
        return cls(**values)


# arXiv:1610.02357, figure 5; channels and padding as in the author's code.
XCEPTION = Geometry(
    name="xception",
    image_size=299,
    pyramid=False,
    patchify_chs=96,
    conv_chs=(32, 64),
    conv_padding=0,
    widths=(128, 256, 728),
    depths=(0, 0, 8),
    exit_chs=(1024, 1536, 2048),
)

# NEXcepTion, Tables 5 and 6. The convolutional stem, for searched configurations, is Xception's.
NEXCEPTION_T = replace(XCEPTION, name="nexception_t", image_size=224, conv_padding=1, widths=(128, 256, 512))
NEXCEPTION_S = replace(NEXCEPTION_T, name="nexception_s", widths=(128, 256, 752))

# NEXcepTion, Table 4. The paper has no convolutional stem here: half the width, then all of it.
NEXCEPTION_TP = Geometry(
    name="nexception_tp",
    image_size=224,
    pyramid=True,
    patchify_chs=96,
    conv_chs=(48, 96),
    conv_padding=1,
    widths=(96, 192, 384, 768),
    depths=(3, 4, 9, 3),
    exit_chs=(),
)


def idle_choices(geometry: Geometry) -> tuple[str, ...]:
    """Returns choices that have no effect here: a pyramid's downsampling is ConvNeXt's (Table 4)."""
    return ("kernel_down", "pool") if geometry.pyramid else ()


def reduced(width: int, image_size: int = 32) -> Geometry:
    """Returns the geometry of the small network that a search trains (NEXcepTion, section 3).

    One downsampling block in the entry flow and four middle blocks instead of three and eight. At
    width 512 its stem, middle, exit and tail have NEXcepTion-T's channels. The strides are the same
    for every image size: an 8x8 image ends as a 1x1 map, a 32x32 image as 4x4.

    Args:
        width: Channels of the middle flow, at least 16; the other channels follow from it.
        image_size: Height and width of the images, pixels, at least 8.

    Raises:
        UserError: If one of them is too small or not an integer.
    """
    if type(width) is not int or width < MIN_WIDTH:
        raise UserError(f"width {width!r}: must be an integer of at least {MIN_WIDTH}")
    if type(image_size) is not int:
        raise UserError(f"image size {image_size!r}: must be an integer of at least 8")
    return Geometry(
        name=f"reduced_{width}",
        image_size=image_size,
        pyramid=False,
        patchify_chs=max(16, 3 * width // 16 // 8 * 8),
        conv_chs=(max(8, width // 16), max(16, width // 8)),
        conv_padding=1,
        widths=(width,),
        depths=(4,),
        exit_chs=(2 * width, 3 * width, 4 * width),
    )


def named(name: str) -> Geometry:
    """Returns a full-size geometry by its name.

    Raises:
        UserError: If there is none of that name.
    """
    known = {geometry.name: geometry for geometry in (XCEPTION, NEXCEPTION_T, NEXCEPTION_S, NEXCEPTION_TP)}
    if name not in known:
        raise UserError(f"geometry {name!r}: must be one of {', '.join(known)}")
    return known[name]
