"""Exported folders: whole, true, and loadable by timm alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import timm
import torch
import yaml
from torch import nn

import search_spaces
import search_spaces.nexception.timm_models
from nas.export import folder, formats
from nas.export.__main__ import main
from nas.util.counts import count
from search_spaces.nexception.geometry import NEXCEPTION_T, Geometry

if TYPE_CHECKING:
    from pathlib import Path

SPACE = search_spaces.get("nexception")
pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = Geometry(
    name="small",
    image_size=48,
    pyramid=False,
    patchify_chs=16,
    conv_chs=(8, 16),
    conv_padding=1,
    widths=(16, 24),
    depths=(0, 1),
    exit_chs=(32, 40, 48),
)


@pytest.fixture(scope="module")
def geometry_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("geometry") / "small.json"
    path.write_text(json.dumps(SMALL.to_json()))
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory, finished_run, geometry_file) -> Path:
    target = tmp_path_factory.mktemp("exported") / "winner"
    args = [str(finished_run), "--geometry", str(geometry_file), "-o", str(target), "--num-classes", "7"]
    assert main([*args, "--onnx", "--torch-export", "--quiet"]) == 0
    return target


def incumbent(run: Path) -> dict:
    return json.loads((run / "incumbent.json").read_text())


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.linspace(-1, 1, 2 * 3 * 48 * 48).view(2, 3, 48, 48))


def test_the_folder_holds_the_runs_winner(exported, finished_run):
    names = ["README.md", "config.json", "model.onnx", "model.pt2", "model.safetensors", "recipe.yaml"]
    assert sorted(path.name for path in exported.iterdir()) == names
    assert {path.stat().st_mode & 0o777 for path in exported.iterdir()} == {0o644}
    config = folder.read_config(exported)
    winner = incumbent(finished_run)
    assert config["model_args"]["config"] == winner["config"]
    assert config["smacnas"]["source"]["trial"] == winner["trial"]
    assert config["smacnas"]["source"]["validation_top1"] == pytest.approx(1 - winner["error"])
    assert config["smacnas"]["trained"] is None
    assert yaml.safe_load((exported / "recipe.yaml").read_text())["lr"] == 2e-3


def test_timm_loads_it_with_the_same_weights(exported):
    model = timm.create_model(f"local-dir:{exported}", pretrained=True)
    again = timm.create_model(f"local-dir:{exported}", pretrained=True)
    assert torch.equal(logits(model), logits(again))
    assert model.num_classes == 7
    assert model.pretrained_cfg["input_size"] == (3, 48, 48)
    stats = count(model, 48)
    own = folder.read_config(exported)["smacnas"]
    assert (stats.params, stats.macs) == (own["params"], own["macs"])


def test_timm_adapts_it(exported):
    name = f"local-dir:{exported}"
    images = torch.randn(2, 3, 64, 64)
    assert timm.create_model(name, pretrained=True, num_classes=3).eval()(images).shape == (2, 3)
    assert timm.create_model(name, pretrained=True, num_classes=0).eval()(images).shape == (2, 48)
    features = timm.create_model(name, pretrained=True, features_only=True).eval()(images)
    assert [f.shape[1] for f in features] == [16, 16, 24, 48]
    grey = timm.create_model(name, pretrained=True, in_chans=1).eval()
    whole = timm.create_model(name, pretrained=True).eval()
    torch.testing.assert_close(
        grey.stem.layers[0].weight, whole.stem.layers[0].weight.sum(1, keepdim=True), atol=1e-6, rtol=1e-5
    )


def test_a_process_that_imports_only_timm_and_us_gets_the_same_answers(exported, tmp_path):
    torch.save(logits(timm.create_model(f"local-dir:{exported}", pretrained=True)), tmp_path / "logits.pt")
    code = (
        "import sys, timm, torch\n"
        "import search_spaces.nexception.timm_models\n"
        "model = timm.create_model(f'local-dir:{sys.argv[1]}', pretrained=True).eval()\n"
        "images = torch.linspace(-1, 1, 2 * 3 * 48 * 48).view(2, 3, 48, 48)\n"
        "with torch.no_grad():\n"
        "    torch.testing.assert_close(model(images), torch.load(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", code, str(exported), str(tmp_path / "logits.pt")]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=120)


def test_the_card_says_what_it_is(exported, finished_run):
    card = (exported / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "apache-2.0"
    assert front["library_name"] == "timm"
    assert "has not been trained" in card
    assert finished_run.name in card
    assert "| xception | 299 | 22.9 M | 8.36 G |" in card
    winner = incumbent(finished_run)["config"]
    for key, value in SPACE.default.items():
        assert f"| {key} | " in card
        assert (f"| **{winner[key]}** |" in card) or winner[key] == value or isinstance(value, bool)


def test_what_shapes_nothing_in_a_pyramid_is_said(tmp_path, capsys):
    assert main(["nexception", "--geometry", "tp", "-o", str(tmp_path / "tp")]) == 0
    said = "in a pyramid kernel_down and pool do nothing"
    assert said in capsys.readouterr().out
    card = (tmp_path / "tp" / "README.md").read_text()
    assert said.capitalize() in card
    for name in ("kernel_down", "pool"):
        (row,) = [line for line in card.splitlines() if line.startswith(f"| {name} |")]
        assert "no such layer" in row
        assert "**" not in row


def test_the_onnx_file_takes_any_number_of_images(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported / "model.onnx"))
    model = timm.create_model(f"local-dir:{exported}", pretrained=True).eval()
    images = torch.randn(5, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(
            torch.from_numpy(session.run(None, {"image": images.numpy()})[0]),
            model(images),
            atol=1e-5,
            rtol=1e-4,
        )


def test_a_wrong_onnx_file_is_not_written(tmp_path, monkeypatch):
    """The check compares with the network, not with itself."""
    import onnxruntime

    class Liar(onnxruntime.InferenceSession):
        def run(self, *args):
            return [1.01 * super().run(*args)[0]]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Liar)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7)).eval()
    with pytest.raises(formats.UserError, match="answers differently, by 1"):
        formats.write_onnx(model, tmp_path / "model.onnx", (3, 48, 48))


def test_other_sources(geometry_file, finished_run, tmp_path):
    config = SPACE.sample(1, seed=5)[0]
    (tmp_path / "config.json").write_text(json.dumps({"config": config}))
    other = next(t for t in (3, 4) if t != incumbent(finished_run)["trial"])
    common = ["--geometry", str(geometry_file), "--quiet"]
    assert main([str(tmp_path / "config.json"), *common, "-o", str(tmp_path / "file")]) == 0
    assert main([str(finished_run), "--trial", str(other), *common, "-o", str(tmp_path / "trial")]) == 0
    args = [str(finished_run), "--config", str(tmp_path / "config.json")]
    assert main([*args, *common, "-o", str(tmp_path / "run-with-config")]) == 0
    assert main(["costliest", *common, "--input-size", "40", "-o", str(tmp_path / "point")]) == 0
    read = {
        name: folder.read_config(tmp_path / name) for name in ("file", "trial", "run-with-config", "point")
    }
    assert read["file"]["model_args"]["config"] == config
    assert read["run-with-config"]["model_args"]["config"] == config
    assert read["trial"]["smacnas"]["source"]["trial"] == other
    assert read["point"]["model_args"]["config"] == SPACE.points["costliest"]
    assert read["point"]["pretrained_cfg"]["input_size"] == [3, 40, 40]


def test_the_winner_at_the_size_of_nexception_t(finished_run, tmp_path, capsys):
    assert main([str(finished_run), "--geometry", "t", "-o", str(tmp_path / "t")]) == 0
    config = folder.read_config(tmp_path / "t")
    assert config["model_args"]["geometry"] == NEXCEPTION_T.to_json()
    with torch.device("meta"):
        stats = count(SPACE.build(incumbent(finished_run)["config"], NEXCEPTION_T, 1000), 224)
    assert (config["smacnas"]["params"], config["smacnas"]["macs"]) == (stats.params, stats.macs)
    out = capsys.readouterr().out
    assert f"{stats.params:,} params, {stats.macs:,} MACs" in out
    assert "stages.2.8" in out
    assert "convnext_tiny" in out


def test_nothing_is_left_of_an_export_that_fails(geometry_file, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(formats, "write_onnx", fail)
    with pytest.raises(RuntimeError, match="no"):
        main(["nexception", "--geometry", str(geometry_file), "--onnx", "-o", str(tmp_path / "x"), "--quiet"])
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_no_folder_of_that_name(tmp_path):
    code = (
        "import os, pathlib, sys\n"
        "from nas.export import folder\n"
        "with folder.appearing(pathlib.Path(sys.argv[1])) as staging:\n"
        "    (staging / 'config.json').write_text('{')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], timeout=60, check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nexcept"], "nexcept: no such run folder or file; must be one, or a named point: xception"),
        (["nexception", "--geometry", "huge"], "--geometry huge: no such file; must be t, s, tp"),
        (["nexception", "--geometry", "reduced"], "--geometry reduced: only the export of a run"),
        (["nexception", "--trial", "3"], "--trial 3: only a run has trials"),
        (["nexception", "--config", "c.json"], "--config c.json: goes with a run folder"),
        (["nexception", "--num-classes", "0"], "--num-classes 0: must be at least 1"),
        (["nexception", "--match-macs", "much"], "--match-macs 'much': not a number above 0"),
        (["nexception", "--input-size", "8"], "image size 8: must be at least 32"),
        (["nexception", "--license", "my own"], "--license 'my own': must be one word"),
        (["{run}", "--trial", "9999"], "--trial 9999:"),
        (["{tmp}"], "not a run folder"),
        (["{tmp}/no.json"], "no.json: no such run folder or file"),
        (["{tmp}/list.json"], "list.json: configuration: must be an object"),
        (["{tmp}/text.json"], "text.json: cannot be read as JSON"),
        (["resnet50", "--space", "resnet", "--geometry", "t"], "--geometry t: no such file; must be tiny"),
        (["resnet50", "--space", "resnet", "--geometry", "{tmp}/list.json"], "resnet reads none from files"),
        (["resnet50", "--space", "resnet", "--geometry", "reduced"], "a run has it; resnet has tiny, small"),
        (["resnet50", "--space", "resnet", "--match-macs", "1G"], "of the space resnet cannot be scaled"),
        (["resnet50", "--space", "resnet", "--weights", "w"], "no released weights of the space resnet"),
        (["nexception", "--geometry", "{tmp}/list.json"], "geometry: expected an object with the keys name"),
        (["nexception", "--geometry", "{tmp}/text.json"], "text.json: cannot be read"),
    ],
)
def test_mistakes_are_one_line(args, words, finished_run, tmp_path):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "text.json").write_text("{")
    args = [arg.format(run=finished_run, tmp=tmp_path) for arg in args]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(folder.UserError) as caught:
        main([*args, "-o", str(tmp_path / "x")])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_space_says_what_stands_beside_its_networks(tmp_path):
    for point, space, size in (("vit", "vit", "small"), ("xception", "nexception", "xception")):
        name = next(iter(search_spaces.get(space).points)) if point == "vit" else point
        assert main([name, "--space", space, "--geometry", size, "-o", str(tmp_path / space), "--quiet"]) == 0
    vit, xception = ((tmp_path / space / "README.md").read_text() for space in ("vit", "nexception"))
    assert "A network of the search space vit: " in vit
    assert "| depth | 6 | 6 | blocks" in vit
    assert "| layer_scale_init | – | – |" in vit
    assert "import search_spaces.timm_models  # makes" in vit
    assert "A network of the Xception family" in xception
    assert "Layout: Xception's; widths 128, 256, 728, middle blocks 0, 0, 8, exit 1024" in xception
    assert "import search_spaces.nexception.timm_models  # makes" in xception


def test_a_geometry_file_that_is_no_yaml_is_named_once(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("{")
    with pytest.raises(folder.UserError) as caught:
        main(["nexception", "--geometry", str(path), "-o", str(tmp_path / "x")])
    assert str(caught.value).startswith(f"--geometry {path}: cannot be read as YAML")
    assert str(caught.value).count("--geometry") == 1


def test_an_existing_folder_is_left_alone(exported, tmp_path):
    with pytest.raises(folder.UserError, match="exists already"):
        main(["nexception", "-o", str(exported)])


def test_optional_packages_are_asked_for_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(formats.onnx_file, "find_spec", lambda name: None)
    with pytest.raises(folder.UserError, match="uv sync --extra export"):
        main(["nexception", "--onnx", "-o", str(tmp_path / "x")])
