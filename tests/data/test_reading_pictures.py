"""What files of class folders become: right pixels, or a refusal that names the file; nothing silently."""

import numpy as np
import pytest
from PIL import Image

from nas.data import pictures, sources
from nas.data.decode import Unreadable, open_rgb
from nas.util.errors import UserError

RNG = np.random.default_rng(0)


def folder(root, **classes):
    """Makes class folders of images: a number of random ones, or those given by file name."""
    for name, wanted in classes.items():
        place = root / name
        place.mkdir(parents=True, exist_ok=True)
        if isinstance(wanted, int):
            wanted = {f"{i}.png": noise() for i in range(wanted)}
        for file, image in wanted.items():
            image.save(place / file)
    return f"folder:{root}"


def noise(side=16):
    return Image.fromarray(RNG.integers(0, 256, (side, side, 3), dtype=np.uint8))


def deep(dtype, factor):
    """A ramp of grey, 0 to 255 times ``factor``."""
    return (np.arange(256, dtype=dtype).reshape(16, 16) * factor).astype(dtype)


@pytest.mark.parametrize(
    ("kind", "dtype"), [("png", "<u2"), ("tiff", "<u2"), ("tiff", ">u2"), ("pgm", ">u2")]
)
def test_sixteen_bits_of_grey_are_scaled_to_eight(tmp_path, kind, dtype):
    path = tmp_path / f"a.{kind}"
    values = deep("u2", 257)
    if kind == "pgm":
        path.write_bytes(b"P5 16 16 65535\n" + values.astype(">u2").tobytes())
    elif dtype == ">u2":
        Image.frombytes("I;16B", (16, 16), values.astype(">u2").tobytes()).save(path)
    else:
        Image.fromarray(values).save(path)
    found = np.asarray(open_rgb(path))
    assert (found[..., 0].ravel() == np.arange(256)).all()
    assert (found[..., 0] == found[..., 2]).all()


@pytest.mark.parametrize(("dtype", "kind"), [("f4", "floating-point numbers"), ("i4", "32-bit numbers")])
def test_pixels_without_a_known_white_are_refused_by_search_and_training(tmp_path, dtype, kind):
    spec = folder(tmp_path / "p", cat=2, dog=2)
    Image.fromarray(deep(dtype, 1)).save(tmp_path / "p" / "dog" / "deep.tiff")
    with pytest.raises(UserError, match=f"deep.tiff has pixels of {kind}; must have 8 or 16 bits"):
        sources.load(spec, data_dir=tmp_path / "data")
    found = pictures.load(spec, data_dir=tmp_path)
    with pytest.raises(UserError, match=f"^data: .*deep.tiff has pixels of {kind}"):
        found.open(len(found) - 1)


def test_exif_turns_a_picture(tmp_path):
    picture = Image.new("RGB", (20, 10), "red")
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was held upright
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert open_rgb(tmp_path / "a.jpg").size == (10, 20)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert("LA" if mode == "LA" else "RGBA")
    path = tmp_path / ("a.tiff" if mode == "PA" else "a.png")
    if mode == "P":
        picture = Image.new("P", (8, 8), 0)
        picture.putpalette([0, 0, 0] * 256)
        picture.info["transparency"] = 0
    elif mode == "PA":
        picture = Image.new("LA", (8, 8), (0, 0))
    picture.save(path)
    assert (np.asarray(open_rgb(path)) == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB"])
def test_other_modes_are_read_as_pillow_reads_them(tmp_path, mode):
    picture = noise().convert("L" if mode in ("1", "P") else "RGB")
    picture = picture.convert(mode) if mode != "LAB" else picture
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    picture.save(path)
    with Image.open(path) as again:
        assert (np.asarray(open_rgb(path)) == np.asarray(again.convert("RGB"))).all()


def test_a_picture_too_large_says_so(tmp_path, monkeypatch):
    noise(40).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(Unreadable, match="has more than the 0 million pixels that are read; scale it down"):
        open_rgb(tmp_path / "a.png")


def test_all_damaged_files_are_named_at_once(tmp_path):
    spec = folder(tmp_path / "p", cat=3, dog=3)
    whole = (tmp_path / "p" / "cat" / "0.png").read_bytes()
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        (tmp_path / "p" / name).write_bytes(whole[: len(whole) // 2])
    (tmp_path / "p" / "cat" / "2.png").write_bytes(b"")
    wanted = r"cat/0.png .*damaged; .*cat/1.png .*damaged.*cat/2.png .*no image.*and 2 more of 6 files"
    with pytest.raises(UserError, match=wanted):
        sources.load(spec, data_dir=tmp_path / "data")


@pytest.mark.parametrize("source", ["npz", "folder"])
def test_images_all_alike_are_refused(tmp_path, source):
    white = Image.new("RGB", (16, 16), "white")
    if source == "npz":
        np.savez(tmp_path / "a.npz", x_train=np.zeros((8, 16, 16), np.uint8), y_train=np.arange(8) % 2)
        spec = f"npz:{tmp_path / 'a.npz'}"
    else:
        files = {f"{i}.png": white for i in range(4)}
        spec = folder(tmp_path / "p", cat=files, dog=files)
    with pytest.raises(UserError, match="all 8 images are alike; there is nothing to learn"):
        sources.load(spec, data_dir=tmp_path / "data")


def test_copies_within_and_across_classes_get_a_line_each(tmp_path):
    same, shared = noise(), noise()
    spec = folder(
        tmp_path / "p",
        cat={"a.png": same, "b.png": same, "c.png": same, "d.png": shared},
        dog={"a.png": shared, "b.png": noise()},
    )
    notes = sources.load(spec, data_dir=tmp_path / "data").notes
    assert notes == (
        f"{spec}: 2 copies of other images of the same class among its 6 images, 2 in class cat",
        f"{spec}: 1 image in more than one class, the first in cat and dog",
    )
