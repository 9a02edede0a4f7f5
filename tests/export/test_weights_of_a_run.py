"""A real search's best network: kept, exported, evaluated and given as a module, the same each time."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import torch
import yaml
from safetensors.torch import load_file

import search_spaces.nexception.timm_models  # noqa: F401 - registers the models
from nas.confirm import __main__ as confirm
from nas.data.device import DeviceData
from nas.data.transforms import evaluation
from nas.evaluate import __main__ as evaluate
from nas.export import __main__ as export
from nas.export import folder, formats, images
from nas.export import recipe as recipes
from nas.export.weights import find, incumbent_network, normalisation
from nas.run.folder import Run
from nas.search import __main__ as search
from nas.trial import weights
from nas.util.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("trials_here", "shallow")
SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "300", "--width", "16", "--threads", "1"),
    *("--min-epochs", "1", "--max-epochs", "3", "--eta", "3", "--optimizer", "random", "--trials", "6"),
]


def confirm_again(*args: object) -> None:
    assert confirm.main([*map(str, args), "--top", "1", "--quiet"]) == 0


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, trials_here: None, shallow: None) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert search.main([*SMALL, "--runs-dir", str(folder), "--name", "searched", "--quiet"]) == 0
    return folder / "searched"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_best_are_kept_beside_the_incumbent(searched: Path) -> None:
    leader = read(searched / "incumbent.json")
    names = sorted(path.name for path in (searched / "weights").iterdir())
    assert 2 <= len(names) <= 4
    kept = weights.read(searched / "weights" / f"{leader['config_id']}-3.safetensors")
    assert kept.facts["config"] == leader["config"]
    assert 1 - kept.facts["top1"] == leader["error"]
    assert kept.facts["val_loss"] == leader["metrics"]["val_loss"]


def test_a_search_that_was_cut_writes_the_same_weights_again(searched: Path, tmp_path: Path) -> None:
    """Killed between the end of the leader's training and its line in the journal."""
    copy = shutil.copytree(searched, tmp_path / "cut")
    leader = read(searched / "incumbent.json")
    lines = (copy / "trials.jsonl").read_bytes().splitlines(keepends=True)
    events = [json.loads(line) for line in lines]
    (end,) = [i for i, e in enumerate(events) if e["event"] == "ended" and e["trial"] == leader["trial"]]
    (copy / "trials.jsonl").write_bytes(b"".join(lines[:end]))
    name = f"{leader['config_id']}-3.safetensors"
    for path in (copy / "weights").iterdir():
        path.unlink()
    (copy / "weights" / f".{name}.1234.safetensors").write_bytes(b"half")
    assert search.main(["--resume", str(copy), "--quiet"]) == 0
    assert (copy / "weights" / name).read_bytes() == (searched / "weights" / name).read_bytes()
    assert not list((copy / "weights").glob(".*"))


def test_a_folder_of_the_searchs_size_is_judged_as_in_the_search(
    searched: Path, tmp_path: Path, capsys
) -> None:
    leader = read(searched / "incumbent.json")
    assert export.main([str(searched), "--geometry", "reduced", "-o", str(tmp_path / "best")]) == 0
    said = capsys.readouterr().out
    assert "with the weights that the search kept, 3 epochs on digits" in said
    assert "nas.confirm" in said  # one seed
    judged = ["--data", f"run:{searched}", "--device", "cpu", "-o", str(tmp_path / "scores")]
    assert evaluate.main([str(tmp_path / "best"), *judged]) == 0
    scores = read(tmp_path / "scores" / "scores.json")
    assert scores["top1"] == leader["metrics"]["top1"]
    assert scores["images"] == 30
    assert scores["loss"] == pytest.approx(leader["metrics"]["val_loss"], rel=1e-5)
    config = folder.read_config(tmp_path / "best")
    assert config["smacnas"]["trained"]["validation"]["top1"] == scores["top1"]
    card = (tmp_path / "best" / "README.md").read_text()
    assert "The weights are the search's: 3 epochs on digits" in card
    assert "not this one's" not in card
    search_json = Run(searched).read_search()
    assert recipes.read(tmp_path / "best" / "recipe.yaml") == recipes.of_search(search_json)
    assert yaml.safe_load((tmp_path / "best" / "recipe.yaml").read_text())["flip"] == 0  # digits


