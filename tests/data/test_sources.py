import hashlib
import os
import pickle
import subprocess
import sys
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from nas.data import sources
from nas.util.errors import UserError


def save_npz(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (12, 10, 8, 3), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": rng.integers(0, 256, (6, 10, 8, 3), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
    } | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return f"npz:{path}"


def save_folder(root, classes=("cat", "dog"), n=3, size=(20, 12)):
    rng = np.random.default_rng(len(root.parts[-1]))
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return f"folder:{root}"


def test_digits_are_real_and_their_test_part_is_held_out(tmp_path):
    train = sources.load("digits", data_dir=tmp_path)
    test = sources.load_test("digits", data_dir=tmp_path)
    assert train.images.shape == (1438, 32, 32, 1)
    assert test.images.shape == (359, 32, 32, 1)
    assert train.images.dtype == np.uint8
    assert train.images.max() > 250
    assert not train.flip
    assert np.bincount(train.labels).min() > 130
    hashes = [
        {hashlib.sha256(image.tobytes()).hexdigest() for image in part.images} for part in (train, test)
    ]
    assert not hashes[0] & hashes[1]


def test_digits_test_part_does_not_depend_on_the_seed(tmp_path):
    first, second = (sources.load("digits", data_dir=tmp_path, seed=seed, image_size=8) for seed in (1, 2))
    assert first.fingerprint == second.fingerprint


def test_npz_gives_the_training_part(tmp_path):
    spec = save_npz(tmp_path / "a.npz", classes=np.array(["a", "b", "c"]))
    train = sources.load(spec, data_dir=tmp_path)
    assert train.images.shape == (12, 10, 8, 3)
    assert train.class_names == ("a", "b", "c")
    assert train.flip
    assert sources.load_test(spec, data_dir=tmp_path).images.shape == (6, 10, 8, 3)


def test_search_never_opens_the_test_part(tmp_path):
    spec = save_npz(tmp_path / "a.npz", x_test=np.array([object()]), y_test=None)  # unreadable if opened
    assert len(sources.load(spec, data_dir=tmp_path).labels) == 12
    with pytest.raises(UserError, match="x_test is truncated or not of plain numbers"):
        sources.load_test(spec, data_dir=tmp_path)


def test_npz_takes_grey_images_and_column_labels(tmp_path):
    grey = np.arange(12 * 9 * 8, dtype=np.uint8).reshape(12, 9, 8)
    spec = save_npz(tmp_path / "a.npz", x_train=grey, y_train=(np.arange(12) % 2)[:, None].astype(np.uint8))
    train = sources.load(spec, data_dir=tmp_path)
    assert train.images.shape == (12, 9, 8, 1)
    assert train.labels.dtype == np.int64
    assert train.class_names == ("0", "1")


@pytest.mark.parametrize("channels", [1, 3])
def test_image_size_crops_the_centre_and_scales(tmp_path, channels):
    images = np.zeros((12, 16, 48, channels), dtype=np.uint8)
    images[:, :, 16:32] = 200
    images[:, 0, 0, 0] = range(12)  # outside the crop
    spec = save_npz(tmp_path / "a.npz", x_train=images)
    assert (sources.load(spec, data_dir=tmp_path, image_size=8).images[:, 2:-2, 2:-2] == 200).all()
    assert sources.load(spec, data_dir=tmp_path, image_size=8).images.shape == (12, 8, 8, channels)


def test_max_images_is_stratified_and_seeded(tmp_path):
    few = [sources.load("digits", data_dir=tmp_path, image_size=8, max_images=100, seed=s) for s in (1, 1, 2)]
    assert few[0].fingerprint == few[1].fingerprint != few[2].fingerprint
    assert set(np.bincount(few[0].labels)) <= {9, 10, 11}
    assert len(sources.load("digits", data_dir=tmp_path, max_images=10**6).labels) == 1438


def test_fingerprint_covers_pixels_and_labels(tmp_path):
    labels = np.arange(12) % 3
    prints = {
        sources.load(save_npz(tmp_path / f"{i}.npz", **change), data_dir=tmp_path).fingerprint
        for i, change in enumerate(
            [
                {},
                {"y_train": labels[::-1]},
                {"x_train": np.arange(2880, dtype="u1").reshape(12, 8, 10, 3)},
            ]
        )
    }
    assert len(prints) == 3


