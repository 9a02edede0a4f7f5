"""The whole way on real images: search, export at full size, fine-tune, evaluate, load elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from nas.export import folder
from search_spaces.nexception.geometry import NEXCEPTION_T


def command(module, *args, **options):
    subprocess.run(
        [sys.executable, "-m", module, *map(str, args)],
        check=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        **options,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_search_to_a_network_that_others_load(tmp_path):
    small = ("--dataset", "digits", "--image-size", "16", "--max-images", "200", "--width", "16")
    rungs = ("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--trials", "5", "--budget", "1h")
    command("nas.search", *small, *rungs, "--runs-dir", tmp_path, "--name", "run", "--quiet")
    winner = json.loads((tmp_path / "run" / "incumbent.json").read_text())

    exported = tmp_path / "t"
    size = ("--geometry", "t", "--num-classes", "10", "--input-size", "32")
    command("nas.export", tmp_path / "run", *size, "--onnx", "-o", exported)
    config = folder.read_config(exported)
    assert config["model_args"]["config"] == winner["config"]
    assert config["model_args"]["geometry"]["widths"] == list(NEXCEPTION_T.widths)
    assert (exported / "model.onnx").stat().st_size > 10_000_000

    few = ("--epochs", "1", "--batch-size", "16", "--max-images", "100", "--workers", "0")
    command("nas.train", exported, "--data", "digits", *few, "-o", tmp_path / "trained")
    trained = tmp_path / "trained" / "seed-0" / "t"
    result = json.loads((trained.parent / "result.json").read_text())

    command("nas.evaluate", trained, "--data", "digits", "-o", tmp_path / "scores")
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert scores["loss"] == pytest.approx(result["test"]["loss"], rel=1e-4)
    assert scores["top1"] == pytest.approx(result["test"]["top1"], abs=1.5 / scores["images"])

    code = (
        "import sys, timm, torch\n"
        "import search_spaces.nexception.timm_models\n"
        "model = timm.create_model(f'local-dir:{sys.argv[1]}', pretrained=True).eval()\n"
        "with torch.no_grad():\n"
        "    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)\n"
        "assert model.pretrained_cfg['label_names'] == [str(i) for i in range(10)]\n"
    )
    subprocess.run([sys.executable, "-c", code, trained], check=True, cwd=tmp_path, timeout=120)
