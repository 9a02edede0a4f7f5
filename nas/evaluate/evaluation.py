"""Evaluates networks on datasets for ``nas.evaluate``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from nas.evaluate import joint
from nas.util import flag_help, output
from nas.util.errors import SettingError, UserError, first_line, from_reader, setting
from nas.util.quantities import counted
from nas.util.ranges import at_least

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from nas.data.pictures import Pictures
    from nas.evaluate.scores import Scores
    from nas.export.loading import LoadableNetwork

_LONGEST_NAME = 60  # most characters of a path in a folder's name


@dataclass(frozen=True)
class EvaluateSettings:
    """What to evaluate, and on which images."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional, flag_help.several("MODEL")]
    """Folders written by nas.train or nas.export, or models that timm has weights for."""
    data: tyro.conf.UseAppendAction[tuple[str, ...]]
    """folder:DIR (its test/, else val/, else DIR itself), cifar100, cifar10, digits or npz:FILE; run:DIR:
    the validation images of this run's trials. Once for each data set."""
    suite: tyro.conf.UseAppendAction[
        tuple[Literal["none", "imagenet-a", "imagenet-r", "imagenet-sketch"], ...]
    ] = ()
    """The robustness set that folder:DIR holds, which determines the classes; once for each --data, in the
    same order. Without the flag: none."""
    output: Annotated[
        Path | None,
        flag_help.default("evaluations/MODEL-DATA; evaluations for several", aliases=["-o"]),
    ] = None
    """Folder for scores, per-class table and confusion matrix; with several networks or data sets, a folder
    for each next to the table of all."""
    data_dir: Path = Path("data")
    """Where downloads are kept."""
    space: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], flag_help.default("none")] = ()
    """Code of an exported folder's custom search space, such as DIR/my_space.py, which is not run otherwise;
    once for each."""
    input_size: Annotated[int | None, flag_help.default("the network's")] = None
    """Image size in pixels (images are square)."""
    crop: Annotated[float | None, flag_help.default("the network's", name="crop-pct")] = None
    """Share of the image's side that the centre crop keeps."""
    batch_size: int = 256
    """Images per batch."""
    workers: int = 0
    """Processes that load images; 0: this process loads them."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """auto: bfloat16 on GPUs that support it, float16 on others, float32 on the CPU."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if not self.models:
            raise SettingError("models", None, "must name at least one network")
        if not self.data:
            raise SettingError("data", None, f"is missing; add {setting('data', 'folder:DIR')}")
        if self.suite and len(self.suite) != len(self.data):
            raise SettingError(
                "suite",
                None,
                f"given {counted(len(self.suite), 'time')}, {setting('data')} "
                f"{counted(len(self.data), 'time')}; each {setting('data')} needs its {setting('suite')}: "
                "none, if it is no robustness set",
            )
        at_least(self, batch_size=1, workers=0, input_size=8)
        if self.crop is not None and not 0 < self.crop <= 1:
            raise SettingError("crop", self.crop, "must be above 0 and at most 1")

    @property
    def sets(self) -> list[EvaluationImages]:
        """Returns the datasets to evaluate on, in the order given.

        Raises:
            UserError: If two are the same.
        """
        suites = self.suite or ("none",) * len(self.data)
        pairs = list(zip(self.data, suites, strict=True))
        for pair in pairs:
            if pairs.count(pair) > 1:
                raise SettingError("data", pair[0], "is given twice; must be once")
        labels = [_label(data, suite) for data, suite in pairs]
        return [
            EvaluationImages(data, suite, label if labels.count(label) == 1 else f"{label}-{place}")
            for place, ((data, suite), label) in enumerate(zip(pairs, labels, strict=True), start=1)
        ]


@dataclass(frozen=True)
class EvaluationImages:
    """A dataset as the user named it, its robustness set, and a short name for a folder."""

    data: str
    suite: str
    label: str


def _label(data: str, suite: str) -> str:
    kind, _, place = data.partition(":")
    return suite if suite != "none" else Path(place).stem or kind


