"""Full-size training as a user starts it: real networks, real images, real kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import timm
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load_file

import search_spaces.nexception.timm_models  # noqa: F401 - registers the models
from nas.data import pictures
from nas.train import one_seed, session
from nas.util.errors import UserError


def test_it_learns_and_the_network_it_writes_is_the_best_one(run, networks, tmp_path):
    result = run(
        *(networks["layer"], tmp_path / "out", "--epochs", "12", "--batch-size", "32", "--max-images", "600"),
        *("--auto-augment", "none", "--min-scale", "0.8", "--mixup", "0", "--cutmix", "0", "--repeats", "1"),
        *("--lr", "0.02", "--warmup-epochs", "1", "--opt", "adamw", "--loss", "ce", "--val-fraction", "0.2"),
    )
    assert result["curve"][-1]["train_loss"] < 0.8 * result["curve"][0]["train_loss"]
    assert result["test"]["top1"] > 0.4  # chance is 0.1
    assert result["best"]["top1"] == max(row["val_top1"] for row in result["curve"])
    folder = tmp_path / "out" / "seed-0" / "layer"
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert model.pretrained_cfg["label_names"] == [str(digit) for digit in range(10)]
    test = pictures.load("digits", data_dir=tmp_path, test=True)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.no_grad():
        logits = model(torch.stack([transform(test.open(i)) for i in range(len(test))]))
    top1 = (logits.argmax(1).numpy() == test.labels).mean()
    assert top1 == pytest.approx(result["test"]["top1"], abs=1.5 / len(test))
    config = json.loads((folder / "config.json").read_text())
    assert config["smacnas"]["trained"]["best"]["epoch"] == result["best"]["epoch"]
    assert "test top-1" in (folder / "README.md").read_text()
    assert not (folder.parent / "checkpoints").exists()


def test_the_published_recipe_runs_as_it_is(run, networks, tmp_path, figures):
    """Mixup, CutMix, RandAugment, BCE, LAMB, repetitions, drop path; and twice the same."""
    first = run(networks["batch"], tmp_path / "a", "--epochs", "2")
    again = run(networks["batch"], tmp_path / "b", "--epochs", "2")
    assert figures(first) == figures(again)
    assert [row["epoch"] for row in first["curve"]] == [1, 2]


def kill_at(updates, warm, network, output, args):
    """Starts a training and kills it once it has written a checkpoint after a number of updates."""
    process = warm.typed("nas.train", str(network), "--data", "digits", "-o", str(output), *args)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.is_alive():
        done = [int(path.stem.split("-")[1]) for path in output.glob("seed-0/checkpoints/last-*.pt")]
        if done and max(done) >= updates:
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL
            return max(done)
        time.sleep(0.002)
    raise AssertionError(f"no checkpoint of {updates} updates before the end")


def test_a_killed_training_ends_as_an_unkilled_one(run, warm, networks, tmp_path, figures, short):
    """Bit for bit on the CPU, after a kill amid the first epoch and one later on."""
    args = ("--epochs", "3", "--checkpoint-steps", "2", "--ema", "0.9")
    expected = run(networks["batch"], tmp_path / "unkilled", *args)
    first = kill_at(2, warm, networks["batch"], tmp_path / "killed", (*short, *args))
    second = kill_at(first + 3, warm, networks["batch"], tmp_path / "killed", (*short, *args))
    assert first < second < 3 * 9  # updates
    result = run(networks["batch"], tmp_path / "killed", *args)
    assert figures(result) == figures(expected)
    assert result["test"] == expected["test"]
    networks = [tmp_path / name / "seed-0" / "batch" / "model.safetensors" for name in ("killed", "unkilled")]
    assert networks[0].read_bytes() == networks[1].read_bytes()


def test_seeds_differ_and_are_summed_up(run, networks, tmp_path, capsys):
    args = ("--epochs", "1", "--seeds", "3", "--max-images", "100")
    run(networks["batch"], tmp_path / "out", *args)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["seeds"] == [0, 1, 2]
    losses = summary["test"]["loss"]["values"]
    assert len(set(losses)) == 3
    assert summary["test"]["loss"]["mean"] == pytest.approx(np.mean(losses))
    assert summary["test"]["loss"]["sd"] == pytest.approx(np.std(losses, ddof=1))
    session.show(summary, tmp_path / "out")
    assert "±" in capsys.readouterr().out


def test_the_test_part_is_looked_at_once_and_never_chosen_by(run, networks, tmp_path, monkeypatch):
    sizes = []
    real = one_seed.predict

    def watched(model, dataset, *args, **options):
        sizes.append(len(dataset))
        return real(model, dataset, *args, **options)

    monkeypatch.setattr(one_seed, "predict", watched)
    run(networks["batch"], tmp_path / "out", "--epochs", "3", "--val-fraction", "0.25")
    test = len(pictures.load("digits", data_dir=tmp_path, test=True))
    assert sizes == [50, 50, 50, test]


def test_trained_on_everything_the_last_weights_are_kept(run, networks, tmp_path):
    result = run(networks["batch"], tmp_path / "out", "--epochs", "2", "--val-fraction", "0")
    assert result["best"] is None
    assert all(row["val_top1"] is None for row in result["curve"])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["held_out"] is None
    assert summary["test"]["top1"]["values"] == [result["test"]["top1"]]


def test_the_learning_rate_follows_the_table(run, networks, tmp_path):
    recipe = ("--warmup-epochs", "2", "--lr", "0.004", "--cooldown-epochs", "1", "--checkpoint-steps", "1000")
    result = run(networks["batch"], tmp_path / "out", "--epochs", "4", *recipe, "--val-fraction", "0.1")
    updates, total = 9, 4 * 9  # 180 images in batches of 20
    expected = []
    for epoch in range(1, 6):
        step = epoch * updates - 1
        if step < 2 * updates:
            expected.append(1e-4 + (0.004 - 1e-4) * step / (2 * updates))
        elif step < total:
            expected.append(1e-6 + (0.004 - 1e-6) * (1 + np.cos(np.pi * step / total)) / 2)
        else:
            expected.append(1e-6)
    assert [row["lr"] for row in result["curve"]] == pytest.approx(expected)


PLAIN = ("--mixup", "0", "--cutmix", "0", "--drop-path-rate", "0", "--epochs", "1")


def test_accumulation_changes_memory_only(run, networks, tmp_path, figures):
    whole = run(networks["layer"], tmp_path / "whole", *PLAIN)
    split = run(networks["layer"], tmp_path / "split", *PLAIN, "--accumulate", "5", "--grad-checkpointing")
    np.testing.assert_allclose(figures(split), figures(whole), rtol=1e-3)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(run, networks, tmp_path, figures, short):
    expected = run(networks["layer"], tmp_path / "one", *PLAIN)
    launch = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29517",
        "-m",
        "nas.train",
    ]
    args = [str(networks["layer"]), "--data", "digits", "-o", str(tmp_path / "two"), "--device", "cpu"]
    subprocess.run([sys.executable, *launch, *args, *short, *PLAIN], check=True, timeout=280)
    result = json.loads((tmp_path / "two" / "seed-0" / "result.json").read_text())
    np.testing.assert_allclose(figures(result), figures(expected), rtol=1e-3)
    assert result["test"]["images"] == expected["test"]["images"]


def test_a_finished_training_is_not_repeated(run, networks, tmp_path):
    result = run(networks["batch"], tmp_path / "out", "--epochs", "1")
    began = (tmp_path / "out" / "seed-0" / "result.json").stat().st_mtime_ns
    assert run(networks["batch"], tmp_path / "out", "--epochs", "1") == result
    assert (tmp_path / "out" / "seed-0" / "result.json").stat().st_mtime_ns == began
    with pytest.raises(UserError, match=r"was begun with lr 0.002, not 0.1"):
        run(networks["batch"], tmp_path / "out", "--epochs", "1", "--lr", "0.1")


def test_trained_weights_are_gone_on_with(run, networks, tmp_path):
    run(networks["batch"], tmp_path / "first", "--epochs", "2", "--lr", "0.01")
    model = tmp_path / "first" / "seed-0" / "batch"
    nothing = ("--epochs", "1", "--lr", "1e-9", "--warmup-epochs", "0", "--opt", "sgd", "--weight-decay", "0")
    run(model, tmp_path / "tuned", *nothing)
    run(model, tmp_path / "scratch", *nothing, "--init", "scratch")
    paths = [model, *(tmp_path / name / "seed-0" / "batch" for name in ("tuned", "scratch"))]
    first, tuned, scratch = (load_file(path / "model.safetensors")["stem.layers.0.weight"] for path in paths)
    torch.testing.assert_close(tuned, first)
    assert (scratch - first).abs().max() > 0.01


def test_tensorboard(run, networks, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run(networks["batch"], tmp_path / "out", "--epochs", "2", "--log", "tensorboard")
    events = EventAccumulator(str(tmp_path / "out" / "logs" / "seed-0"))
    events.Reload()
    losses = [(point.step, point.value) for point in events.Scalars("train_loss")]
    assert losses == [(row["epoch"], pytest.approx(row["train_loss"])) for row in result["curve"]]
    assert "val_top1" in events.Tags()["scalars"]


@pytest.fixture
def photographs(tmp_path):
    """An ImageNet-style folder of two classes of noise, one brighter than the other."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 4)):
        for label, name in enumerate(("n01440764", "n01443537")):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = draw.integers(0, 128, (24, 30, 3), dtype=np.uint8) + 127 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.jpeg")
    return tmp_path / "images"


