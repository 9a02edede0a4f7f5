from dataclasses import asdict, replace

import pytest
import yaml

from nas.export import recipe as recipes
from nas.export.recipe import Recipe
from nas.train import __main__ as train
from nas.util.errors import UserError


@pytest.mark.parametrize(
    ("model", "lr", "batch_size"),
    [("nexception_s", 1.4e-3, 128), ("nexception_t", 2e-3, 256), ("nexception_tp", 2e-3, 256)],
)
def test_the_papers_table_1(model, lr, batch_size):
    recipe = recipes.published(model)
    assert (recipe.lr, recipe.batch_size) == (lr, batch_size)
    assert (recipe.opt, recipe.weight_decay, recipe.epochs, recipe.warmup_epochs) == ("lamb", 0.02, 300, 5)
    assert recipe.auto_augment == "rand-m7-mstd0.5-inc1"
    assert (recipe.mixup, recipe.cutmix, recipe.erasing, recipe.smoothing) == (0.1, 1.0, 0, 0)
    assert (recipe.drop_path_rate, recipe.min_lr, recipe.loss) == (0.05, 1e-6, "bce")


def test_yaml_round_trip(tmp_path):
    recipe = replace(Recipe(), epochs=7, lr=1e-3, auto_augment="none")
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert recipes.read(tmp_path / "recipe.yaml") == recipe


def test_what_a_file_leaves_out_keeps_its_default(tmp_path):
    (tmp_path / "recipe.yaml").write_text("epochs: 3\nlr: 1\n")
    assert recipes.read(tmp_path / "recipe.yaml") == replace(Recipe(), epochs=3, lr=1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 3", "epoch: no such setting"),
        ("epochs: many", "epochs: must be an integer, got 'many'"),
        ("lr: 2e-3x", "lr: must be a number"),
        ("epochs: true", "epochs: must be an integer"),
        ("- 1", "must be a mapping"),
        ("a: [", "cannot be read as YAML"),
        ("lr: 0", "lr=0.0: must be"),
        ("loss: mse", "loss=mse: must be bce or ce"),
    ],
)
def test_bad_files_are_one_line(tmp_path, text, words):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        recipes.read(tmp_path / "recipe.yaml")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_line_overrides_the_file_which_overrides_the_table(tmp_path, monkeypatch):
    """Of a folder, a recipe file and a named model alike."""
    seen = {}

    def pretend(model, options, recipe):
        seen[model] = recipe
        return {"network": "", "seeds": [], "test": None, "held_out": None}

    monkeypatch.setattr("nas.train.session.train", pretend)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"epochs": 9, "mixup": 0.5}))
    (folder / "config.json").write_text('{"architecture": "nexception_t"}')
    common = ["--data", "digits", "-o", str(tmp_path / "out"), "--quiet"]
    train.main([str(folder), *common, "--epochs", "4"])
    train.main(["nexception_s", *common])
    train.main(["nexception_t", *common, "--recipe-file", str(folder / "recipe.yaml"), "--lr", "0.5"])
    assert seen[str(folder)] == replace(Recipe(), epochs=4, mixup=0.5)
    assert seen["nexception_s"] == recipes.published("nexception_s")
    assert seen["nexception_t"] == replace(Recipe(), epochs=9, mixup=0.5, lr=0.5)
    assert asdict(seen["nexception_s"])["batch_size"] == 128
