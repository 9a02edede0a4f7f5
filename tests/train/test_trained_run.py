"""A run's best network trained on: one command, all training images, the test part once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nas.evaluate import __main__ as evaluate
from nas.export import __main__ as export
from nas.export import folder
from nas.export.loading import find
from nas.search import __main__ as search
from nas.train import __main__ as train
from nas.util.errors import UserError

pytestmark = pytest.mark.usefixtures("shallow")
SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "300", "--width", "16", "--threads", "1"),
    *("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--optimizer", "random", "--trials", "4"),
]
QUICK = ["--workers", "0", "--device", "cpu", "--max-images", "400"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, trials_here: None, shallow: None) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    assert search.main([*SMALL, "--runs-dir", str(runs), "--name", "mine", "--quiet"]) == 0
    return runs / "mine"


def result(output: Path) -> Any:
    return json.loads((output / "seed-0" / "result.json").read_text())


def test_longer_on_more_images_and_none_held_out_by_the_searchs_recipe(
    searched: Path, tmp_path: Path, capsys: Any
) -> None:
    output = tmp_path / "out"
    args = [str(searched), "-o", str(output), "--workers", "0", "--max-images", "600"]
    assert train.main(args) == 0
    said = capsys.readouterr().out
    assert "recipe: the search's own" in said
    assert "it gets only" not in said
    made = result(output)
    assert made["epochs"] == 4  # a rung more than the search's 2
    assert made["best"] is None  # nothing was held out
    leader = json.loads((searched / "incumbent.json").read_text())
    assert made["test"]["top1"] > 1 - leader["error"]
    begun = json.loads((output / "train.json").read_text())["training"]
    assert begun["init"] == "scratch"
    assert begun["data"] == f"run:{searched}"
    assert begun["val_fraction"] == 0
    trained = find(str(output / "seed-0" / "mine"))
    assert trained.trained
    assert not trained.training.by_search
    assert trained.config["num_classes"] == 10
    assert folder.read_config(output / "mine")["smacnas"]["trained"]["by"] == "search"

    before = (output / "seed-0" / "mine" / "model.safetensors").read_bytes()
    assert train.main([*args, "--quiet"]) == 0  # has been done
    assert (output / "seed-0" / "mine" / "model.safetensors").read_bytes() == before


def test_it_begins_with_the_kept_weights_if_asked(searched: Path, tmp_path: Path, capsys: Any) -> None:
    common = [*QUICK, "--epochs", "1", "--val-fraction", "0.1"]
    train.main([str(searched), "-o", str(tmp_path / "scratch"), *common])
    capsys.readouterr()
    train.main([str(searched), "-o", str(tmp_path / "weights"), *common, "--init", "weights"])
    assert "held-out figures flatter" in capsys.readouterr().out
    losses = [result(tmp_path / name)["curve"][0]["train_loss"] for name in ("weights", "scratch")]
    assert losses[0] < losses[1] - 0.1


def test_without_kept_weights_it_trains_from_scratch_or_says_so(searched: Path, tmp_path: Path) -> None:
    old = shutil.copytree(searched, tmp_path / "old")
    shutil.rmtree(old / "weights")
    with pytest.raises(UserError, match=r"--init weights: .*keeps no trained weights.*nas\.confirm"):
        train.main([str(old), "-o", str(tmp_path / "a"), *QUICK, "--init", "weights", "--quiet"])
    assert not (tmp_path / "a").exists()
    train.main([str(old), "-o", str(tmp_path / "b"), *QUICK, "--epochs", "1", "--quiet"])
    assert result(tmp_path / "b")["test"]["images"] == 359


def test_what_the_export_says_comes_next_works_as_printed(
    searched: Path, tmp_path: Path, capsys: Any
) -> None:
    assert export.main([str(searched), "--geometry", "reduced", "-o", str(tmp_path / "best")]) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  python -m ")]
    assert [line[2] for line in said] == ["nas.evaluate", "nas.train"]
    assert evaluate.main([*said[0][3:], "-o", str(tmp_path / "scores"), "--device", "cpu"]) == 0
    assert train.main([*said[1][3:], *QUICK, "--epochs", "1", "--quiet"]) == 0
    begun = json.loads((tmp_path / "best-trained" / "train.json").read_text())["training"]
    assert (begun["init"], begun["flip"]) == ("scratch", 0.0)
    assert result(tmp_path / "best-trained")["best"]["images"] > 0


def test_the_papers_recipe_on_so_few_images_is_warned_of(searched: Path, tmp_path: Path, capsys: Any) -> None:
    train.main([str(searched), "-o", str(tmp_path / "out"), *QUICK, "--recipe", "paper", "--epochs", "2"])
    said = capsys.readouterr().out
    assert "recipe: Table 1's of the paper, as asked" in said
    assert "it gets only 2 updates in all (2 epochs of 1)" in said
    assert "its warm-up of 5 is cut to half of 2 epochs" in said


def test_a_training_that_an_older_version_began_goes_on(searched: Path, tmp_path: Path) -> None:
    """Settings that came later mean what was done before there were any."""
    output = tmp_path / "out"
    args = [str(searched), "-o", str(output), *QUICK, "--recipe", "paper", "--epochs", "1", "--quiet"]
    train.main(args)
    stored = json.loads((output / "train.json").read_text())
    for name in ("schedule", "crop_padding", "average"):
        del stored["training"][name]
    (output / "train.json").write_text(json.dumps(stored))
    assert train.main(args) == 0
    with pytest.raises(UserError, match="was begun with average 0.0, not 0.2"):
        train.main([*args, "--average", "0.2"])
