"""Checks everything for ``nas.train``, then trains seed after seed."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import statistics
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from nas.data import scan
from nas.export import folder, images, loading, model_card
from nas.export.recipe import Recipe
from nas.run.folder import write_json
from nas.tracking.settings import require
from nas.train import curves, devices, fit, one_seed, roofline, searched, view
from nas.util import locks, output
from nas.util.errors import SettingError, UserError, setting
from nas.util.files import written
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from accelerate import Accelerator
    from torch import nn

    from nas.data.pictures import Pictures
    from nas.export.loading import LoadableNetwork
    from nas.train.settings import TrainCommandSettings

SUMMARY = "summary.json"
_TRAIN = "train.json"
_SEEN = (
    "the weights it begins with have learned from images held out here: held-out figures flatter, only the "
    "test part tells; a validation fraction of 0 trains on all"
)


def train(model: str, settings: TrainCommandSettings, recipe: Recipe) -> dict[str, Any]:
    """Trains a network with one or several seeds.

    Args:
        model: An exported folder, or the name of a model that timm knows.
        settings: Data, output and hardware.
        recipe: The recipe.

    Returns:
        The content of summary.json: scores of each seed, their mean and standard deviation.

    Raises:
        UserError: If anything the user gave is wrong.
    """
    require(settings.log)
    if fit.is_run(model):
        model, settings = searched.exported(model, settings)
    named = loading.find(model, settings.space)
    curves.refuse_duplicates(settings.output, settings.beside)
    beside = [
        (*curves.read(path), path) for path in settings.beside
    ]  # now, so that it does not fail in the end
    output.doing(f"looking at the images of {settings.data}")
    pictures = images.load(settings.data, data_dir=settings.data_dir)
    test = None
    if images.has_test(settings.data):  # looked into now, so that it does not fail in the end
        test = images.load(settings.data, data_dir=settings.data_dir, test=True)
    if settings.max_images is not None:
        pictures = pictures.limited(settings.max_images, settings.seed)
    learned = named.trained and not named.training.by_search  # whose weights have seen what is held out here
    weights = settings.init == "weights" or (settings.init == "auto" and learned)
    _check_classes(named, pictures, settings)
    output.doing("building the network and finding the device")
    accelerator = devices.accelerator(settings)
    _look_at_files(pictures, test, settings, accelerator)
    with _held(settings.output, accelerator):
        work = _work(named, settings, recipe, pictures, test, accelerator, weights=weights)
        _same_training(named, work, weights=weights)
        results = [
            one_seed.run(work, settings.output / f"seed-{seed}", seed)
            for seed in range(settings.seed, settings.seed + settings.seeds)
        ]
        summary = summarise(named.name, results)
        if accelerator.is_main_process:
            with written(setting("output", settings.output), "must be a folder"):
                write_json(settings.output / SUMMARY, summary)
            own = (named.name, [result["curve"] for result in results], settings.output)
            _draw(settings.output, [own, *beside])
        accelerator.end_training()
    return summary


def _draw(target: Path, trainings: list[tuple[str, list[curves.Curve], Path]]) -> None:
    """Draws the curves of this training and of those beside it."""
    output.doing("drawing the learning curves")
    names = curves.unique([(name, path) for name, _, path in trainings])
    curves.write(target, dict(zip(names, (seeds for _, seeds, _ in trainings), strict=True)))


def _look_at_files(
    pictures: Pictures, test: Pictures | None, settings: TrainCommandSettings, accelerator: Accelerator
) -> None:
    """Reads every file once, in one process, before hours are spent on training."""
    if accelerator.is_main_process:
        progress = view.FileProgress(quiet=settings.quiet)
        for part in (pictures, *([] if test is None else [test])):
            notes = scan.scan(part, settings.data_dir / "cache", progress)
            for note in (*part.notes, *notes):
                progress.note(note)
    accelerator.wait_for_everyone()


def summarise(name: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Computes mean and sample standard deviation of the test and held-out scores over the seeds."""
    summary: dict[str, Any] = {"network": name, "seeds": [result["seed"] for result in results]}
    for part, key in (("test", "test"), ("held_out", "best")):
        rows = [result[key] for result in results if result[key] is not None]
        summary[part] = None
        if rows:
            summary[part] = {
                name: {
                    "mean": statistics.fmean(values),
                    "sd": statistics.stdev(values) if len(values) > 1 else None,
                    "values": values,
                }
                for name in ("top1", "top5", "loss", "ece")
                if (values := [row[name] for row in rows])
            }
    return summary


