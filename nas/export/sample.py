"""The images that an 8-bit network is calibrated and validated on: never those of a test set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.data.split import stratified_split
from nas.export import images
from nas.util import output
from nas.util.errors import SettingError, setting
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from nas.data.pictures import Pictures
    from nas.export.training import HeldOut
    from nas.run.folder import Run

_CALIBRATION = 256  # images, as many as post-training quantisation is usually given
_JUDGING = 2_048  # images at most
_HELD_OUT = 0.05  # share of a training set that nothing else was held out of: nas.train's own


@dataclass(frozen=True, eq=False)
class Sample:
    """Images and how the network wants them.

    Attributes:
        calibration: Training images.
        judging: Validation images.
        judged_in_words: What those are, in the plural.
        transform: A picture as the network is validated on it.
    """

    calibration: Pictures
    judging: Pictures
    judged_in_words: str
    transform: Callable[[Any], Tensor]


def of_run(
    run: Run, data_dir: Path, data_config: Mapping[str, Any], class_names: Sequence[str] = ()
) -> Sample:
    """What a run trained its networks on, and what it judged them on.

    Raises:
        UserError: If the images are not those that the run searched on, or not of the network's classes.
    """
    known = tuple(run.read_search().data.class_names or ())
    if class_names and known != tuple(class_names):
        raise _other_classes(f"{images.KIND}:{run.path}", len(class_names))
    output.doing("reading the images that the search trained and validated on")
    seen = images.training(run, data_dir=data_dir)
    judged = images.validation(run, data_dir=data_dir)
    return _sample(seen, judged, "validation images of the search", data_config)


def of_data(
    spec: str,
    data_dir: Path,
    data_config: Mapping[str, Any],
    class_names: Sequence[str],
    classes: int,
    held_out: HeldOut | None,
) -> Sample:
    """A data set's training part: what ``nas.train`` held out of it, or a share of it, is validated on.

    Raises:
        UserError: If it is not there, or of other classes.
    """
    output.doing(f"looking at the images of {spec}")
    pictures = images.load(spec, data_dir=data_dir)
    if len(pictures.class_names) != classes or (class_names and tuple(class_names) != pictures.class_names):
        raise _other_classes(spec, classes)
    known = held_out if held_out is not None and held_out.data == spec else None
    if known is not None and known.max_images is not None:
        pictures = pictures.limited(known.max_images, known.seed)
    honest = known is not None and known.fraction > 0
    share, seed = (known.fraction, known.seed) if known is not None and honest else (_HELD_OUT, 0)
    split = stratified_split(pictures.labels, share, derive(seed, "split"))
    words = "images that its training held out"
    if not honest:
        words = f"images of the training part of {spec}, which it may have learned from"
    return _sample(pictures.take(split.train), pictures.take(split.val), words, data_config)


def _sample(seen: Pictures, judged: Pictures, words: str, data_config: Mapping[str, Any]) -> Sample:
    from nas.data import transforms

    least = 2 * len(seen.class_names)
    some = seen.limited(max(_CALIBRATION, least), 0)
    limited = judged
    if len(judged) > max(_JUDGING, least):
        limited = judged.limited(max(_JUDGING, least), 0)
    return Sample(some, limited, words, transforms.evaluation(data_config))


def _other_classes(spec: str, classes: int) -> SettingError:
    return SettingError("data", spec, f"must be of the {classes} classes that the network tells apart")


def required() -> SettingError:
    """What to say where nobody knows the images."""
    return SettingError(
        "int8",
        None,
        "needs images like those that the network was trained on; add "
        f"{setting('data', 'folder:DIR')} or run:DIR",
    )


def refuse_untrained() -> SettingError:
    """What to say of initial weights."""
    return SettingError(
        "int8",
        None,
        "needs trained weights, and these are initial ones; train the network with nas.train, then export "
        "the folder that it wrote",
    )