def test_integers_are_judged_on_the_searchs_validation_images(searched: Path, tmp_path: Path, capsys) -> None:
    args = ["--geometry", "reduced", "--int8", "-o", str(tmp_path / "best")]
    assert export.main([str(searched), *args]) == 0
    own = folder.read_config(tmp_path / "best")["smacnas"]["forms"]["model_int8.onnx"]
    assert own["top1_before"] == read(searched / "incumbent.json")["metrics"]["top1"]
    assert own["judged_on"] == "30 validation images of the search"
    assert own["calibration_images"] == 256
    # They answer otherwise, and not by much.
    found = images.validation(Run(searched), data_dir=tmp_path)
    config = timm.data.resolve_data_config(
        pretrained_cfg=folder.read_config(tmp_path / "best")["pretrained_cfg"]
    )
    batch = torch.stack([evaluation(config)(found.open(i)) for i in range(len(found))])
    whole, rounded = (
        formats.session(tmp_path / "best" / name)(batch) for name in ("model.onnx", "model_int8.onnx")
    )
    assert not torch.equal(whole, rounded)
    assert (whole - rounded).abs().max() < 0.5 * whole.abs().max()
    assert own["top1_after"] == float(np.mean(rounded.argmax(1).numpy() == found.labels))
    after, before = (f"{100 * own[key]:.2f}%" for key in ("top1_after", "top1_before"))
    said = f"top-1 {after} instead of {before} on 30 validation images"
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "best" / "README.md").read_text()
    again = [str(tmp_path / "best"), "--int8", "-o", str(tmp_path / "again")]
    with pytest.raises(UserError, match="--data folder:DIR or run:DIR"):
        export.main(again)
    assert export.main([*again, "--data", f"run:{searched}", "--quiet"]) == 0
    assert folder.read_config(tmp_path / "again")["smacnas"]["forms"]["model_int8.onnx"] == own


def test_the_module_is_the_exported_network_and_has_its_accuracy(searched: Path, tmp_path: Path) -> None:
    assert export.main([str(searched), "--geometry", "reduced", "-o", str(tmp_path / "best"), "--quiet"]) == 0
    loaded = timm.create_model(f"local-dir:{tmp_path / 'best'}", pretrained=True).eval()
    model = incumbent_network(searched)
    own = find(Run(searched), read(searched / "incumbent.json")["config_id"], 3)
    assert own is not None
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.tolist() for name, value in load_file(own).items()
    }
    found = images.validation(Run(searched), data_dir=tmp_path)
    mean, std = normalisation(searched)
    pixels = torch.from_numpy(found.array.images).permute(0, 3, 1, 2) / 255
    batch = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    transform = evaluation(timm.data.resolve_model_data_config(loaded))
    with torch.no_grad():
        logits = model(batch)
        assert torch.equal(logits, incumbent_network(str(searched))(batch))
        shown = loaded(torch.stack([transform(found.open(i)) for i in range(len(found))]))
    torch.testing.assert_close(logits, shown, rtol=1e-5, atol=1e-5)
    top1 = float(np.mean(logits.argmax(1).numpy() == found.labels))
    assert top1 == read(searched / "incumbent.json")["metrics"]["top1"]


def test_the_validation_images_are_the_searchs_in_its_order(searched: Path, tmp_path: Path) -> None:
    from nas.data import sources
    from nas.util.seeds import derive

    found = images.validation(Run(searched), data_dir=tmp_path)
    seed = derive(0, "subset")
    all_of_them = sources.load("digits", data_dir=tmp_path, image_size=8, max_images=300, seed=seed)
    placed = DeviceData.place(all_of_them, val_fraction=0.1, seed=derive(0, "split"), device="cpu")
    assert np.array_equal(found.array.images, placed.val.images.permute(0, 2, 3, 1).numpy())
    assert found.labels.tolist() == placed.val.labels.tolist()


def changed(searched: Path, tmp_path: Path, key: str, value: object) -> Path:
    """A copy of the run whose settings say something else of the data."""
    copy = shutil.copytree(searched, tmp_path / "copy")
    stored = read(copy / "search.json")
    stored["settings"]["data"][key] = value
    (copy / "search.json").write_text(json.dumps(stored))
    return copy


