"""Small networks of the search space, exported as a user would, and trainings in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from nas.export import __main__ as export
from nas.train import __main__ as train

SPACE = search_spaces.get("nexception")
# Table 1's recipe, as short as a test must be.
SHORT = ("--batch-size", "20", "--max-images", "200", "--workers", "0", "--warmup-epochs", "1", "--quiet")


@pytest.fixture(autouse=True)
def _one_process(one_thread: None) -> Iterator[None]:
    from accelerate.state import AcceleratorState, GradientState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory, tiny_geometry: Any) -> dict[str, Path]:
    """Exported folders: ``batch`` (batch norm) and ``layer`` (layer norm, nothing random in training)."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "tiny.json").write_text(json.dumps(tiny_geometry.to_json()))
    for norm in ("batch", "layer"):
        config = {**SPACE.points["nexception"], "norm": norm}
        (folder / f"{norm}.json").write_text(json.dumps(config))
        args = [str(folder / f"{norm}.json"), "--geometry", str(folder / "tiny.json"), "--num-classes", "10"]
        assert export.main([*args, "-o", str(folder / norm), "--quiet"]) == 0
    return {norm: folder / norm for norm in ("batch", "layer")}


def run(network: Path | str, output: Path, *args: str, data: str = "digits") -> dict[str, Any]:
    """Trains in this process; returns the first seed's result."""
    assert train.main([str(network), "--data", data, "-o", str(output), *SHORT, *args]) == 0
    return json.loads((output / "seed-0" / "result.json").read_text())


@pytest.fixture
def short() -> tuple[str, ...]:
    """The flags of ``run``, for trainings in other processes."""
    return SHORT


@pytest.fixture(name="run")
def _run() -> Callable[..., dict[str, Any]]:
    return run


def figures(result: dict[str, Any]) -> list[tuple[float, ...]]:
    """Returns a curve's metrics of learning, without times and memory."""
    keys = ("epoch", "train_loss", "val_loss", "val_top1", "val_top5", "lr")
    return [tuple(row[key] for key in keys) for row in result["curve"]]


@pytest.fixture(name="figures")
def _figures() -> Callable[[dict[str, Any]], list[tuple[float, ...]]]:
    return figures