def _work(
    named: LoadableNetwork,
    settings: TrainCommandSettings,
    recipe: Recipe,
    pictures: Pictures,
    test: Pictures | None,
    accelerator: Accelerator,
    *,
    weights: bool,
) -> one_seed.SharedWork:
    from timm.data import resolve_model_data_config

    from nas.data import transforms
    from nas.util.machine import with_index

    drops = {"drop_rate": recipe.drop_rate, "drop_path_rate": recipe.drop_path_rate}
    arguments = {key: rate for key, rate in drops.items() if rate}

    def create() -> nn.Module:
        model = named.create(weights=weights, num_classes=len(pictures.class_names), **arguments)
        if settings.grad_checkpointing:
            enable: Any = getattr(model, "set_grad_checkpointing", None)
            if enable is None:
                raise SettingError("grad_checkpointing", None, f"{named.name} cannot do that; leave it out")
            enable()
        return model

    model = create()
    data_config = _data_config(resolve_model_data_config(model), named, settings)
    device = with_index(accelerator.device)

    def finish(target: Path, model: nn.Module, result: dict[str, Any]) -> None:
        shutil.rmtree(target, ignore_errors=True)  # of a process that died before it wrote the result
        began_with = named.pretrained_cfg.get("license") if weights else None
        license_ = settings.license or str(began_with or "apache-2.0")
        _publish(target, model, result, named, settings, recipe, pictures, data_config, license_)

    return one_seed.SharedWork(
        name=named.name,
        accelerator=accelerator,
        device=device,
        settings=settings,
        recipe=recipe,
        create=create,
        pictures=pictures,
        test=test,
        data_config=data_config,
        eval_transform=transforms.evaluation(data_config),
        workers=devices.workers() if settings.workers is None else settings.workers,
        finish=finish,
        roofline=roofline.measure(
            model,
            data_config["input_size"],
            device,
            one_seed.AMP[accelerator.mixed_precision],
            accelerator.num_processes,
        ),
        notes=(_SEEN,) if weights and named.training.by_search and settings.val_fraction else (),
    )


def _data_config(
    config: dict[str, Any], named: LoadableNetwork, settings: TrainCommandSettings
) -> dict[str, Any]:
    channels, *size = config["input_size"]
    if channels not in (1, 3):
        raise UserError(
            f"{named.name}: takes {channels}-channel images; must be exported with "
            f"{setting('in_chans', 1)} or 3"
        )
    if settings.input_size is not None:
        size = [settings.input_size, settings.input_size]
    return {**config, "input_size": (channels, *size)}


def _publish(
    target: Path,
    model: nn.Module,
    result: dict[str, Any],
    named: LoadableNetwork,
    settings: TrainCommandSettings,
    recipe: Recipe,
    pictures: Pictures,
    data_config: dict[str, Any],
    license_: str,
) -> None:
    figures = {"data": settings.data, "seed": str(result["seed"]), "epochs": str(result["epochs"])}
    for part, scores in (("held-out", result["best"]), ("test", result["test"])):
        if scores is not None:
            figures[f"{part} top-1"] = f"{100 * scores['top1']:.2f}%"
            figures[f"{part} top-5"] = f"{100 * scores['top5']:.2f}%"
    # What was held out can be found again by these.
    split = {"val_fraction": settings.val_fraction, "split_seed": settings.seed}
    trained = {key: value for key, value in result.items() if key != "curve"}
    trained |= {"data": settings.data, **split, "max_images": settings.max_images}
    of_other = (folder.RECIPE_OF, folder.CHOSEN, folder.FORMS)
    own = {k: v for k, v in named.own.items() if k not in of_other}
    earlier = ""
    if named.path is not None and (named.path / folder.CARD).is_file():
        earlier = (named.path / folder.CARD).read_text()
    folder.write(
        target,
        model,
        card=model_card.trained(named.name, named.timm_module, figures, recipe.to_yaml(), license_, earlier),
        recipe=recipe.to_yaml(),
        own={**own, "trained": trained},
        model_args=named.model_args,
        pretrained_cfg={"input_size": list(data_config["input_size"]), "license": license_},
        class_names=pictures.class_names,
        extra=None if named.beside is None else partial(_beside, named.beside),
    )


