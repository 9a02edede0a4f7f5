import numpy as np
import pytest
import torch

from nas.training.memory import PeakMemory, is_out_of_memory


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_mean_too_little_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_the_host_allocators_own_error():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_peak_covers_what_was_freed_again():
    with PeakMemory(torch.device("cpu")) as peak:
        before = peak.bytes
        block = np.ones(2**26, dtype=np.uint8)
        del block
        assert peak.bytes >= before + 2**25
