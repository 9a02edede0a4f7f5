"""Which steps a trial process records, and how a real recording is made, with CUDA's calls written down."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.execution.settings import MachineSettings
from nas.execution.trial_host import _recorder
from nas.search.session import worker_settings
from nas.search.settings import SearchSettings
from nas.trial.graphs import CudaRecorder, Eager


@pytest.mark.parametrize(
    ("device", "machine", "kind"),
    [
        ("cuda:0", {}, CudaRecorder),
        ("cuda:1", {"cuda_graphs": True}, CudaRecorder),
        ("cuda:0", {"cuda_graphs": False}, Eager),
        ("cuda:0", {"reference": True}, type(None)),
        ("cuda:0", {"reference": True, "cuda_graphs": False}, type(None)),
        ("cpu", {}, type(None)),
        ("cpu", {"cuda_graphs": False}, type(None)),
    ],
)
def test_graphs_are_on_for_a_gpu_unless_told_otherwise(device, machine, kind):
    search = replace(SearchSettings(), machine=MachineSettings(**machine))
    assert isinstance(_recorder(worker_settings(search, Path("checkpoints")), torch.device(device)), kind)


class Stream:
    def __init__(self, name="side"):
        self.name = name

    def wait_stream(self, other):
        CALLS.append(f"{self.name} waits for {other.name}")


CALLS = []


@pytest.fixture
def cuda(monkeypatch):
    CALLS.clear()
    current = [Stream("main")]

    @contextlib.contextmanager
    def on(stream):
        before, current[0] = current[0], stream
        yield
        current[0] = before

    class Graph:
        def replay(self):
            CALLS.append("replay")

    class Capture:
        """As PyTorch's: leaves its stream behind when the capture ends in an error."""

        def __init__(self, graph, capture_error_mode):
            assert capture_error_mode == "thread_local"

        def __enter__(self):
            self.before, current[0] = current[0], Stream("capture")

        def __exit__(self, kind, *_):
            if kind is not None:
                raise RuntimeError("operation failed due to a previous error during capture")
            current[0] = self.before

    monkeypatch.setattr("torch.cuda.current_stream", lambda: current[0])
    monkeypatch.setattr("torch.cuda.Stream", Stream)
    monkeypatch.setattr("torch.cuda.stream", on)
    monkeypatch.setattr("torch.cuda.set_stream", lambda stream: current.__setitem__(0, stream))
    monkeypatch.setattr("torch.cuda.CUDAGraph", Graph)
    monkeypatch.setattr("torch.cuda.graph", Capture)
    return current


def test_a_recording_warms_up_beside_and_gives_a_replay(cuda):
    replay = CudaRecorder().record(lambda: CALLS.append(f"run on {cuda[0].name}"))
    warm = ["side waits for main", "run on side", "run on side", "main waits for side"]
    assert [*warm, "run on capture"] == CALLS
    replay()
    assert CALLS[-1] == "replay"
    assert cuda[0].name == "main"


def test_a_capture_that_fails_leaves_no_stream_behind(cuda):
    def run():
        if cuda[0].name == "capture":
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="capture"):
        CudaRecorder().record(run)
    assert cuda[0].name == "main"
