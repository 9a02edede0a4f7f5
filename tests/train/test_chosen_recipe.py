"""Settings of the recipe that a search chose for its winner go along with it, whosever the space is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.export import __main__ as export
from nas.export import recipe as recipes
from nas.search import __main__ as search
from nas.train import __main__ as train
from nas.train import fit

SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "200", "--threads", "1", "--device", "cpu"),
    *("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--optimizer", "random", "--trials", "3"),
]
QUICK = ["--workers", "0", "--device", "cpu", "--max-images", "100", "--epochs", "1"]
OWN = """
from search_spaces.base import Float, SearchSpace


class Own(SearchSpace):
    hyperparameters = (Float("crop", 0.1, 0.2, 0.15), Float("lr", 0.001, 0.01, 0.005, log=True))
    training = ("crop", "lr")

    def build(self, config, num_classes, in_chans):
        from torch import nn

        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_chans, num_classes))
"""


def begun(run: Path, *flags: str) -> dict[str, Any]:
    """A search of a moment; its winner's configuration."""
    args = [*SMALL, *flags, "--runs-dir", str(run.parent), "--name", run.name, "--quiet"]
    assert search.main(args) == 0
    config: dict[str, Any] = json.loads((run / "incumbent.json").read_text())["config"]
    return config


def test_a_registered_spaces_winner_is_trained_by_its_own_rate(tmp_path: Path, capsys: Any) -> None:
    run, output = tmp_path / "mine", tmp_path / "out"
    config = begun(run, "--space", "vit", "--width", "tiny")
    general = json.loads((run / "search.json").read_text())["train"]["drop_path_rate"]
    assert config["drop_path_rate"] != general
    assert train.main([str(run), "-o", str(output), *QUICK]) == 0
    rate = f"drop_path_rate {config['drop_path_rate']:g}"
    assert f"with what it chose for this network: {rate}" in capsys.readouterr().out
    training = json.loads((output / "train.json").read_text())["training"]
    assert training["drop_path_rate"] == config["drop_path_rate"]

    assert export.main([str(run), "--geometry", "reduced", "-o", str(tmp_path / "exported"), "--quiet"]) == 0
    for wanted in ("auto", "search"):
        found = fit.choose(str(tmp_path / "exported"), wanted)
        assert found.recipe.drop_path_rate == config["drop_path_rate"]
        assert rate in found.why


def test_every_setting_is_named_as_the_recipe_names_it(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    space = str(tmp_path / "own.py")
    config = begun(tmp_path / "mine", "--space", space)
    found = fit.choose(str(tmp_path / "mine"), "auto", space)
    assert (found.recipe.crop_padding, found.recipe.lr) == (config["crop"], config["lr"])
    assert f"crop_padding {config['crop']:g}, lr {config['lr']:g}" in found.why


@pytest.mark.parametrize("wanted", ["auto", "search"])
def test_a_training_that_has_begun_keeps_its_recipe(tmp_path: Path, wanted: str) -> None:
    """Whatever the search has found since: the network stays the one that was exported, too."""
    (tmp_path / "own.py").write_text(OWN)
    space, run, output = str(tmp_path / "own.py"), tmp_path / "mine", tmp_path / "out"
    begun(run, "--space", space)
    args = [str(run), "-o", str(output), "--space", space, *QUICK, "--recipe", wanted, "--quiet"]
    assert train.main(args) == 0
    file = output / "mine" / "recipe.yaml"
    before = recipes.read(file)
    state = json.loads((run / "search.json").read_text())
    state["train"]["weight_decay"] = 0.5  # as if another winner wanted another recipe
    (run / "search.json").write_text(json.dumps(state))
    assert fit.choose(str(run), wanted, space, output).recipe == before
    assert fit.choose(str(run), wanted, space).recipe.weight_decay == 0.5
    assert train.main(args) == 0
