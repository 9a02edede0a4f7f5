"""Which files of a folder are taken for images of which class, and what is said of the others."""

import os

import pytest

from nas.data import listing, pictures, sources
from nas.util.errors import UserError
from tests.data.test_reading_pictures import folder, noise


def names(found):
    return [f"{path.parent.name}/{path.name}" for path, _ in found.files]


def test_hidden_files_and_what_systems_add_are_left_out_and_counted(tmp_path):
    folder(tmp_path, cat=2, dog=2)
    for name in ("cat/.ipynb_checkpoints/0.png", "cat/._0.png", "dog/__MACOSX/0.png", "dog/@eaDir/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        noise().save(tmp_path / name)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "dog" / "notes.txt").write_text("")
    (tmp_path / "dog" / "lost.png").symlink_to("nowhere.png")
    found = listing.find(tmp_path)
    assert names(found) == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    assert found.notes == (f"{tmp_path}: left out: 4 hidden, 1 links to nothing, 1 not images",)


def test_links_are_followed_but_not_in_circles(tmp_path):
    folder(tmp_path / "elsewhere", more=2)
    folder(tmp_path / "p", cat=1, dog=1)
    (tmp_path / "p" / "cat" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (tmp_path / "p" / "dog" / "again").symlink_to(tmp_path / "p" / "dog")
    (tmp_path / "p" / "bird").symlink_to(tmp_path / "elsewhere" / "more")
    (tmp_path / "p" / "dog" / "1.png").symlink_to(tmp_path / "elsewhere" / "more" / "0.png")
    found = listing.find(tmp_path / "p")
    assert found.class_names == ("bird", "cat", "dog")
    assert len(found.files) == 2 + 3 + 2
    assert found.left_out == {"links back to above": 1}


def test_all_usual_endings_in_any_case_are_images(tmp_path):
    files = {f"{i}{suffix}": noise() for i, suffix in enumerate((".jfif", ".JPG", ".jpe", ".Png", ".tif"))}
    assert len(listing.find(_spec_path(folder(tmp_path, cat=files, dog=1))).files) == 6


def _spec_path(spec):
    from pathlib import Path

    return Path(spec.partition(":")[2])


def test_a_class_may_be_called_train(tmp_path):
    spec = folder(tmp_path / "p", train=3, plane=3, test=3)
    found = sources.load(spec, data_dir=tmp_path)
    assert found.class_names == ("plane", "test", "train")
    assert not pictures.has_test(spec)


def test_a_part_is_one_only_if_it_holds_class_folders(tmp_path):
    folder(tmp_path / "p" / "train", cat=2, dog=2)
    folder(tmp_path / "p", test=2)  # images of unknown class
    assert listing.find(tmp_path / "p").class_names == ("cat", "dog")
    assert not pictures.has_test(f"folder:{tmp_path / 'p'}")
    with pytest.raises(UserError, match="has no test part; must hold train/ and test/"):
        listing.find(tmp_path / "p", test=True)


@pytest.mark.parametrize(
    ("parts", "renamed"),
    [
        (("Training", "Testing"), "rename Testing to test, Training to train"),
        (("Train", "Val"), "rename Train to train, Val to val"),
        (("test", "training", "validation"), "rename training to train, validation to val"),
    ],
)
def test_parts_under_other_names_are_not_classes(tmp_path, parts, renamed):
    for part in parts:
        folder(tmp_path / part, cat=2, dog=2)
    with pytest.raises(UserError, match=f"hold the same folders .cat, dog.: .*parts, not classes; {renamed}"):
        listing.find(tmp_path)


def test_equal_subfolders_of_other_names_get_a_line(tmp_path):
    for name in ("cat", "dog"):
        folder(tmp_path / name, **{"2019": 2, "2020": 2})
    found = listing.find(tmp_path)
    assert found.class_names == ("cat", "dog")
    assert "cat, dog hold the same folders (2019, 2020), whose images are taken together" in found.notes[0]


def test_a_folder_in_between_is_named(tmp_path):
    folder(tmp_path / "dataset", cat=2, dog=2)
    with pytest.raises(UserError, match=f"must be folder:{tmp_path}/dataset"):
        listing.find(tmp_path)


def test_names_that_look_the_same_are_the_same(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    folder(tmp_path / "p" / "train", **{composed: 2, "dog": 2})
    folder(tmp_path / "p" / "test", **{decomposed: 1, "dog": 1})
    assert listing.find(tmp_path / "p", test=True).class_names == (composed, "dog")
    (tmp_path / "p" / "train" / decomposed).mkdir()
    with pytest.raises(UserError, match="two class folders look the same, caf\u00e9; rename one"):
        listing.find(tmp_path / "p")


def test_a_class_name_that_is_not_utf8_is_refused(tmp_path):
    folder(tmp_path, cat=2)
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    with pytest.raises(UserError, match=r"class folder b'caf\\xe9': not UTF-8; rename it"):
        listing.find(tmp_path)


def test_files_whose_names_are_not_utf8_are_read(tmp_path):
    spec = folder(tmp_path / "p", cat=2, dog=2)
    os.rename(tmp_path / "p" / "cat" / "0.png", os.fsencode(tmp_path / "p" / "cat") + b"/\xff.png")
    assert len(sources.load(spec, data_dir=tmp_path / "data").labels) == 4
    assert len(pictures.load(spec, data_dir=tmp_path / "data")) == 4
