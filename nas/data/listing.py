"""Lists the image files of a folder by class, without opening any."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.data.decode import SUFFIXES
from nas.util.errors import SettingError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOT_DATA = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
_LIKE_PARTS = {
    **dict.fromkeys(("train", "training", "trainset", "train_set"), "train"),
    **dict.fromkeys(("test", "testing", "testset", "test_set"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev", "eval"), "val"),
}
_HIDDEN, _OTHER, _DANGLING, _LOOP = (
    "hidden",
    "not images",
    "links to nothing",
    "links back to above",
)


@dataclass(frozen=True)
class Listing:
    """The images of a folder.

    Attributes:
        part: Folder that holds the classes' folders.
        files: The files with their labels, in order.
        class_names: Names of the training part's classes in the order of their labels, in NFC.
        left_out: Number of entries left out, by reason.
        hint: What the layout may have meant instead, or "".
    """

    part: Path
    files: tuple[tuple[Path, int], ...]
    class_names: tuple[str, ...]
    left_out: Mapping[str, int]
    hint: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, one line each."""
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.left_out.items()))
        return tuple(filter(None, (f"{self.part}: left out: {counts}" if counts else "", self.hint)))


def find(root: Path, *, test: bool = False) -> Listing:
    """Lists ``root/<class>/**/<image>``, or ``root/train/...`` where ``train`` holds folders of classes.

    Links are followed. Hidden files and folders, and those that operating systems add, are left out.

    Args:
        root: Folder of class folders; or of ``train`` and ``test`` or ``val``, each of class folders.
        test: List the test part: ``test``, else ``val``.

    Raises:
        UserError: If the folder or the part does not exist, cannot be read or is empty, if the test part has
            a class that the training part has not, or if the parts have other names.
    """
    if not root.is_dir():
        raise _refused(root, "no such folder; must hold one folder per class")
    found = parts(root)
    train = found.get("train", root)
    if test and not has_test(root):
        raise _refused(root, "has no test part; must hold train/ and test/ (or val/), each of class folders")
    part = found["test"] if test else train
    names = classes(train)
    hint = "" if "train" in found else _refuse_misnamed_parts(root, names)
    own = classes(part)
    strangers = sorted(set(own) - set(names))
    if strangers:
        raise _refused(root, f"class {strangers[0]} of {part.name}/ is not in train/")
    return _listed(root, part, {name: own.get(name) for name in names}, hint)


def listed(part: Path) -> Listing:
    """Lists ``part/<class>/**/<image>``, whatever the folders' names.

    Raises:
        UserError: If it is not a folder, cannot be read or holds no images.
    """
    if not part.is_dir():
        raise _refused(part, "no such folder; must hold one folder per class")
    return _listed(part, part, dict(classes(part)), "")


def _listed(root: Path, part: Path, folders: Mapping[str, Path | None], hint: str) -> Listing:
    left_out: Counter[str] = Counter()
    files = [
        (path, label)
        for label, folder in enumerate(folders.values())
        if folder is not None
        for path in sorted(_images(root, folder, left_out))
    ]
    if not files:
        raise _refused(root, "holds no images; must hold one folder of images per class")
    return Listing(part, tuple(files), tuple(folders), left_out, hint)


def parts(root: Path) -> dict[str, Path]:
    """Returns the folders of the training part (``train``) and of the test part (``test``, else ``val``).

    A folder with such a name is a part only if it holds folders and no images; otherwise it is a class.
    """
    result = {"train": root / "train"} if _holds_classes(root / "train") else {}
    test = next((root / name for name in ("test", "val") if _holds_classes(root / name)), None)
    return result if test is None else {**result, "test": test}


def has_test(root: Path) -> bool:
    """Whether a folder has both parts."""
    return len(parts(root)) == 2


def classes(folder: Path) -> dict[str, Path]:
    """Returns the class folders by name, sorted, with names in NFC so that names that look equal are equal.

    Raises:
        UserError: If a name is not UTF-8, or two look the same.
    """
    result: dict[str, Path] = {}
    for path in _folders(folder):
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise _refused(folder, f"class folder {os.fsencode(path.name)!r}: not UTF-8; rename it") from None
        name = unicodedata.normalize("NFC", path.name)
        if name in result:
            raise _refused(folder, f"two class folders look the same, {name}; rename one")
        result[name] = path
    return dict(sorted(result.items()))


def _refuse_misnamed_parts(root: Path, folders: Mapping[str, Path]) -> str:
    """Refuses parts taken for classes; returns what else the layout may have meant."""
    if not folders or any(map(_has_images, folders.values())):
        return ""
    inner = [set(map(_name, _folders(path))) for path in folders.values()]
    if not inner[0] or any(names != inner[0] for names in inner):
        return ""
    if len(inner) == 1:
        (only,) = folders.values()
        raise _refused(root, f"holds one folder, {only.name}, which holds the others; must be folder:{only}")
    same = f"{', '.join(folders)} hold the same folders ({', '.join(sorted(inner[0])[:4])})"
    meant = {name: _LIKE_PARTS.get(name.lower()) for name in folders}
    if all(meant.values()):
        renamed = ", ".join(f"{name} to {part}" for name, part in meant.items() if name != part)
        raise _refused(root, f"{same}: they are parts, not classes; rename {renamed}")
    return f"{root}: {same}, whose images are taken together; a class is a folder right below"


def _holds_classes(folder: Path) -> bool:
    return folder.is_dir() and bool(_folders(folder)) and not _has_images(folder)


def _has_images(folder: Path) -> bool:
    return any(_is_image(entry) and not _is_hidden(entry) for entry in _entries(folder, folder))


def _folders(folder: Path) -> list[Path]:
    return [Path(entry) for entry in _entries(folder, folder) if entry.is_dir() and not _is_hidden(entry)]


def _images(
    root: Path, folder: Path, left_out: Counter[str], above: frozenset[str] = frozenset()
) -> Iterator[Path]:
    """Yields the images below a folder, and counts everything else."""
    above |= {os.path.realpath(folder)}
    for entry in _entries(root, folder):
        if _is_hidden(entry):
            left_out[_HIDDEN] += 1
        elif entry.is_dir():
            if entry.is_symlink() and os.path.realpath(entry) in above:
                left_out[_LOOP] += 1
            else:
                yield from _images(root, Path(entry), left_out, above)
        elif _is_image(entry):
            yield Path(entry)
        else:
            left_out[_OTHER if entry.is_file() else _DANGLING] += 1


def _entries(root: Path, folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise _refused(root, f"{folder} cannot be read ({error.strerror})") from None


def _is_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file()


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name in _NOT_DATA


def _name(path: Path) -> str:
    return unicodedata.normalize("NFC", path.name)


def _refused(root: Path, what: str) -> UserError:
    return SettingError("dataset", f"folder:{root}", what)
