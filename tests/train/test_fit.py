"""Which recipe fits, and when a training is too short for it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from nas.data import transforms
from nas.export import recipe as recipes
from nas.export.recipe import Recipe
from nas.optimizers.protocol import Fidelity
from nas.run.folder import Run
from nas.run.search_file import Data, SearchFile
from nas.search.settings import SearchSettings
from nas.train import __main__ as train
from nas.train import fit, trainer
from nas.train.batches import training_transform
from nas.trial.schedule import ConstantSchedule
from nas.trial.settings import TrainSettings
from nas.trial.weight_average import WeightAverage
from nas.util.errors import UserError
from tests.descriptions import described


def search_json(**train_settings: Any) -> SearchFile:
    return replace(
        described(SearchSettings(fidelity=Fidelity(2, 6, 3))),
        data=Data(name="digits", train_images=320),
        train=asdict(TrainSettings(**train_settings).resolve(16, 320, flip=False)),
    )


def test_the_searchs_recipe_is_taken_over_value_by_value() -> None:
    recipe = recipes.of_search(search_json(mixup=0.3, smoothing=0.05))
    made = TrainSettings(mixup=0.3, smoothing=0.05).resolve(16, 320, flip=False)
    assert recipe.epochs == 18  # one rung more
    same = ("lr", "weight_decay", "batch_size", "schedule", "warmup_epochs", "loss", "smoothing", "mixup")
    assert {name: getattr(recipe, name) for name in (*same, "cutmix", "average", "clip_grad")} == {
        name: getattr(made, name) for name in (*same, "cutmix", "average", "clip_grad")
    }
    assert (recipe.opt, recipe.crop_padding, recipe.flip, recipe.repeats) == ("lamb", made.crop, 0.0, 1)
    assert recipe.auto_augment == "none"


@pytest.mark.parametrize(
    "settings", [{"optimizer": "sgd", "momentum": 0.0}, {"schedule": "cosine"}, {"lr": 1}]
)
def test_every_recipe_of_a_search_can_be_kept_in_a_file(tmp_path: Path, settings: dict[str, Any]) -> None:
    recipe = recipes.of_search(search_json(**settings))
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert recipes.read(tmp_path / "recipe.yaml") == recipe
    nothing = nn.Linear(2, 2)
    assert trainer.create_optimizer_v2(nothing, recipe.opt, lr=1.0, momentum=recipe.momentum)


@pytest.mark.parametrize("lacking", [{"train": None}, {"train": {}}, {"rungs": []}])
def test_a_search_without_a_recipe_is_one_line(lacking: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="holds no recipe"):
        recipes.of_search(replace(search_json(), **lacking))


@pytest.fixture
def places(networks: dict[str, Path], tmp_path: Path, simulate: Any) -> dict[str, str]:
    """A run folder, the network that it would export, and one of full size."""
    simulate("run").search()[1].close()
    run = tmp_path / "run" / "search.json"
    known = search_json()
    stored = replace(Run(run.parent).read_search(), rungs=known.rungs, train=known.train, data=known.data)
    Run(run.parent).write(stored)
    reduced = tmp_path / "reduced"
    reduced.mkdir()
    config = json.loads((networks["batch"] / "config.json").read_text())
    config["smacnas"]["recipe"] = "search"
    (reduced / "config.json").write_text(json.dumps(config))
    (reduced / "recipe.yaml").write_text(recipes.of_search(known).to_yaml())
    return {"run": str(run.parent), "reduced": str(reduced), "full": str(networks["batch"])}


@pytest.mark.parametrize(
    ("model", "wanted", "epochs", "words"),
    [
        ("run", "auto", 18, "search's own"),
        ("run", "search", 18, "search's own"),
        ("run", "paper", 300, "Table 1's of the paper, as asked"),
        ("reduced", "auto", 18, "search's own"),
        ("reduced", "search", 18, "search's own"),
        ("reduced", "paper", 300, "Table 1's"),
        ("full", "auto", 300, "recipe.yaml, which came with the network"),
        ("full", "paper", 300, "Table 1's"),
        ("nexception_s", "auto", 300, "Table 1's of the paper, which is for networks of full size"),
        ("nexception_s", "paper", 300, "Table 1's"),
        ("run", "file", 7, "mine.yaml, as asked"),
        ("full", "file", 7, "mine.yaml, as asked"),
    ],
)
def test_the_recipe_that_fits(places: Any, tmp_path: Path, model: str, wanted: str, epochs: int, words: str):
    (tmp_path / "mine.yaml").write_text("epochs: 7\n")
    found = fit.choose(places.get(model, model), str(tmp_path / "mine.yaml") if wanted == "file" else wanted)
    assert found.recipe.epochs == epochs
    assert words in found.why


def test_the_papers_recipe_goes_by_the_size_of_a_folders_network(places: dict[str, str]) -> None:
    config = Path(places["full"], "config.json").read_text()
    small = Path(places["reduced"], "config.json")
    small.write_text(config.replace('"name": "tiny"', '"name": "nexception_s"'))
    assert fit.choose(places["reduced"], "paper").recipe == recipes.published("nexception_s")
    assert fit.choose(places["full"], "paper").recipe == Recipe()


@pytest.mark.parametrize("model", ["full", "nexception_t"])
def test_the_searchs_recipe_needs_a_search(places: dict[str, str], model: str) -> None:
    with pytest.raises(UserError, match="recipe=search: .* does not come from a search"):
        fit.choose(places.get(model, model), "search")


def test_a_recipe_that_is_no_file_is_one_line() -> None:
    with pytest.raises(UserError, match="papr"):
        fit.choose("nexception_t", "papr")


@given(
    epochs=st.integers(1, 400), updates=st.integers(1, 5000), warmup=st.integers(0, 20), mixed=st.booleans()
)
def test_too_short_is_said_and_long_enough_is_not(epochs: int, updates: int, warmup: int, mixed: bool):
    recipe = replace(Recipe(), epochs=epochs, warmup_epochs=float(warmup))
    if not mixed:
        recipe = replace(recipe, mixup=0.0, cutmix=0.0, auto_augment="none")
    said = fit.shortfall(recipe, updates)
    few = epochs * updates < (1000 if mixed else 100)
    assert ("it gets only" in said) == few
    assert ("warm-up" in said) == (2 * warmup > epochs)
    assert bool(said) == (few or 2 * warmup > epochs)
    assert "\n" not in said


def test_the_constant_rate_is_the_searchs() -> None:
    recipe = replace(recipes.of_search(search_json()), epochs=3)
    model = nn.Linear(2, 2)
    updates = 320 // recipe.batch_size
    same = torch.nn.Identity()
    made = trainer.Trainer(_Plain(), torch.device("cpu"), model, recipe, 2, updates, 0, same)  # type: ignore[arg-type]
    rates = []
    for number in range(3 * updates):
        made._schedule.step_update(number)
        rates.append(made.lr)
    expected = ConstantSchedule(recipe.lr, round(recipe.warmup_epochs * updates))
    assert rates == pytest.approx([expected(step) for step in range(3 * updates)])


def test_the_average_is_the_searchs() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    theirs = WeightAverage(model, 0.2)
    ours = trainer._average(model, replace(Recipe(), average=0.2))
    assert ours is not None
    for step in range(20):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        theirs.update(step)
        ours.update(model, step + 1)
    torch.testing.assert_close(ours.module.weight, theirs.state_dict()["weight"])


class _Plain:
    """Of accelerate what the schedule needs."""

    scaler = None

    def prepare(self, *things: Any) -> Any:
        return things

    def unwrap_model(self, model: nn.Module, **_: Any) -> nn.Module:
        return model


CONFIG = {
    "mean": [0.25],
    "std": [0.5],
    "crop_pct": 1.0,
    "interpolation": "bicubic",
    "input_size": (1, 16, 16),
}


def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    return Image.fromarray(pixels).convert("RGB")


def test_one_channel_is_shown_as_the_search_showed_it() -> None:
    shown = transforms.evaluation(CONFIG)(picture())
    grey = torch.from_numpy(np.asarray(picture())[..., 0].copy()).float() / 255
    torch.testing.assert_close(shown, ((grey - 0.25) / 0.5)[None])


@pytest.mark.parametrize("auto_augment", ["none", "rand-m7-mstd0.5-inc1"])
def test_every_recipe_gives_one_channel_where_the_network_has_one(auto_augment: str) -> None:
    recipe = replace(Recipe(), auto_augment=auto_augment, erasing=0.5)
    transform, finish = training_transform(recipe, CONFIG, flip=True)
    batch = finish(torch.stack([transform(picture()) for _ in range(20)]))
    assert batch.shape == (20, 1, 16, 16)


def restored(batch: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels of the one image of a batch that was normalised."""
    return np.rint((batch[0, 0].numpy() * 0.5 + 0.25) * 255).astype(np.uint8)