def test_folder_of_classes(tmp_path):
    spec = save_folder(tmp_path / "pictures")
    train = sources.load(spec, data_dir=tmp_path / "data", image_size=12)
    assert train.images.shape == (6, 12, 12, 3)
    assert train.class_names == ("cat", "dog")
    original = np.asarray(Image.open(tmp_path / "pictures" / "cat" / "0.png"))
    assert (train.images[0] == original[:, 4:16]).all()
    with pytest.raises(UserError, match="no test part"):
        sources.load_test(spec, data_dir=tmp_path / "data")


def test_folder_with_parts(tmp_path):
    save_folder(tmp_path / "p" / "train", n=4)
    save_folder(tmp_path / "p" / "val", n=1)
    spec = f"folder:{tmp_path / 'p'}"
    assert len(sources.load(spec, data_dir=tmp_path).labels) == 8
    assert len(sources.load_test(spec, data_dir=tmp_path).labels) == 2
    save_folder(tmp_path / "p" / "test", classes=("bird",), n=1)
    with pytest.raises(UserError, match="class bird of test/ is not in train/"):
        sources.load_test(spec, data_dir=tmp_path)


def test_folder_cache_follows_the_files(tmp_path):
    spec = save_folder(tmp_path / "p")
    first = sources.load(spec, data_dir=tmp_path)
    (cache,) = (tmp_path / "cache").iterdir()
    marked = np.load(cache)
    marked[0] = 7
    np.save(cache, marked)
    assert (sources.load(spec, data_dir=tmp_path).images[0] == 7).all(), "not read from the cache"
    cache.write_bytes(cache.read_bytes()[:-10])
    assert sources.load(spec, data_dir=tmp_path).fingerprint == first.fingerprint, "truncated cache was used"
    np.save(cache, marked)
    os.utime(tmp_path / "p" / "cat" / "0.png", (0, 0))
    assert sources.load(spec, data_dir=tmp_path).fingerprint == first.fingerprint, "stale cache was used"
    assert not [
        path for path in (tmp_path / "cache").iterdir() if path.name[0] == "." or path.suffix == ".tmp"
    ]


@pytest.fixture
def fake_cifar(tmp_path, monkeypatch):
    """Files in CIFAR-10's own format, with their checksums in place of the real ones."""
    from torchvision.datasets import CIFAR10

    root = tmp_path / CIFAR10.base_folder
    root.mkdir()
    rng = np.random.default_rng(0)

    def write(name, content):
        (root / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((root / name).read_bytes()).hexdigest()]

    def batch(n):
        return {"data": rng.integers(0, 256, (n, 3072), dtype=np.uint8), "labels": [i % 10 for i in range(n)]}

    monkeypatch.setattr(CIFAR10, "train_list", [write("data_batch_1", batch(40))])
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch(10))])
    name, md5 = write("batches.meta", {"label_names": [f"class{i}" for i in range(10)]})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return tmp_path


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", refuse)


@pytest.mark.usefixtures("offline")
def test_cifar_is_read_without_a_network_once_its_files_are_there(fake_cifar):
    train = sources.load("cifar10", data_dir=fake_cifar)
    assert train.images.shape == (40, 32, 32, 3)
    assert train.class_names[3] == "class3"
    assert len(sources.load_test("cifar10", data_dir=fake_cifar).labels) == 10


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_offline_cifar_names_the_file_and_the_folder(tmp_path, name):
    with pytest.raises(UserError) as caught:
        sources.load(name, data_dir=tmp_path / "data")
    message = str(caught.value)
    assert "\n" not in message
    assert f"place {name.replace('cifar', 'cifar-')}-python.tar.gz (MD5 " in message
    assert f"in {tmp_path / 'data'} by hand" in message


@pytest.mark.usefixtures("offline")
def test_damaged_cifar_is_not_used(fake_cifar):
    (fake_cifar / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"place cifar-10-python\.tar\.gz"):
        sources.load("cifar10", data_dir=fake_cifar)


def test_sources_do_not_import_torch(tmp_path):
    spec = save_npz(tmp_path / "a.npz")
    code = (
        "import sys, pathlib, nas.data.sources as s;"
        "s.load(sys.argv[1], data_dir=pathlib.Path('unused'), image_size=8);"
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, spec], timeout=120).returncode == 0


def bad_npz(**changes):
    return lambda path: save_npz(path / "a.npz", **changes)


def truncated(path):
    spec = save_npz(path / "a.npz")
    (path / "a.npz").write_bytes((path / "a.npz").read_bytes()[:3000])
    return spec


def damaged_member(path):
    spec = save_npz(path / "a.npz")
    content = bytearray((path / "a.npz").read_bytes())
    content[500] ^= 255
    (path / "a.npz").write_bytes(content)
    return spec