@dataclass(frozen=True)
class Evaluation:
    """The scores, the folder they were written to, and notes for the reader."""

    scores: Scores
    output: Path
    notes: list[str]


@dataclass(frozen=True)
class JointEvaluation:
    """All networks on all datasets: the table's rows, the datasets' names, the folder, and notes."""

    lines: list[joint.NetworkScores]
    sets: list[str]
    output: Path
    notes: list[str]


def evaluate(settings: EvaluateSettings) -> Evaluation:
    """Evaluates one network on one dataset.

    Raises:
        UserError: If network, dataset or classes do not fit.
    """
    from nas.export import loading

    named = loading.find(settings.models[0], *settings.space)  # may refuse, before PyTorch is loaded
    (image_set,) = settings.sets
    folder = settings.output or Path("evaluations") / f"{named.name.replace(':', '-')}-{image_set.label}"
    from nas.util.machine import find_device

    device = find_device(settings.device)
    model = _create(named, device)
    images = _read(settings, image_set, named, model.num_classes)
    return _judge(settings, named, model, image_set, images, folder)


def evaluate_all(settings: EvaluateSettings) -> JointEvaluation:
    """Evaluates several networks on several datasets, after checking that all of them exist.

    The table is rewritten after each evaluation, so that a kill loses at most one.

    Raises:
        UserError: If network, dataset or classes do not fit.
    """
    from nas.export import loading

    named = [loading.find(text, *settings.space) for text in settings.models]
    names = _names(settings.models, [one.name for one in named])
    from nas.util.machine import find_device

    device = find_device(settings.device)
    folder = settings.output or Path("evaluations")
    found = JointEvaluation([], [one.label for one in settings.sets], folder, [])
    pictures = []
    for one, name in zip(named, names, strict=True):
        output.doing(f"looking at {name} and its images")
        line, classes = _line(settings, one, name)
        pictures.append([_read(settings, image_set, one, classes) for image_set in settings.sets])
        found.lines.append(line)
    folders = _folder_names(names)
    for one, line, name, own in zip(named, found.lines, folders, pictures, strict=True):
        model = _create(one, device)
        for image_set, images in zip(settings.sets, own, strict=True):
            done = _judge(settings, one, model, image_set, images, folder / f"{name}-{image_set.label}")
            line.scores[image_set.label] = done.scores
            found.notes.extend(f"{line.model}, {image_set.label}: {note}" for note in done.notes)
            joint.write(folder, found.lines, found.sets)
    return found


