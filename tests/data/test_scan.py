"""Every file is opened once before hours go into training, and not again while nothing changes."""

import os

import pytest

from nas.data import pictures, scan
from nas.util.errors import UserError
from tests.data.test_reading_pictures import folder


@pytest.fixture
def spec(tmp_path):
    return folder(tmp_path / "p", cat=3, dog=3)


def test_files_are_opened_once(spec, tmp_path, monkeypatch):
    seen = []
    found = pictures.load(spec, data_dir=tmp_path)
    assert scan.scan(found, tmp_path / "cache", lambda *progress: seen.append(progress)) == ()
    assert seen == [(n, 6) for n in range(1, 7)]
    monkeypatch.setattr(scan, "_look_at", lambda path: pytest.fail(f"{path} was opened again"))
    assert scan.scan(found, tmp_path / "cache") == ()


def test_a_changed_file_is_opened_again(spec, tmp_path):
    found = pictures.load(spec, data_dir=tmp_path)
    scan.scan(found, tmp_path / "cache")
    path = tmp_path / "p" / "dog" / "1.png"
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(UserError, match=r"^dataset: .*dog/1.png is no image, or damaged"):
        scan.scan(found, tmp_path / "cache")


def test_copies_are_told(spec, tmp_path):
    (tmp_path / "p" / "dog" / "3.png").write_bytes((tmp_path / "p" / "cat" / "0.png").read_bytes())
    found = pictures.load(spec, data_dir=tmp_path)
    assert scan.scan(found, tmp_path / "cache")[0].endswith(
        "1 image in more than one class, the first in cat and dog"
    )


def test_a_cache_that_cannot_be_written_costs_time_only(spec, tmp_path):
    (tmp_path / "cache").write_text("a file in the place of the folder")
    assert scan.scan(pictures.load(spec, data_dir=tmp_path), tmp_path / "cache") == ()
