from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.trial.settings import Recipe, TrainSettings
from nas.util.errors import UserError


def test_every_setting_is_part_of_the_recipe_and_the_reverse():
    assert [f.name for f in fields(TrainSettings)] == [f.name for f in fields(Recipe)]
    assert all(value is None for value in asdict(TrainSettings()).values())


@given(st.integers(16, 1024), st.integers(2, 10**6), st.sampled_from([None, "lamb", "sgd", "adamw"]))
def test_any_width_and_number_of_images_resolves(width, n_train, optimizer):
    recipe = TrainSettings(optimizer=optimizer).resolve(width, n_train)
    assert None not in asdict(recipe).values()
    assert 2 <= recipe.batch_size <= n_train
    assert 0 < recipe.lr < 1
    assert recipe.optimizer == (optimizer or recipe.optimizer)
    TrainSettings(**asdict(recipe))  # within the ranges asked of users


def test_what_is_given_wins():
    given = {"lr": 0.123, "batch_size": 48, "mixup": 0.7, "flip": True, "amp": "off", "optimizer": "sgd"}
    recipe = TrainSettings(**given).resolve(32, 1000, flip=False)
    assert {key: asdict(recipe)[key] for key in given} == given


def test_data_decide_on_mirroring_unless_told():
    assert not TrainSettings().resolve(32, 1000, flip=False).flip
    assert TrainSettings().resolve(32, 1000, flip=True).flip
    assert not TrainSettings(flip=False).resolve(32, 1000, flip=True).flip


def test_presets_by_width():
    tiny, edge, small, paper = (TrainSettings().resolve(w, 50_000) for w in (16, 32, 64, 512))
    assert tiny == edge != small != paper
    # NEXcepTion's recipe, table 1 and its released command lines.
    assert (paper.optimizer, paper.loss, paper.mixup, paper.cutmix) == ("lamb", "bce", 0.1, 1.0)
    assert (paper.batch_size, paper.drop_path_rate, paper.bce_threshold) == (256, 0.05, 0.2)


def test_few_images_make_small_batches_with_a_lower_rate():
    few, many = (TrainSettings().resolve(64, n) for n in (600, 50_000))
    assert few.batch_size < many.batch_size
    assert few.lr == pytest.approx(many.lr * (few.batch_size / many.batch_size) ** 0.5)
    assert TrainSettings(batch_size=64).resolve(32, 10).batch_size == 10


def test_digest_tells_recipes_apart():
    digests = {TrainSettings(lr=lr).resolve(32, 1000).digest for lr in (0.01, 0.02, 0.01)}
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("batch_size", 1),
        ("weight_decay", -0.1),
        ("warmup_epochs", -1.0),
        ("smoothing", 1.0),
        ("mixup", float("nan")),
        ("crop", 0.6),
        ("drop_path_rate", 1.0),
        ("average", -0.5),
    ],
)
def test_values_out_of_range_are_named(setting, value):
    with pytest.raises(UserError) as caught:
        TrainSettings(**{setting: value})
    message = str(caught.value)
    assert message.startswith(f"{setting}={value}: must be ")
    assert "\n" not in message