def _names(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names the rows: by the networks' names, or by the given paths where two names are the same."""
    places = [str(Path(text).expanduser().resolve()) for text in texts]
    for text, place in zip(texts, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"{text}: is named twice; must be once")
    return [
        name if names.count(name) == 1 else text.rstrip("/") for text, name in zip(texts, names, strict=True)
    ]


def _folder_names(names: Sequence[str]) -> list[str]:
    plain = [re.sub(r"[/:\\]+", "-", name)[-_LONGEST_NAME:].strip("-.") or "network" for name in names]
    return [
        name if plain.count(name) == 1 else f"{name}-{place}" for place, name in enumerate(plain, start=1)
    ]


def _line(settings: EvaluateSettings, named: LoadableNetwork, name: str) -> tuple[joint.NetworkScores, int]:
    """Counts a network; returns its row and its number of classes."""
    from timm.data import resolve_model_data_config

    from nas.util.counts import count

    model: Any = named.create().to("meta")
    config = resolve_model_data_config(model)
    channels, *size = config["input_size"]
    try:
        stats = count(model, settings.input_size or size[-1], channels)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise SettingError(
            "input_size", settings.input_size or size[-1], f"does not fit {name} ({first_line(error)})"
        ) from None
    return joint.NetworkScores(name, stats.macs, stats.params), int(model.num_classes)


def _create(named: LoadableNetwork, device: torch.device) -> Any:
    from nas.trial.memory import memory_advice

    with memory_advice(f"{named.name}: has no room on {device}; use {setting('device', 'cpu')}"):
        return named.create(weights=True).to(device)


def _read(
    settings: EvaluateSettings, image_set: EvaluationImages, named: LoadableNetwork, num_classes: int
) -> tuple[Pictures, list[int] | None]:
    """Returns the images, and the network's outputs to choose among, None for all."""
    from nas.evaluate import suites

    if image_set.suite == "none":
        return _pictures(image_set.data, settings.data_dir, named, num_classes), None
    return suites.read(image_set.suite, image_set.data, num_classes)


def _judge(
    settings: EvaluateSettings,
    named: LoadableNetwork,
    model: Any,
    image_set: EvaluationImages,
    images: tuple[Pictures, list[int] | None],
    folder: Path,
) -> Evaluation:
    from timm.data import resolve_model_data_config

    from nas.data import transforms
    from nas.evaluate import report
    from nas.evaluate.predict import Transformed, predict
    from nas.evaluate.scores import Scores
    from nas.trial.memory import memory_advice
    from nas.trial.passes import autocast_dtype
    from nas.util.machine import hardware, versions

    found, outputs = images
    device = next(model.parameters()).device
    config = resolve_model_data_config(model)
    size = settings.input_size or config["input_size"][-1]
    channels = config["input_size"][0]
    if channels not in (1, 3):
        raise UserError(f"{named.name}: takes {channels}-channel images; must take 1 or 3")
    config |= {"input_size": (channels, size, size), "crop_pct": settings.crop or config["crop_pct"]}
    output.doing(f"judging {counted(len(found.labels), 'image')}")
    short = f"{setting('batch_size', settings.batch_size)}: out of memory; must be smaller"
    try:
        with memory_advice(short):
            predictions = predict(
                model,
                Transformed(found, transforms.evaluation(config)),
                device,
                batch_size=settings.batch_size,
                workers=settings.workers,
                amp=autocast_dtype(settings.amp, device),
                classes=outputs,
            )
    except UserError as error:
        raise from_reader(error) from None
    scores = Scores.of(predictions)
    facts = {
        "model": str(named.path or named.name),
        "data": image_set.data,
        "suite": image_set.suite,
        "input_size": size,
        "crop": config["crop_pct"],
        "fingerprint": found.fingerprint,
        "hardware": hardware(device),
        "versions": versions(),
    }
    report.write(folder, scores, predictions, found.class_names, facts)
    return Evaluation(scores, folder, _notes(named, found))


def _pictures(data: str, data_dir: Path, named: LoadableNetwork, num_classes: int) -> Pictures:
    from nas.data import listing, pictures
    from nas.evaluate import suites
    from nas.export import images

    kind, _, place = data.partition(":")
    names = named.class_names
    if kind == "folder" and place:
        root = Path(place).expanduser()
        parts = listing.parts(root)
        if "train" in parts and "test" not in parts:
            raise SettingError("data", data, "has a train/ but no test/ or val/; must have one of them")
        part = parts.get("test", root)
        if not names and num_classes == suites.IMAGENET_CLASSES:
            names = tuple(suites.imagenet_classes())
        if names:
            return suites.from_folder(data, part, names)
    run = images.run_of(data)
    if run is not None:
        found = images.validation(run, data_dir=data_dir)
    else:
        has_test = kind != "folder" or pictures.has_test(data)
        found = pictures.load(data, data_dir=data_dir, test=has_test)
    if len(found.class_names) != num_classes:
        has = counted(len(found.class_names), "class", "classes")
        raise SettingError("data", data, f"has {has}; must have the {num_classes} of {named.name}")
    if names and names != found.class_names:
        raise SettingError("data", data, f"has other classes than {named.name} was trained on")
    return found


def _notes(named: LoadableNetwork, found: Pictures) -> list[str]:
    notes = []
    if named.path is not None and not named.trained:
        notes.append("the weights are the initial ones: this network has not been trained")
    present = len(set(found.labels.tolist()))
    if present < len(found.class_names):
        notes.append(f"images of {present} of {len(found.class_names)} classes only")
    return [*notes, *found.notes]
