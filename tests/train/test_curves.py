"""NEXcepTion's Figures 5 and 6: means and error bars over seeds, through kills."""

from __future__ import annotations

import csv
import json
import signal
import time

import numpy as np
import pytest
from PIL import Image

from nas.train import curves
from nas.util.errors import UserError

COLUMNS = ("val_top1", "val_top5", "val_loss", "train_loss")
BLUE, ORANGE = (0, 114, 178), (230, 159, 0)


def table(output):
    return list(csv.DictReader((output / "curves.csv").open()))


def by_hand(output, seeds):
    """Means and deviations out of the seeds' own results."""
    results = [json.loads((output / f"seed-{seed}" / "result.json").read_text()) for seed in seeds]
    for epochs in zip(*(result["curve"] for result in results), strict=True):
        for column in COLUMNS:
            values = [epoch[column] for epoch in epochs]
            yield np.mean(values), np.std(values, ddof=1)


def written(output, network):
    for row in table(output):
        if row["network"] == network:
            for column in COLUMNS:
                yield float(row[f"{column}_mean"]), float(row[f"{column}_sd"])


def colours(path):
    return {colour for _, colour in Image.open(path).convert("RGB").getcolors(10**6)}


def killed_in_seed(seed, warm, network, output, args):
    """Starts a training and kills it once the seed has a checkpoint."""
    process = warm.typed("nas.train", str(network), "--data", "digits", "-o", str(output), *args)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.is_alive():
        if list((output / f"seed-{seed}" / "checkpoints").glob("last-*.pt")):
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL
            return
        time.sleep(0.002)
    raise AssertionError(f"no checkpoint of seed {seed} before the end")


def test_a_kill_amid_the_second_seed_changes_no_figure(run, warm, networks, tmp_path, short):
    args = ("--epochs", "2", "--seeds", "2", "--checkpoint-steps", "2", "--val-fraction", "0.2")
    args = (*args, "--max-images", "100")
    output = tmp_path / "killed"
    killed_in_seed(1, warm, networks["batch"], output, (*short, *args))
    assert (output / "seed-0" / "result.json").is_file()
    assert not (output / "seed-1" / "result.json").exists()
    assert not (output / "curves.csv").exists()
    run(networks["batch"], output, *args)
    run(networks["batch"], tmp_path / "whole", *args)
    assert (output / "curves.csv").read_bytes() == (tmp_path / "whole" / "curves.csv").read_bytes()
    assert list(written(output, "batch")) == [pytest.approx(pair) for pair in by_hand(output, (0, 1))]
    for name in ("accuracy.png", "loss.png"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert Image.open(output / name).size == (1050, 690)
        assert BLUE in colours(output / name)


def test_earlier_trainings_are_drawn_beside(run, networks, tmp_path, capsys):
    args = ("--epochs", "1", "--max-images", "60", "--val-fraction", "0.2")
    run(networks["layer"], tmp_path / "layer", *args)
    run(networks["batch"], tmp_path / "batch", *args, "--beside", str(tmp_path / "layer"))
    assert [row["network"] for row in table(tmp_path / "batch")] == ["batch", "layer"]
    assert table(tmp_path / "layer")[0] == table(tmp_path / "batch")[1]
    assert table(tmp_path / "batch")[0]["val_top1_sd"] == ""  # one seed has no spread
    assert {BLUE, ORANGE} <= colours(tmp_path / "batch" / "loss.png")
    assert ORANGE not in colours(tmp_path / "layer" / "loss.png")
    # A third seed, later; and the figures follow.
    run(networks["batch"], tmp_path / "batch", *args, "--seeds", "2")
    assert [(row["network"], row["seeds"]) for row in table(tmp_path / "batch")] == [("batch", "2")]


def test_without_held_out_images_there_is_a_table_and_no_figure(run, networks, tmp_path):
    output = tmp_path / "out"
    run(networks["batch"], output, "--epochs", "1", "--max-images", "60", "--val-fraction", "0")
    assert not list(output.glob("*.png"))
    (row,) = table(output)
    assert float(row["train_loss_mean"]) > 0
    assert row["val_top1_mean"] == ""


def curve(epochs, shift=0.0):
    return [
        {
            "epoch": i + 1,
            "train_loss": 1.0,
            "val_loss": 2 - i / epochs,
            "val_top1": i / epochs + shift,
            "val_top5": 1.0,
        }
        for i in range(epochs)
    ]


def test_long_curves_have_few_error_bars_which_stand_apart(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    seen = []
    real = Axes.errorbar

    def watched(self, *args, **options):
        seen.append(options["errorevery"])
        return real(self, *args, **options)

    monkeypatch.setattr(Axes, "errorbar", watched)
    networks = {name: [curve(300), curve(300, 0.01)] for name in "abc"}
    assert curves.write(tmp_path, networks) == ["curves.csv", "accuracy.png", "loss.png"]
    assert seen == [(0, 15), (5, 15), (10, 15)] * 2


def test_networks_called_alike_are_told_apart(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    assert curves.unique([("t", a), ("s", b)]) == ["t", "s"]
    assert curves.unique([("t", a), ("t", b), ("s", b)]) == ["t (a)", "t (b)", "s"]
    assert curves.unique([("t", a / "x"), ("t", b / "x")]) == [f"t ({a / 'x'})", f"t ({b / 'x'})"]


def broken(folder, result="{}", training='{"training": {"model": "x"}}'):
    (folder / "seed-x").mkdir(parents=True)
    (folder / "seed-x" / "result.json").write_text(result)
    (folder / "train.json").write_text(training)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "holds no finished seed"),
        (lambda folder: broken(folder), "cannot be read"),
        (lambda folder: broken(folder, '{"curve": [{"epoch": "x"}]}'), "cannot be read"),
        (lambda folder: broken(folder, '{"curve": 3}'), "cannot be read"),
        (lambda folder: broken(folder, "{"), "cannot be read as JSON"),
        (lambda folder: broken(folder, training="[]"), "cannot be read"),
    ],
)
def test_what_cannot_stand_beside_is_one_line_before_anything_is_trained(
    make, words, run, networks, tmp_path
):
    make(tmp_path / "other")
    with pytest.raises(UserError) as caught:
        run(networks["batch"], tmp_path / "out", "--epochs", "1", "--beside", str(tmp_path / "other"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_output_itself_is_not_drawn_twice(run, networks, tmp_path):
    with pytest.raises(UserError, match="is drawn already"):
        run(
            networks["batch"],
            tmp_path / "out",
            "--epochs",
            "1",
            "--beside",
            str(tmp_path / "x" / ".." / "out"),
        )