def test_the_padded_crop_is_the_searchs_and_digits_are_never_mirrored() -> None:
    """Every image it makes is one of the shifts of the image reflected at its border."""
    recipe = replace(recipes.of_search(search_json()), flip=0.5)  # as a file might say
    transform, finish = training_transform(recipe, CONFIG, flip=False)
    grey = np.asarray(picture())[..., 0]
    padded = np.pad(grey, 2, mode="reflect")
    shifts = {padded[y : y + 16, x : x + 16].tobytes() for y in range(5) for x in range(5)}
    seen = set()
    for _ in range(200):
        made = restored(finish(transform(picture())[None]))
        assert made.tobytes() in shifts
        seen.add(made.tobytes())
    assert len(seen) > 20
    mirrored, finish = training_transform(recipe, CONFIG, flip=True)
    outside = 0
    for _ in range(40):
        made = restored(finish(mirrored(picture())[None]))
        outside += made.tobytes() not in shifts
    assert outside  # the test can tell


def test_data_must_be_given_but_for_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--data: must be given"):
        train.main(["nexception_t", "-o", str(tmp_path / "out")])
    with pytest.raises(UserError, match="--recipe-file .*: goes without --recipe"):
        train.main(
            [
                *("nexception_t", "--data", "digits", "-o", str(tmp_path)),
                "--recipe",
                "paper",
                "--recipe-file",
                "x",
            ]
        )