def test_folders_and_any_model_of_timm(run, photographs, tmp_path):
    args = ("--epochs", "1", "--batch-size", "6", "--drop-path-rate", "0", "--input-size", "32")
    result = run("test_vit", tmp_path / "out", *args, "--val-fraction", "0.25", data=f"folder:{photographs}")
    assert result["test"]["images"] == 8
    assert result["best"]["images"] == 6
    model = timm.create_model(f"local-dir:{tmp_path / 'out' / 'seed-0' / 'test_vit'}", pretrained=True)
    assert model.num_classes == 2


@pytest.mark.parametrize("workers", ["before", "0", "1"])
def test_a_damaged_image_is_one_line(run, networks, photographs, tmp_path, workers, monkeypatch):
    (photographs / "train" / "n01440764" / "3.jpeg").write_bytes(b"no image")
    args = ["--epochs", "1", "--batch-size", "8", "--new-head", "--val-fraction", "0", "--repeats", "1"]
    if workers != "before":  # damaged after the files were looked at
        monkeypatch.setattr("nas.data.scan.scan", lambda *_: ())
        args += ["--workers", workers]
    with pytest.raises(UserError) as caught:
        run(networks["batch"], tmp_path / "out", *args, data=f"folder:{photographs}")
    assert str(caught.value).startswith("--data: ")
    assert "3.jpeg is no image, or damaged; replace it or remove it" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out").exists() == (workers != "before"), "nothing is left behind"