def _beside(code: Path, staging: Path) -> None:
    """Copies the network's code next to its weights."""
    shutil.copyfile(code, staging / code.name)


def _check_classes(named: LoadableNetwork, pictures: Pictures, settings: TrainCommandSettings) -> None:
    if named.path is None or settings.new_head:
        return
    has, wants = named.num_classes, len(pictures.class_names)
    if has != wants:
        raise SettingError(
            "data",
            settings.data,
            f"has {counted(wants, 'class', 'classes')}, {named.path} {has}; add {setting('new_head')}, or "
            f"export with {setting('num_classes', wants)}",
        )
    if named.class_names and named.class_names != pictures.class_names:
        pairs = zip(named.class_names, pictures.class_names, strict=True)
        ours, theirs = next(pair for pair in pairs if pair[0] != pair[1])
        raise SettingError(
            "data",
            settings.data,
            f"class {theirs} stands where {named.path} has {ours}; add {setting('new_head')}",
        )


@contextlib.contextmanager
def _held(output: Path, accelerator: Accelerator) -> Iterator[None]:
    """Locks the folder against other trainings while this one runs."""
    if not accelerator.is_main_process:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            with written(setting("output", output), "must be a folder"):
                output.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locks.held(output / ".lock", "training"))
        except locks.LockHeld:
            raise SettingError(
                "output", output, "another training writes there; must be another folder"
            ) from None
        yield


def _same_training(named: LoadableNetwork, work: one_seed.SharedWork, *, weights: bool) -> None:
    """Records what is trained, or refuses to continue something else.

    Raises:
        UserError: If a setting differs; it names the first one.
    """
    from nas.util.machine import hardware, versions

    settings = work.settings
    kept = (
        "data",
        "max_images",
        "val_fraction",
        "input_size",
        "seed",
        "accumulate",
        "amp",
        "new_head",
        "sync_bn",
    )
    identity: dict[str, Any] = {
        "model": named.name,
        "init": "weights" if weights else "scratch",
        **asdict(work.recipe),
        **{key: getattr(settings, key) for key in kept},
        "fingerprint": work.pictures.fingerprint,
    }
    path = settings.output / _TRAIN
    if path.is_file():
        later = {**asdict(Recipe()), "sync_bn": False}  # settings that came later
        begun = {**later, **json.loads(path.read_text())["training"]}
        for key, value in identity.items():
            if key == "fingerprint" and begun.get(key) != value:
                raise SettingError(
                    "data",
                    settings.data,
                    f"not the images that {settings.output} was begun with; put those "
                    f"back, or give another {setting('output')}",
                )
            if begun.get(key) != value:
                raise SettingError(
                    "output",
                    settings.output,
                    f"was begun with {key} {begun.get(key)}, not {value}; give another",
                )
    elif work.accelerator.is_main_process:
        facts = {"training": identity, "hardware": hardware(work.device), "versions": versions()}
        with written(setting("output", settings.output), "must be a folder"):
            write_json(path, facts)
    work.accelerator.wait_for_everyone()


def show(summary: dict[str, Any], output: Path) -> None:
    """Prints the scores and the folders of the networks."""
    for part, title in (("held_out", "held-out"), ("test", "test (used once)")):
        scores = summary[part]
        if scores is None:
            continue
        words = []
        for name in ("top1", "top5"):
            mean, sd = scores[name]["mean"], scores[name]["sd"]
            spread = "" if sd is None or math.isnan(sd) else f" ± {100 * sd:.2f}"
            words.append(f"{name.replace('top', 'top-')} {100 * mean:.2f}{spread}%")
        print(f"{title}: {', '.join(words)}")
    if summary["test"] is None:
        print("test: the data have no test part")
    drawn = [name for name in (*curves.FIGURES, curves.CSV) if (output / name).is_file()]
    print(f"learning curves: {', '.join(str(output / name) for name in drawn)}")
    for seed in summary["seeds"]:
        print(f"network: {output / f'seed-{seed}' / summary['network']}")