def single_array(path):
    np.save(path / "a.npy", np.zeros(3))
    return f"npz:{path / 'a.npy'}"


def text_file(path):
    (path / "a.npz").write_text("hello")
    return f"npz:{path / 'a.npz'}"


def folder_with(content):
    def make(path):
        spec = save_folder(path / "p")
        (path / "p" / "cat" / "1.png").write_bytes(content)
        return spec

    return make


def empty_class(path):
    spec = save_folder(path / "p")
    (path / "p" / "eel").mkdir()
    return spec


def empty_folder(path):
    (path / "p").mkdir()
    return f"folder:{path / 'p'}"


U1 = np.uint8
BAD = {
    "unknown": (lambda _: "imagenet", "dataset=imagenet: must be cifar100"),
    "npz without a file": (lambda _: "npz:", "dataset=npz:: must be"),
    "missing npz": (lambda p: f"npz:{p}/none.npz", "no such file"),
    "truncated npz": (truncated, "truncated or no .npz"),
    "damaged array": (damaged_member, "x_train is truncated"),
    "single array": (single_array, "a single array"),
    "text": (text_file, "truncated or no .npz"),
    "no labels": (bad_npz(y_train=None), "has no array y_train"),
    "pickled": (bad_npz(x_train=np.array([None] * 12)), "x_train is truncated or not of plain numbers"),
    "float images": (bad_npz(x_train=np.zeros((12, 8, 8, 3))), "images are float64; must be uint8"),
    "flat images": (bad_npz(x_train=np.zeros((12, 64), U1)), "shape (12, 64)"),
    "channels first": (bad_npz(x_train=np.zeros((12, 3, 32, 32), U1)), "C 1 or 3"),
    "small images": (bad_npz(x_train=np.zeros((12, 7, 9, 3), U1)), "7x9 pixels; must be at least 8x8"),
    "no images": (bad_npz(x_train=np.zeros((0, 8, 8, 3), U1), y_train=np.zeros(0, int)), "holds no images"),
    "too few labels": (bad_npz(y_train=np.arange(11) % 3), "labels have shape (11,); must be (12,)"),
    "one-hot labels": (bad_npz(y_train=np.eye(12, dtype=int)), "labels have shape (12, 12)"),
    "float labels": (bad_npz(y_train=np.arange(12) / 2), "labels are float64; must be integers"),
    "negative labels": (bad_npz(y_train=np.arange(12) % 3 - 1), "labels run from -1 to 1"),
    "labels beyond classes": (
        bad_npz(y_train=np.arange(12) % 3, classes=np.array(["a", "b"])),
        "labels run from 0 to 2; must lie in 0 to 1",
    ),
    "huge labels": (bad_npz(y_train=np.arange(12) + 10**12), "with only 12 images"),
    "one class": (bad_npz(y_train=np.zeros(12, int)), "has 1 class; must be at least 2"),
    "lone image": (bad_npz(y_train=np.array([0] * 11 + [1])), "class 1 has 1 image; must be at least 2"),
    "missing class": (bad_npz(y_train=np.array([0, 2] * 6)), "class 1 has 0 images"),
    "missing folder": (lambda p: f"folder:{p}/none", "no such folder"),
    "empty folder": (empty_folder, "holds no images"),
    "damaged picture": (
        folder_with(b"\x89PNG\r\n\x1a\nnothing"),
        "cat/1.png is no image, or damaged",
    ),
    "empty picture": (folder_with(b""), "cat/1.png is no image, or damaged"),
    "empty class": (empty_class, "class eel has 0 images"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_one_line_that_names_what_is_wrong(tmp_path, case):
    make, expected = BAD[case]
    spec = make(tmp_path)
    with pytest.raises(UserError) as caught:
        sources.load(spec, data_dir=tmp_path / "data")
    message = str(caught.value)
    assert message.startswith("dataset")
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"image_size": 7}, "image_size=7: must be at least 8"),
        ({"max_images": 19}, "max_images=19: must be at least 20"),
    ],
)
def test_bad_arguments(tmp_path, arguments, expected):
    with pytest.raises(UserError, match=expected):
        sources.load("digits", data_dir=tmp_path, **arguments)


def test_data_folder_that_cannot_be_written(tmp_path):
    spec = save_folder(tmp_path / "p")
    (tmp_path / "data").write_text("a file")
    for dataset in (spec, "cifar10"):
        with pytest.raises(UserError, match="data_dir"):
            sources.load(dataset, data_dir=tmp_path / "data")
