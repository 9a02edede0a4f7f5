"""``nas.evaluate``: a network, a set, its scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from nas import output
from nas.errors import UserError, from_reader

if TYPE_CHECKING:
    from nas.data.pictures import Pictures
    from nas.evaluation.scores import Scores
    from nas.publish.loading import Named


@dataclass(frozen=True)
class Request:
    """What to judge, on what."""

    model: Annotated[str, tyro.conf.Positional]
    """A folder of nas.train or nas.export, or a model that timm has weights for."""
    data: str
    """folder:DIR (its test/, else val/, else DIR itself), cifar100, cifar10, digits or npz:FILE."""
    suite: Literal["none", "imagenet-a", "imagenet-r", "imagenet-sketch"] = "none"
    """What folder:DIR holds: a robustness set, with the classes that set has."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where scores, per-class table and confusion picture go (evaluations/MODEL-DATA)."""
    data_dir: Path = Path("data")
    """Where downloads are kept."""
    input_size: int | None = None
    """Side of the images in pixels, instead of the network's own."""
    crop: float | None = None
    """Share of the side that the centre crop keeps, instead of the network's own."""
    batch_size: int = 256
    """Images at once."""
    workers: int = 0
    """Processes that read images; 0: none but this one."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """auto: bfloat16 on GPUs that have it, float16 on others, float32 on the CPU."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        for name, low in {"batch_size": 1, "workers": 0, "input_size": 8}.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise UserError(f"--{name.replace('_', '-')} {value}: must be at least {low}")
        if self.crop is not None and not 0 < self.crop <= 1:
            raise UserError(f"--crop {self.crop}: must be above 0 and at most 1")

    @property
    def label(self) -> str:
        """Names the set, for a folder."""
        if self.suite != "none":
            return self.suite
        kind, _, place = self.data.partition(":")
        return Path(place).stem if place else kind


@dataclass(frozen=True)
class Evaluation:
    """The scores, where they were written, and what the reader should know about them."""

    scores: Scores
    output: Path
    notes: list[str]


def evaluate(request: Request) -> Evaluation:
    """Judges a network.

    Raises:
        UserError: If network, set or classes do not fit.
    """
    from timm.data import create_transform, resolve_model_data_config

    from nas.engine.machine import find_device, hardware, versions
    from nas.evaluation import report, suites
    from nas.evaluation.predict import Transformed, autocast_dtype, predict
    from nas.evaluation.scores import Scores
    from nas.publish import loading
    from nas.training.memory import out_of_memory_is

    device = find_device(request.device)
    named = loading.find(request.model)
    with out_of_memory_is(f"{named.name}: has no room on {device}; use --device cpu"):
        model: Any = named.create(weights=True).to(device)
    outputs = None
    if request.suite == "none":
        found = _pictures(request, named, model.num_classes)
    else:
        found, outputs = suites.read(request.suite, request.data, model.num_classes)
    config = resolve_model_data_config(model)
    size = request.input_size or config["input_size"][-1]
    if config["input_size"][0] != 3:
        raise UserError(f"{named.name}: takes {config['input_size'][0]}-channel images; must take 3")
    config |= {"input_size": (3, size, size), "crop_pct": request.crop or config["crop_pct"]}
    output.doing(f"judging {len(found.labels):,} images")
    short = f"--batch-size {request.batch_size}: out of memory; must be smaller"
    try:
        with out_of_memory_is(short):
            predictions = predict(
                model,
                Transformed(found, create_transform(**config, is_training=False)),
                device,
                batch_size=request.batch_size,
                workers=request.workers,
                amp=autocast_dtype(request.amp, device),
                classes=outputs,
            )
    except UserError as error:
        raise from_reader(error) from None
    scores = Scores.of(predictions)
    folder = request.output or Path("evaluations") / f"{named.name.replace(':', '-')}-{request.label}"
    facts = {
        "model": request.model,
        "data": request.data,
        "suite": request.suite,
        "input_size": size,
        "crop": config["crop_pct"],
        "fingerprint": found.fingerprint,
        "hardware": hardware(device),
        "versions": versions(),
    }
    report.write(folder, scores, predictions, found.class_names, facts)
    return Evaluation(scores, folder, _notes(named, found))


def _pictures(request: Request, named: Named, num_classes: int) -> Pictures:
    from nas.data import listing, pictures
    from nas.evaluation import suites

    kind, _, place = request.data.partition(":")
    names = named.class_names
    if kind == "folder" and place:
        root = Path(place).expanduser()
        parts = listing.parts(root)
        if "train" in parts and "test" not in parts:
            raise UserError(
                f"--data {request.data}: has a train/ but no test/ or val/; must have one of them"
            )
        part = parts.get("test", root)
        if not names and num_classes == suites.IMAGENET_CLASSES:
            names = tuple(suites.imagenet_classes())
        if names:
            return suites.from_folder(request.data, part, names)
    has_test = kind != "folder" or pictures.has_test(request.data)
    found = pictures.load(request.data, data_dir=request.data_dir, test=has_test)
    if len(found.class_names) != num_classes:
        has = len(found.class_names)
        raise UserError(
            f"--data {request.data}: has {has} classes; must have the {num_classes} of {named.name}"
        )
    if names and names != found.class_names:
        raise UserError(f"--data {request.data}: has other classes than {named.name} was trained on")
    return found


def _notes(named: Named, found: Pictures) -> list[str]:
    notes = []
    if named.path is not None and not named.trained:
        notes.append("the weights are the initial ones: this network has not been trained")
    present = len(set(found.labels.tolist()))
    if present < len(found.class_names):
        notes.append(f"images of {present} of {len(found.class_names)} classes only")
    return [*notes, *found.notes]