def test_other_images_are_not_trained_on_with_the_old_checkpoint(run, networks, photographs, tmp_path):
    args = ("--epochs", "1", "--batch-size", "8", "--new-head", "--val-fraction", "0", "--repeats", "1")
    run(networks["batch"], tmp_path / "out", *args, data=f"folder:{photographs}")
    (photographs / "train" / "n01440764" / "3.jpeg").unlink()
    with pytest.raises(UserError, match="not the images that .*out was begun with; put those back"):
        run(networks["batch"], tmp_path / "out", *args, data=f"folder:{photographs}")


@pytest.mark.parametrize(
    ("args", "data", "words"),
    [
        ((), "folder:{tmp}/none", "--data folder:{tmp}/none: no such folder"),
        ((), "folder:{images}", "--data folder:{images}: has 2 classes"),
        ((), "mnist", "--data mnist: must be cifar100"),
        (("--new-head", "--batch-size", "32"), "folder:{images}", "--batch-size 32: must be at most 22"),
        (("--batch-size", "15", "--accumulate", "5"), "digits", "--batch-size 15: must give each"),
        (("--batch-size", "16", "--accumulate", "3"), "digits", "--batch-size 16: must be a multiple of 3"),
        (("--opt", "best"), "digits", "--opt best: must be one of timm's"),
        (("--amp", "fp16"), "digits", "--amp fp16: needs a GPU"),
        (("--max-images", "12"), "digits", "--max-images 12: must be at least 20"),
        (("--val-fraction", "1"), "digits", "--val-fraction 1.0: must be at least 0 and below 1"),
        (("--lr", "1e9"), "digits", "--lr 1000000000.0: must be 1e-12 to 100"),
    ],
)
def test_mistakes_are_one_line(run, networks, photographs, tmp_path, args, data, words):
    places = {"tmp": tmp_path, "images": photographs}
    with pytest.raises(UserError) as caught:
        run(networks["batch"], tmp_path / "out", "--epochs", "1", *args, data=data.format(**places))
    assert words.format(**places) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def environment():
    """Nobody's settings of trackers, and those that a training makes are gone after it."""
    before = dict(os.environ)
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY"):
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_mlflow_keeps_a_seeds_run_in_the_output_folder(run, networks, tmp_path, environment):
    from mlflow.tracking import MlflowClient

    result = run(networks["batch"], tmp_path / "out", "--epochs", "2", "--log", "mlflow")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'out' / 'mlflow' / 'mlflow.db'}")
    (only,) = client.search_runs([client.get_experiment_by_name("smacnas").experiment_id])
    history = client.get_metric_history(only.info.run_id, "train_loss")
    losses = [(point.step, point.value) for point in history]
    assert losses == [(row["epoch"], pytest.approx(row["train_loss"])) for row in result["curve"]]
    assert json.loads((tmp_path / "out" / "seed-0" / "log.json").read_text())["run"] == only.info.run_id
    assert only.data.params["seed"] == "0"


