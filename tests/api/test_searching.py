"""Searches from Python as users write them: real processes, real training, a real Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import orjson
import pytest

import nas
from tests.api import programs

SCRIPT = """
import os, signal, sys
import numpy as np
import nas

TINY = dict(width=16, threads=1, min_epochs=1, max_epochs=2, eta=2, optimizer="random")


def images():
    draw = np.random.default_rng(0)
    labels = np.arange(150) % 3
    pixels = draw.integers(0, 100, (150, 8, 8))
    pixels[np.arange(150), labels] += 150
    return pixels.astype(np.uint8), labels, ["low", "middle", "high"]


def interrupt(trial):
    assert trial.status == "success" and trial.curve[trial.epochs]["top1"] == trial.top1
    os.kill(os.getpid(), signal.SIGINT)  # what a notebook's stop button and Ctrl-C send


"""
SEARCH = """
run = nas.run_search(images(), budget=600, trials=3, name="mine", on_trial=interrupt, **TINY)
print("SAID", run.stopped, sum(t.status == "success" for t in run.trials))
"""
MAIN = 'if __name__ == "__main__":\n'


def python(*command: str, folder: Path, typed: str | None = None) -> tuple[str, str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = programs.python(*command, folder=folder, typed=typed, environment=environment, timeout=240)
    return process.stdout, process.stderr


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Typed into an interpreter, as into a notebook, and interrupted at the first trial's end."""
    folder = tmp_path_factory.mktemp("notebook")
    out, err = python("-", folder=folder, typed=SCRIPT + SEARCH)
    assert err == ""
    return folder, out


def test_ctrl_c_returns_the_run_with_what_is_finished(interrupted: tuple[Path, str]) -> None:
    folder, out = interrupted
    assert out.splitlines()[-1] == "SAID interrupted 1"
    assert "\x1b" not in out
    assert "run folder runs/mine" in out
    assert "images.npz, and PyTorch on device auto ..." in out
    assert [path.name for path in (folder / "runs").iterdir()] == ["mine"]
    with np.load(folder / "runs" / "mine" / "images.npz") as kept:
        assert kept["x_train"].shape == (150, 8, 8, 1)


def test_it_is_resumed_where_it_was_moved_to(interrupted: tuple[Path, str], tmp_path: Path) -> None:
    """By a script, quietly; and the network it found is the one that was measured."""
    path = shutil.copytree(interrupted[0] / "runs" / "mine", tmp_path / "moved")
    code = f"""
    epochs = []
    note = lambda trial: epochs.append(max(trial.curve))
    run = nas.resume_search({str(path)!r}, trials=3, quiet=True, on_epoch=note)
    assert epochs and set(epochs) <= {{1, 2}}, epochs
    assert run.stopped == "trials" and len(run.trials_dataframe()) >= 3
    import torch
    pixels, labels, _ = images()
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in run.normalisation())
    with torch.inference_mode():
        found = run.network()((torch.from_numpy(pixels)[:, None] / 255 - mean) / std).argmax(1).numpy()
    print((found == labels).mean(), run.incumbent.top1)
"""
    (tmp_path / "script.py").write_text(SCRIPT + MAIN + code)
    out, err = python("script.py", folder=tmp_path)
    assert err == ""
    share, top1 = map(float, out.split())  # nothing else is printed
    assert abs(share - top1) < 0.25
    data = orjson.loads((path / "search.json").read_bytes())["settings"]["data"]
    assert data["dataset"] == f"npz:{path / 'images.npz'}"


def test_other_images_are_refused(interrupted: tuple[Path, str], tmp_path: Path, trials_here: None) -> None:
    path = shutil.copytree(interrupted[0] / "runs" / "mine", tmp_path / "changed")
    with np.load(path / "images.npz") as kept:
        arrays = dict(kept)
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez(path / "images.npz", **arrays)
    before = (path / "trials.jsonl").read_bytes()
    with pytest.raises(nas.UserError, match="not the images this run began with"):
        nas.resume_search(path, trials=3, quiet=True)
    assert (path / "trials.jsonl").read_bytes() == before


def test_what_a_callback_raises_ends_the_search_in_order(
    interrupted: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], trials_here: None
) -> None:
    path = shutil.copytree(interrupted[0] / "runs" / "mine", tmp_path / "failing")

    def fail(trial: nas.Trial) -> None:
        raise ZeroDivisionError("mine")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError, match="mine"):
        nas.resume_search(path, trials=9, on_trial=fail)
    assert signal.getsignal(signal.SIGINT) is before
    run = nas.open_run(path)
    assert run.stopped == "interrupted"
    assert run.status == "stopped"
    assert "search stops: interrupted" in capsys.readouterr().out


def test_what_cannot_begin_leaves_nothing(tmp_path: Path, trials_here: None) -> None:
    data = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2  # all alike
    draw = np.random.default_rng(0).integers(0, 256, (20, 8, 9)).astype(np.uint8), data[1]  # not square
    for wrong in (data, draw):
        with pytest.raises(nas.UserError) as caught:
            nas.run_search(wrong, runs_dir=tmp_path / "runs", name="new", quiet=True)
        assert "--" not in str(caught.value)
    assert not list(tmp_path.glob("runs/*"))
    (tmp_path / "runs" / "there").mkdir(parents=True)
    with pytest.raises(nas.UserError, match=r"there: exists already, and is not a run"):
        nas.run_search("digits", runs_dir=tmp_path / "runs", name="there")
    (tmp_path / "runs" / "there" / "search.json").touch()
    with pytest.raises(nas.UserError, match=r"nas\.resume_search\('.*there'\) goes on with it"):
        nas.run_search("digits", runs_dir=tmp_path / "runs", name="there")
    for name in ("", "a/b", "..", 3):
        with pytest.raises(nas.UserError, match="must be a folder's name"):
            nas.run_search("digits", runs_dir=tmp_path / "runs", name=name)


def test_what_may_not_change_is_named(interrupted: tuple[Path, str]) -> None:
    path = interrupted[0] / "runs" / "mine"
    with pytest.raises(nas.UserError, match=r"^seed=3: this run was begun with 0"):
        nas.resume_search(path, seed=3)
    with pytest.raises(nas.UserError, match=r"^device=tpu: must be"):
        nas.resume_search(path, device="tpu")
