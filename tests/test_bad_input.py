"""Every wrong input is one line that names it, with exit code 2, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from nas.search import __main__ as search
from nas.status import __main__ as status
from nas.util import cli

GOOD_LABELS = np.arange(40) % 4
GOOD_IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def refused(capsys: pytest.CaptureFixture[str], main: Callable[[list[str]], int], args: list[str]) -> str:
    """Runs a command that must refuse; returns its one line."""
    with pytest.raises(SystemExit) as exit_:
        cli.run(lambda: main(args), "prog")
    out, err = capsys.readouterr()
    assert exit_.value.code == 2, err
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


def npz(folder: Path, **changes: Any) -> str:
    arrays = {"x_train": GOOD_IMAGES, "y_train": GOOD_LABELS, **changes}
    np.savez(folder / "data.npz", **{key: value for key, value in arrays.items() if value is not None})
    return f"npz:{folder / 'data.npz'}"


def text_file(folder: Path) -> str:
    (folder / "data.npz").write_text("not an archive")
    return f"npz:{folder / 'data.npz'}"


def truncated(folder: Path) -> str:
    spec = npz(folder, x_train=np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3)).astype(np.uint8))
    whole = (folder / "data.npz").read_bytes()
    (folder / "data.npz").write_bytes(whole[: len(whole) // 2])
    return spec


def empty_folder(folder: Path) -> str:
    (folder / "images").mkdir()
    return f"folder:{folder / 'images'}"


# What is wrong with the flags themselves: found before anything starts.
FLAGS = [
    (["--budgt", "3h"], r"--budgt.*--budget"),
    (["--budget", "3 weeks"], r"--budget '3 weeks'.*72h"),
    (["--budget", "0h"], r"--budget '0h'.*more than 0"),
    (["--budget", "-3h"], r"--budget"),
    (["--trials", "0"], r"--trials 0.*at least 1"),
    (["--trials", "many"], r"--trials"),
    (["--trial-timeout", "soon"], r"--trial-timeout 'soon'.*72h"),
    (["--optimizer", "magic"], r"--optimizer.*smac"),
    (["--space", "resnext"], r"resnext.*nexception"),
    (["--max-epochs", "44"], r"--max-epochs 44.*15 and 45"),
    (["--min-epochs", "0"], r"--min-epochs 0.*at least 1"),
    (["--eta", "1"], r"--eta 1.*at least 2"),
    (["--seed", "-1"], r"--seed -1"),
    (["--val-fraction", "1.5"], r"--val-fraction 1.5.*0.1"),
    (["--image-size", "4"], r"--image-size 4.*at least 8"),
    (["--threads", "0"], r"--threads 0"),
    (["--name", "a/b"], r"--name a/b: must be a folder's name; --runs-dir is the folder"),
    (["--name", ".."], r"--name \.\.: must be a folder's name"),
    (["--name", "n" * 300], r"--name n{20}\.\.\.: 300 bytes long; must be at most 200"),
    (["--name", os.fsdecode(b"caf\xe9")], r"--name b'caf.xe9': is not UTF-8"),
    (["--runs-dir", ""], r"--runs-dir: is empty"),
    (["--resume", ""], r"--resume: is empty"),
    (["--resume", os.fsdecode(b"caf\xe9")], r"--resume b'caf.xe9': is not UTF-8"),
    (["--resume", "n" * 300], r"--resume n{20}\.\.\.: 300 bytes long"),
    (["--resume", "auto", "--name", os.fsdecode(b"\xff")], r"--name b'.xff': is not UTF-8"),
    (["--trials", "99999999999999999999"], r"--trials 99999999999999999999: must be at most 9,007"),
    (["--device", "tpu"], r"--device tpu: must be auto, cpu, cuda or cuda:N"),
    (["--device", "cuda:-1"], r"--device cuda:-1: must be auto"),
    (["--device", "cpu", "--cuda-graphs"], r"--cuda-graphs: the device is cpu"),
    (["--reference", "--cuda-graphs"], r"--cuda-graphs: --reference switches them off"),
    (["--checkpoint-quota", "lots"], r"--checkpoint-quota 'lots'.*20GB"),
    (["--lr", "-1"], r"--lr -1"),
    (["--batch-size", "0"], r"--batch-size 0"),
    (["--initial-configs", "-1"], r"--initial-configs -1"),
    (["--prior", "bottleneck"], r"--prior bottleneck: must be HYPERPARAMETER=CHOICE"),
    (["--prior", "kernel=5"], r"--prior kernel: no such hyperparameter; did you mean kernel_mid"),
    (["--prior", "kernel_mid=4"], r"--prior kernel_mid=4: must be one of 3, 5, 7, 9"),
    (["--prior", "se=true:lots"], r"--prior se=true:lots: lots must be a number from 0.001 to 1000"),
    (["--prior", "se=true", "--optimizer", "random"], r"--prior: --optimizer random has no model"),
    (["--warm-start", "nowhere"], r"--warm-start nowhere: not a run folder"),
]

# What the trial process finds when it looks at data, network and device.
SURROUNDINGS: list[tuple[list[str] | Callable[[Path], str], str]] = [
    (["--dataset", "imagenet"], r"imagenet.*cifar100"),
    (["--dataset", "npz:nowhere.npz"], r"nowhere\.npz"),
    (["--dataset", "folder:nowhere"], r"nowhere"),
    (["--dataset", "digits", "--device", "cuda:7"], r"--device cuda:7.*cpu"),
    (["--dataset", "digits", "--width", "huge"], r"--width huge.*tiny"),
    (["--dataset", "digits", "--width", "1"], r"width.*1"),
    (["--dataset", "digits", "--max-images", "12"], r"--max-images 12.*20"),
    (text_file, r"data\.npz"),
    (truncated, r"data\.npz"),
    (empty_folder, r"images"),
    (lambda folder: npz(folder, y_train=None), r"y_train"),
    (lambda folder: npz(folder, x_train=GOOD_IMAGES.astype(np.float32)), r"uint8"),
    (lambda folder: npz(folder, x_train=np.arange(40 * 216).astype("u1").reshape(40, 8, 9, 3)), r"8.*9"),
    (lambda folder: npz(folder, x_train=np.zeros((40, 4, 4, 3), np.uint8)), r"4.*8"),
    (lambda folder: npz(folder, y_train=GOOD_LABELS - 1), r"label"),
    (lambda folder: npz(folder, y_train=GOOD_LABELS * 1.5), r"label"),
    (lambda folder: npz(folder, y_train=GOOD_LABELS * 0), r"class"),
    (lambda folder: npz(folder, y_train=GOOD_LABELS[:-1]), r"39.*40|40.*39"),
    (
        lambda folder: npz(folder, x_train=np.array([GOOD_IMAGES[0], GOOD_IMAGES[0][:7]] * 20, dtype=object)),
        r"data\.npz",
    ),
]


@pytest.mark.parametrize(
    ("args", "message"), FLAGS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_wrong_flag(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, args: list[str], message: str
) -> None:
    line = refused(capsys, search.main, ["--dataset", "digits", "--runs-dir", str(tmp_path / "runs"), *args])
    assert re.search(message, line), line
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("trials_here")
@pytest.mark.parametrize(("wrong", "message"), SURROUNDINGS)
def test_wrong_data_or_device(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, wrong: Any, message: str
) -> None:
    args = wrong if isinstance(wrong, list) else ["--dataset", wrong(tmp_path)]
    runs = tmp_path / "runs"
    line = refused(capsys, search.main, [*args, "--runs-dir", str(runs), "--data-dir", str(tmp_path / "d")])
    assert re.search(message, line), line
    assert not runs.exists() or not os.listdir(runs)


def test_runs_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused(capsys, search.main, ["--dataset", "digits", "--runs-dir", str(tmp_path / "file")])
    assert "--runs-dir" in line


def test_a_name_that_is_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    line = refused(
        capsys, search.main, ["--dataset", "digits", "--runs-dir", str(tmp_path), "--name", "mine"]
    )
    assert "exists already" in line
    assert "--resume" in line


def damage_settings(run: Path) -> None:
    (run / "search.json").write_text("{")


def another_version(run: Path) -> None:
    values = orjson.loads((run / "search.json").read_bytes())
    (run / "search.json").write_bytes(orjson.dumps({**values, "format": 99}))


def another_program(run: Path) -> None:
    values = orjson.loads((run / "search.json").read_bytes())
    values["settings"]["choice"]["unheard_of"] = 1
    (run / "search.json").write_bytes(orjson.dumps(values))


def damage_journal(run: Path) -> None:
    whole = (run / "trials.jsonl").read_bytes()
    (run / "trials.jsonl").write_bytes(whole.replace(b'"trial":3', b'"trial":4', 1))


def remove_journal(run: Path) -> None:
    (run / "trials.jsonl").unlink()


@pytest.mark.parametrize(
    ("harm", "args", "message"),
    [
        (damage_settings, [], r"search\.json"),
        (another_version, [], r"search\.json.*format 99"),
        (another_program, [], r"search\.json.*another version"),
        (damage_journal, [], r"trials\.jsonl: line \d+ is damaged"),
        (remove_journal, [], r"not a run folder"),
        (lambda run: None, ["--width", "64"], r"--width 64.*begun with"),
        (lambda run: None, ["--seed", "5"], r"--seed 5.*begun with 0"),
        (lambda run: None, ["--opt", "sgd"], r"--opt sgd.*begun with"),
        (lambda run: None, ["--budget", "x"], r"--budget 'x'"),
        (lambda run: None, ["--min-epochs", "3"], r"--min-epochs 3.*begun with 1"),
    ],
)
def test_a_run_that_cannot_be_resumed_is_left_as_it_was(
    capsys: pytest.CaptureFixture[str],
    finished_run: Path,
    tmp_path: Path,
    harm: Callable[[Path], None],
    args: list[str],
    message: str,
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    harm(run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    line = refused(capsys, search.main, ["--resume", str(run), *args])
    assert re.search(message, line), line
    after = {
        path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.name != ".lock"
    }
    assert after == {name: data for name, data in before.items() if name != ".lock"}


@pytest.mark.parametrize("main", [search.main, status.main])
def test_a_folder_that_is_no_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, main: Callable[[list[str]], int]
) -> None:
    args = ["--resume", str(tmp_path)] if main is search.main else [str(tmp_path)]
    assert "not a run folder" in refused(capsys, main, args)
    args[-1] = str(tmp_path / "nowhere")
    assert "no such folder" in refused(capsys, main, args)
