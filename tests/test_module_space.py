"""A space in a package of a user's own, named ``package.module:Class``, from wherever it is found."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typed_commands import OF_A_SPACE, offered, program, read

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.acceptance  # some fifteen programs, one after another
SPACE = """
from search_spaces.base import Float, Hyperparameter, Reduced, SearchSpace

from .parts import network


class Net(SearchSpace):
    "A few convolutions."

    hyperparameters = (
        Hyperparameter("kernel", (1, 3), 3, ordinal=True),
        Float("lr", 0.001, 0.1, 0.01, log=True),
    )
    training = ("lr",)
    full_sizes = {"big": Reduced(0, 32)}

    def build(self, config, num_classes, in_chans, image_size):
        return network(config["kernel"], num_classes, in_chans, image_size)


class Other(Net):
    "The same choices, other networks."

    def build(self, config, num_classes, in_chans, image_size):
        return network(5, num_classes, in_chans, image_size)
"""
PARTS = """
from torch import nn


def network(kernel, num_classes, in_chans, chs):
    conv = nn.Conv2d(in_chans, chs, kernel, padding="same")
    return nn.Sequential(conv, nn.BatchNorm2d(chs), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(chs, num_classes))
"""
QUICK = "--epochs 1 --max-images 100 --workers 0 --device cpu"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a package in it, a search, and its winner exported as printed."""
    folder = tmp_path_factory.mktemp("packaged")
    package = folder / "bench_nets"
    package.mkdir()
    (package / "__init__.py").write_text("from .space import Net\n")
    (package / "space.py").write_text(SPACE)
    (package / "parts.py").write_text(PARTS)
    # By the name that the package gives it, which is not where it is written.
    said = program(f"nas.search {OF_A_SPACE} --space bench_nets:Net", folder)
    (folder / "searched.txt").write_text(said)
    (folder / "exported.txt").write_text(program(offered(said, "nas.export"), folder))
    return folder


def test_it_goes_on_from_elsewhere_where_it_can_be_imported(here: Path, tmp_path: Path) -> None:
    run = here / "runs" / "mine"
    line = f"nas.search --resume {shlex.quote(str(run))} --trials 6"
    assert "say --space bench_nets:Net" in program(line, tmp_path, 2, here)
    refused = program(f"{line} --space bench_nets:Net", tmp_path, 2)
    assert refused.count("\n") == 1
    assert "No module named 'bench_nets'" in refused
    assert "PYTHONPATH" in refused
    program(f"{line} --space bench_nets:Net --workers 2", tmp_path, 0, here)
    assert "net on digits" in program(f"nas.status {shlex.quote(str(run))}", tmp_path)
    program(f"analysis.report {shlex.quote(str(run))}", tmp_path)
    assert (run / "analysis" / "report.html").exists()


def test_the_exported_folder_is_built_by_the_package(here: Path, tmp_path: Path) -> None:
    target, said = here / "models" / "mine", (here / "exported.txt").read_text()
    assert "--space bench_nets.space:Net" in offered(said, "nas.evaluate")
    program(f"{offered(said, 'nas.evaluate')} --device cpu", here)
    (scores,) = here.glob("evaluations/*/scores.json")
    config = read(target / "config.json")
    assert read(scores)["top1"] == config["smacnas"]["trained"]["validation"]["top1"]
    program(f"{offered(said, 'nas.train')} {QUICK}", here)
    assert (here / "models" / "mine-trained" / "seed-0" / "mine" / "space.py").read_text() == SPACE

    quoted = shlex.quote(str(target))
    for space in ("bench_nets:Net", "bench_nets.space:Net", "bench_nets.space:Other"):
        flags = "--warm-up 0 --repeats 2 --seconds 1 --batch-size 2 --device cpu -o"
        name = space.replace(":", "-")
        program(f"nas.profile {quoted} --space {space} {flags} {name}", tmp_path, 0, here)
        assert str(config["smacnas"]["params"]) in (tmp_path / name / "profile.json").read_text()
    said = program(f"nas.profile {quoted}", tmp_path, 2)
    assert "say --space bench_nets.space:Net where that can be imported, or" in said
    said = program(f"nas.profile {quoted} --space search_spaces.example:Example", tmp_path, 2)
    assert "is not the code that this network was exported with" in said

    (snippet,) = re.findall(r"```python\n(.*?)```", (target / "README.md").read_text(), flags=re.DOTALL)
    check = "import torch\nassert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)\n"
    code = snippet.replace("PATH_OF_THIS_FOLDER", str(target)) + check
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{here}"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=120, env=environment)


def test_full_sizes_other_forms_and_another_number_of_classes(here: Path, tmp_path: Path) -> None:
    run = shlex.quote(str(here / "runs" / "mine"))
    line = f"nas.export {run} --space bench_nets:Net --quiet"
    program(f"{line} --geometry big --num-classes 10 --onnx --torch-export -o big", tmp_path, 0, here)
    assert (tmp_path / "big" / "model.onnx").is_file()
    assert (tmp_path / "big" / "model.pt2").is_file()
    assert read(tmp_path / "big" / "config.json")["num_features"] == 32

    program(f"{line} --geometry reduced --num-classes 3 -o three", tmp_path, 0, here)
    train = f"nas.train three --data digits -o head --space bench_nets.space:Net {QUICK}"
    assert "has 10 classes" in program(train, tmp_path, 2, here)
    program(f"{train} --new-head", tmp_path, 0, here)
    (trained,) = tmp_path.glob("head/seed-0/three")
    assert read(trained / "config.json")["num_classes"] == 10


def test_the_run_is_trained_by_the_recipe_of_its_winner(here: Path) -> None:
    said = program(f"nas.train runs/mine -o again --space bench_nets:Net {QUICK}", here)
    leader = read(here / "runs" / "mine" / "incumbent.json")
    training = read(here / "again" / "train.json")["training"]
    assert f"with what it chose for this network: lr {training['lr']:g}" in said
    assert training["lr"] == leader["config"]["lr"]