def test_wandb_stays_offline_in_the_output_folder(run, networks, tmp_path, environment, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(networks["batch"], tmp_path / "out", "--epochs", "1", "--log", "wandb")
    (folder,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    name = json.loads((tmp_path / "out" / "seed-0" / "log.json").read_text())["run"]
    assert folder.name.endswith(name)
    assert len(name) == 32, "no other training has it, whatever its folder is called"
    assert not (tmp_path / "wandb").exists()


def test_a_tracker_that_is_not_installed_is_one_line(run, networks, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.tracking.settings.find_spec", lambda _: None)
    with pytest.raises(UserError) as caught:
        run(networks["batch"], tmp_path / "out", "--log", "mlflow")
    assert str(caught.value) == "--log mlflow: is not installed; install with: uv sync --extra log"


def test_divergence_is_one_line(run, networks, tmp_path):
    with pytest.raises(UserError, match=r"--lr 100: the loss of epoch 1 is not finite"):
        run(
            *(networks["layer"], tmp_path / "out", "--epochs", "2", "--lr", "100", "--opt", "sgd"),
            *("--warmup-lr", "100", "--momentum", "0.99", "--loss", "ce"),
        )


def test_an_unknown_network(tmp_path):
    with pytest.raises(UserError, match="did you mean nexception_t"):
        session.train("nexception_x", session_options(tmp_path), None)


def session_options(tmp_path):
    from nas.train.settings import TrainCommandSettings

    return TrainCommandSettings("digits", tmp_path / "out")


def test_a_folder_in_use_is_refused(run, networks, tmp_path):
    import fcntl

    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another training writes there"):
            run(networks["batch"], tmp_path / "out", "--epochs", "1")


def test_bfloat16_learns_what_float32_does(run, networks, tmp_path, figures):
    """And averages it: accelerate's wrapper of the forward pass must not reach the average."""
    args = ("--epochs", "2", "--max-images", "100", "--ema", "0.8")
    results = []
    for amp in ("off", "bf16"):
        AcceleratorState._reset_state(reset_partial_state=True)
        results.append(run(networks["layer"], tmp_path / amp, *args, "--amp", amp))
    losses = [[row[1:3] for row in figures(result)] for result in results]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
