"""A network of a user's own space, from the search to where others load it; each command typed as printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm_programs
from tests.typed_commands import OF_A_SPACE, offered, program, read

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.acceptance  # some twenty programs, one after another
SPACE = """
from search_spaces.base import Float, Hyperparameter, Reduced, SearchSpace


class Own(SearchSpace):
    "A few convolutions."

    hyperparameters = (
        Hyperparameter("kernel", (1, 3), 3, ordinal=True),
        Float("lr", 0.001, 0.1, 0.01, log=True),
    )
    training = ("lr",)
    full_sizes = {"big": Reduced(0, 32), "huge": Reduced(0, 64)}

    def build(self, config, num_classes, in_chans, image_size):
        from torch import nn

        open("RAN", "a").close()
        conv = nn.Conv2d(in_chans, image_size, config["kernel"], padding="same")
        return nn.Sequential(conv, nn.BatchNorm2d(image_size), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                             nn.Flatten(), nn.Linear(image_size, num_classes))
"""
QUICK = {"nas.train": " --epochs 1 --max-images 100 --workers 0", "nas.evaluate": " --device cpu"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a search of their space, exported by the command that it printed."""
    folder = tmp_path_factory.mktemp("users own")
    (folder / "own_space.py").write_text(SPACE)
    said = program(f"nas.search {OF_A_SPACE} --space own_space.py", folder)
    (folder / "said.txt").write_text(program(offered(said, "nas.export"), folder))
    return folder


def test_a_folder_holds_the_weights_the_recipe_and_the_code(here: Path) -> None:
    target = here / "models" / "mine"
    leader = read(here / "runs" / "mine" / "incumbent.json")
    files = {path.name for path in target.iterdir()}
    assert files == {"config.json", "model.safetensors", "README.md", "recipe.yaml", "own_space.py"}
    assert (target / "own_space.py").read_text() == SPACE
    assert read(target / "config.json")["model_args"]["config"] == leader["config"]
    assert f"lr: {leader['config']['lr']}" in (target / "recipe.yaml").read_text()
    assert "The weights are the search's" in (target / "README.md").read_text()


def test_the_printed_commands_evaluate_to_the_digit_and_train(here: Path) -> None:
    said = (here / "said.txt").read_text()
    program(offered(said, "nas.evaluate") + QUICK["nas.evaluate"], here)
    (scores,) = here.glob("evaluations/*/scores.json")
    leader = read(here / "runs" / "mine" / "incumbent.json")
    assert read(scores)["top1"] == leader["metrics"]["top1"]
    assert read(scores)["loss"] == pytest.approx(leader["metrics"]["val_loss"], rel=1e-5)

    program(offered(said, "nas.train") + QUICK["nas.train"], here)
    (trained,) = here.glob("models/mine-trained/seed-0/mine")
    assert (trained / "own_space.py").read_text() == SPACE
    flags = "--warm-up 0 --repeats 2 --seconds 1 --batch-size 2 --device cpu -o profile"
    program(f"nas.profile models/mine {shlex.quote(str(trained))} --space own_space.py {flags}", here)
    rows = read(here / "profile" / "profile.json")
    params = read(here / "models" / "mine" / "config.json")["smacnas"]["params"]
    assert str(params) in json.dumps(rows)


def test_code_is_run_only_for_who_names_it(here: Path, tmp_path: Path) -> None:
    target = shutil.copytree(here / "models" / "mine", tmp_path / "theirs")
    asked = f"say --space {target / 'own_space.py'}"
    for line in (
        f"nas.evaluate {target} --data digits",
        f"nas.train {target} --data digits -o out",
        f"nas.profile {target}",
        f"nas.profile {target} --stages",
    ):
        assert asked in program(line, tmp_path, 2)
    other = tmp_path / "other.py"
    other.write_text(SPACE + "# changed\n")
    said = program(f"nas.profile {target} --space {other}", tmp_path, 2)
    assert "is not the code that this network was exported with" in said
    run = shlex.quote(str(here / "runs" / "mine"))
    for line in (f"nas.export {run} --geometry reduced -o x", f"nas.train {run} -o y"):
        assert f"say --space {here / 'own_space.py'}" in program(line, tmp_path, 2)
    assert not (tmp_path / "RAN").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"theirs", "other.py"}


def test_the_cards_lines_load_it_and_only_they(here: Path, tmp_path: Path) -> None:
    folder = here / "models" / "mine"
    (snippet,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    (tmp_path / "RAN").unlink(missing_ok=True)
    check = "import torch\nassert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)\n"
    code = snippet.replace("PATH_OF_THIS_FOLDER", str(folder)) + check
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=120, env=environment)
    assert (tmp_path / "RAN").exists()
    (tmp_path / "RAN").unlink()
    # config.json says it itself: that is not the user's word.
    config = read(folder / "config.json")
    mine = shutil.copytree(folder, tmp_path / "copy")
    for smuggled in (
        {"space": str(mine / "own_space.py")},
        {"space": str(mine / "own_space.py"), "code": None},
    ):
        config["model_args"] |= smuggled
        (mine / "config.json").write_text(json.dumps(config))
        (tmp_path / "load.py").write_text(
            f"import timm, search_spaces.timm_models\ntimm.create_model('local-dir:{mine}', pretrained=True)"
        )
        done = warm_programs.run(["load"], tmp_path, environment, timeout=120)
        assert done.returncode
        assert re.search(r"(User|Setting)Error", done.stderr)
    assert not (tmp_path / "RAN").exists()


def test_full_sizes_are_the_spaces(here: Path) -> None:
    line = "nas.export runs/mine --space own_space.py --quiet --geometry"
    program(f"{line} huge -o models/huge", here)
    config = read(here / "models" / "huge" / "config.json")
    assert config["pretrained_cfg"]["input_size"] == [3, 64, 64]
    assert config["num_features"] == 64
    assert config["smacnas"]["trained"] is None
    assert "big, huge, reduced" in program(f"{line} t -o models/t", here, 2)
    assert "networks of the space own cannot be scaled" in program(
        f"{line} big --match-macs 1M -o m", here, 2
    )
    program(f"{line} big --onnx --num-classes 10 -o models/big", here)
    assert (here / "models" / "big" / "model.onnx").is_file()
    point = program("nas.export default --space own_space.py --geometry reduced -o p", here, 2)
    assert "only the export of a run has it; own has big, huge" in point


def test_a_run_is_trained_again_by_the_recipe_of_its_winner(here: Path) -> None:
    program(f"nas.train runs/mine -o again --space own_space.py{QUICK['nas.train']}", here)
    leader = read(here / "runs" / "mine" / "incumbent.json")
    assert read(here / "again" / "train.json")["training"]["lr"] == leader["config"]["lr"]