def test_other_images_are_refused(searched: Path, tmp_path: Path) -> None:
    copy = changed(searched, tmp_path, "max_images", 290)
    with pytest.raises(UserError, match="not the images this run searched on"):
        images.validation(Run(copy), data_dir=tmp_path)


def test_another_network_gets_initial_weights_and_says_so(searched: Path, tmp_path: Path, capsys) -> None:
    args = ["--geometry", "reduced", "--num-classes", "7", "-o", str(tmp_path / "seven")]
    assert export.main([str(searched), *args]) == 0
    assert "initial weights: another num_classes makes another network" in capsys.readouterr().out
    config = folder.read_config(tmp_path / "seven")
    assert config["smacnas"]["trained"] is None
    assert config["num_classes"] == 7


def without_weights(searched: Path, tmp_path: Path) -> Path:
    copy = shutil.copytree(searched, tmp_path / "old")
    shutil.rmtree(copy / "weights")
    return copy


def test_an_older_run_says_how_to_get_them_and_the_command_works(searched: Path, tmp_path: Path) -> None:
    """Also where everything was confirmed before weights were kept: one more seed is trained then."""
    old = without_weights(searched, tmp_path)
    with pytest.raises(UserError, match=r"keeps no trained weights.*python -m nas\.confirm") as caught:
        incumbent_network(old)
    assert export.main([str(old), "--geometry", "reduced", "-o", str(tmp_path / "initial"), "--quiet"]) == 0
    assert folder.read_config(tmp_path / "initial")["smacnas"]["trained"] is None
    confirm_again(old, "--seeds", "1")
    assert sorted(path.stem.split("-")[0].split("_")[1] for path in (old / "weights").iterdir()) == ["1", "1"]

    shutil.rmtree(old / "weights")
    with pytest.raises(UserError) as caught:
        incumbent_network(old)
    typed = str(caught.value).partition("with: python -m nas.confirm ")[2].split()
    confirm_again(*typed)
    assert len(list((old / "weights").iterdir())) == 2
    confirmed = read(old / "confirmed.json")
    winner = next(row for row in confirmed["configurations"] if row["config_id"] == confirmed["winner"])
    path = find(Run(old), winner["config_id"], 3, Run(old).read_confirmed())
    assert path is not None
    assert 1 - weights.read(path).facts["top1"] == winner["errors"][1]


def test_of_a_confirmed_network_the_best_seeds_weights_stay(searched: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(searched, tmp_path / "confirmed")
    confirm_again(copy, "--seeds", "3")
    confirmed = read(copy / "confirmed.json")
    kept = {path.name for path in (copy / "weights").iterdir()} - {
        path.name for path in (searched / "weights").iterdir()
    }
    assert len(kept) == len(confirmed["configurations"])
    for row in confirmed["configurations"]:
        best = row["errors"].index(min(row["errors"])) + 1
        name = f"{row['config_id']}_{best}-3.safetensors"
        assert name in kept
        assert 1 - weights.read(copy / "weights" / name).facts["top1"] == min(row["errors"])
    assert export.main([str(copy), "--geometry", "reduced", "-o", str(tmp_path / "best"), "--quiet"]) == 0
    judged = ["--data", f"run:{copy}", "--device", "cpu", "-o", str(tmp_path / "scores")]
    assert evaluate.main([str(tmp_path / "best"), *judged]) == 0
    winner = next(row for row in confirmed["configurations"] if row["config_id"] == confirmed["winner"])
    assert 1 - read(tmp_path / "scores" / "scores.json")["top1"] == min(winner["errors"])


def test_a_damaged_file_is_one_line_and_nothing_is_written(searched: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(searched, tmp_path / "damaged")
    for path in (copy / "weights").iterdir():
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="weights that cannot be read"):
        export.main([str(copy), "--geometry", "reduced", "-o", str(tmp_path / "best"), "--quiet"])
    assert not (tmp_path / "best").exists()


def test_no_incumbent_yet_is_one_line(searched: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(searched, tmp_path / "begun")
    (copy / "trials.jsonl").write_bytes(b"")
    with pytest.raises(UserError, match="no best network yet"):
        incumbent_network(copy)
