"""Reads an image file as upright RGB with 8 bits per channel, for the search and for training alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm"),
        *(".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    }
)

_SIXTEEN = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})  # one unsigned 16-bit channel, in any byte order
_SIXTEEN_FORMATS = frozenset({"PNG", "PPM"})  # older Pillow opens their 16-bit grey as "I", 32 bits wide
_DEEP = frozenset({"I", "F"})
_TO_8_BITS = 257  # 65,535 becomes 255


class Unreadable(ValueError):
    """An image file cannot be read; the message continues a sentence that begins with the file's name."""


def open_rgb(path: Path, near: int | None = None) -> Image.Image:
    """Reads an image as a viewer shows it.

    It is rotated as its EXIF data say; transparent parts become white; 16-bit grey is scaled to 8 bits; of
    several frames the first is used.

    Args:
        path: The file.
        near: Side in pixels that the image will be scaled to: JPEG files are decoded at the smallest size
            above it, which is faster.

    Raises:
        Unreadable: If it is damaged, too large, or has pixels of 32 bits or floating-point numbers, whose
            range is unknown.
    """
    try:
        with Image.open(path) as picture:
            if near is not None:
                picture.draft("RGB", (near, near))
            return _rgb(ImageOps.exif_transpose(picture), picture.format)
    except Unreadable:
        raise
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise Unreadable(f"has more than the {most} million pixels that are read; scale it down") from None
    except UnidentifiedImageError:
        raise Unreadable("is no image, or damaged; replace it or remove it") from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error...
        cause = getattr(error, "strerror", None)
        raise Unreadable(
            f"cannot be read ({cause})" if cause else "is damaged; replace it or remove it"
        ) from None


def _rgb(picture: Image.Image, form: str | None) -> Image.Image:
    if picture.mode in _SIXTEEN or (picture.mode == "I" and form in _SIXTEEN_FORMATS):
        picture = Image.fromarray((np.asarray(picture) // _TO_8_BITS).astype(np.uint8))
    if picture.mode in _DEEP:
        kind = "floating-point numbers" if picture.mode == "F" else "32-bit numbers"
        raise Unreadable(f"has pixels of {kind}; must have 8 or 16 bits a channel")
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        own = picture.convert("RGBA")
        picture = Image.new("RGBA", own.size, "white")
        picture.alpha_composite(own)
    return picture.convert("RGB")
