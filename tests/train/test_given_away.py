"""A trained network given to others: in other forms, and on a hub whose address its card has."""

from __future__ import annotations

import huggingface_hub
import numpy as np
import pytest

from nas.export import __main__ as export
from nas.export import folder
from nas.util.errors import UserError
from tests.export import fake_hub

REPO = "someone/trained-net"


def test_a_trained_network_is_pushed_with_its_address_and_integers(
    run, networks, tmp_path, monkeypatch, capsys
):
    run(networks["batch"], tmp_path / "out", "--epochs", "2", "--val-fraction", "0.2")
    network = tmp_path / "out" / "seed-0" / "batch"
    assert '"local-dir:PATH_OF_THIS_FOLDER"' in (network / "README.md").read_text()
    with fake_hub.serving() as served:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
        args = ["--int8", "--data-dir", str(tmp_path), "--push-to-hub", REPO, "-o", str(tmp_path / "given")]
        assert export.main([str(network), *args]) == 0
        assert served.repos == [REPO]
    written = {path.name: path.read_bytes() for path in (tmp_path / "given").iterdir()}
    assert served.files == written
    assert {"model.onnx", "model_int8.onnx", "model.safetensors", "recipe.yaml"} < set(written)
    card = written["README.md"].decode()
    assert f'timm.create_model("hf-hub:{REPO}", pretrained=True)' in card
    assert "PATH_OF_THIS_FOLDER" not in card
    assert "| test top-1 |" in card
    own = folder.read_config(tmp_path / "given")["smacnas"]["forms"]["model_int8.onnx"]
    assert own["judged_on"] == "40 images that its training held out"
    best = folder.read_config(network)["smacnas"]["trained"]["best"]
    assert own["top1_before"] == pytest.approx(best["top1"])
    assert f"pushed to {served.url}/{REPO}" in capsys.readouterr().out


def test_images_of_other_classes_are_refused(run, networks, tmp_path):
    run(networks["batch"], tmp_path / "out", "--epochs", "1")
    network = tmp_path / "out" / "seed-0" / "batch"
    pixels = np.zeros((12, 8, 8, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(12)
    np.savez(tmp_path / "other.npz", x_train=pixels, y_train=np.arange(12) % 3)
    data = f"npz:{tmp_path / 'other.npz'}"
    with pytest.raises(UserError, match="--data npz:.* must be of the 10 classes that"):
        export.main([str(network), "--int8", "--data", data, "-o", str(tmp_path / "x")])
    assert not (tmp_path / "x").exists()
