"""Which device a name means, and that it always has an index."""

import pytest
import torch

from nas.util import machine
from nas.util.errors import UserError


@pytest.mark.parametrize(
    ("name", "count", "device"),
    [
        ("auto", 0, "cpu"),
        ("auto", 1, "cuda:0"),
        ("auto", 2, "cuda:0"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda:0"),
        ("cuda", 3, "cuda:0"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_a_name_means_a_device_with_an_index(fake_cuda, name, count, device):
    gpu = fake_cuda(count=count)
    found = machine.find_device(name)
    assert found == torch.device(device)
    assert found.index == (None if device == "cpu" else gpu.current)
    assert machine.hardware(found)["device"].startswith(device)
    assert machine.with_index(found) == found


@pytest.mark.parametrize(
    ("name", "count", "words"),
    [
        ("cuda", 0, "device=cuda: this machine has no GPU; use device=auto or cpu"),
        ("cuda:0", 0, "device=cuda:0: this machine has no GPU"),
        ("cuda:1", 1, "device=cuda:1: this machine has only 1 GPU (cuda:0 to cuda:0)"),
        ("cuda:7", 2, "device=cuda:7: this machine has only 2 GPUs (cuda:0 to cuda:1)"),
    ],
)
def test_a_gpu_that_is_not_there_is_one_line(fake_cuda, name, count, words):
    fake_cuda(count=count)
    with pytest.raises(UserError) as caught:
        machine.find_device(name)
    assert words in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError, torch.AcceleratorError])
def test_a_gpu_that_does_not_start_is_one_line(fake_cuda, monkeypatch, error):
    fake_cuda()

    def busy(index):
        raise error("CUDA error: all devices are busy\nMore of it.")

    monkeypatch.setattr("torch._C._cuda_setDevice", busy)
    with pytest.raises(UserError) as caught:
        machine.find_device("auto")
    assert str(caught.value) == (
        "device=auto: the GPU does not start (CUDA error: all devices are busy); use device=cpu"
    )


def test_a_library_s_gpu_without_index_is_the_current_one(fake_cuda):
    fake_cuda(count=2)
    torch.cuda.set_device(1)
    assert machine.with_index(torch.device("cuda")) == torch.device("cuda:1")
    assert machine.with_index(torch.device("cpu")) == torch.device("cpu")
