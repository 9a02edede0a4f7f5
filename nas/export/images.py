"""The images of a run, for the commands after the search: ``run:DIR`` as a dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.data import pictures, sources
from nas.data.split import stratified_split
from nas.run.folder import Run
from nas.search.settings import SearchSettings
from nas.util.errors import SettingError
from nas.util.seeds import derive

if TYPE_CHECKING:
    from nas.data.images import ImageSet
    from nas.data.pictures import Pictures
    from nas.data.split import Split
    from nas.search.settings import DataSettings

KIND = "run"


def run_of(spec: str) -> Run | None:
    """Returns the run that ``run:DIR`` names, None if a specification is of another kind.

    Raises:
        UserError: If there is no such run.
    """
    kind, _, place = spec.partition(":")
    return Run.open(Path(place).expanduser()) if kind == KIND and place else None


def load(spec: str, *, data_dir: Path, test: bool = False) -> Pictures:
    """Loads the training or test part of a dataset, also of a run's.

    Args:
        spec: ``run:DIR``, or what :func:`nas.data.pictures.load` accepts. Of a run: all training images of
            its dataset, at the size of the search.
        data_dir: Folder of downloads.
        test: Load the test part.

    Raises:
        UserError: If the data do not exist or are invalid.
    """
    run = run_of(spec)
    if run is None:
        return pictures.load(spec, data_dir=data_dir, test=test)
    data = SearchSettings.of(run.read_search()).data
    read = sources.load_test if test else sources.load
    found = read(data.dataset, data_dir=_data_dir(data, data_dir), image_size=data.image_size)
    return pictures.from_images(spec, found)


def has_test(spec: str) -> bool:
    """Whether a dataset has a test part."""
    run = run_of(spec)
    return pictures.has_test(spec if run is None else SearchSettings.of(run.read_search()).data.dataset)


def validation(run: Run, *, data_dir: Path) -> Pictures:
    """Returns the validation images of a run's trials, in the order of the search.

    They follow from the settings and the seed in ``search.json``, and are checked against its fingerprints.

    Args:
        run: The run.
        data_dir: Folder of downloads, if it is not the search's.

    Raises:
        UserError: If the images are not those of the search.
    """
    found, split = _searched(run, data_dir)
    return pictures.from_images(f"{KIND}:{run.path}", _only(found, split.val))


def training(run: Run, *, data_dir: Path) -> Pictures:
    """The images that a run's trials learn from, as :func:`validation` gives those they are validated on.

    Raises:
        UserError: If the images are not those that the run searched on.
    """
    found, split = _searched(run, data_dir)
    return pictures.from_images(f"{KIND}:{run.path}", _only(found, split.train))


def _searched(run: Run, data_dir: Path) -> tuple[ImageSet, Split]:
    search = run.read_search()
    settings = SearchSettings.of(search)
    data = settings.data
    images = sources.load(
        data.dataset,
        data_dir=_data_dir(data, data_dir),
        image_size=data.image_size,
        max_images=data.max_images,
        seed=derive(0, "subset"),
    )
    split = stratified_split(images.labels, data.val_fraction, derive(settings.choice.seed, "split"))
    known = search.data
    if (images.fingerprint, split.fingerprint) != (known.fingerprint, known.split_fingerprint):
        raise SettingError(
            "data", f"{KIND}:{run.path}", f"{data.dataset} is not the images this run searched on"
        )
    return images, split


def _only(images: ImageSet, index: Any) -> ImageSet:
    return replace(images.take(index), notes=())


def _data_dir(data: DataSettings, given: Path) -> Path:
    """Returns the search's folder if it exists here, else the given one."""
    return data.data_dir if data.data_dir.is_dir() else given
