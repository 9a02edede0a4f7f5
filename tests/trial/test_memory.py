import subprocess
import sys

import numpy as np
import pytest
import torch

from nas.trial.memory import PeakMemory, is_out_of_memory


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


_REUSE = """
import resource, sys, torch
from nas.trial.memory import free_memory, keep_freed_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        tensors = [torch.ones(1 << 20) for _ in range(40)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

torch.set_num_threads(1)
faults(2)
before = faults(3)
keep_freed_memory()
faults(2)
after, kept = faults(3), resident()
free_memory(torch.device("cpu"))
print(before, after, kept - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_kept_within_a_trial_and_returned_after_it():
    out = subprocess.run([sys.executable, "-c", _REUSE], capture_output=True, text=True, check=True).stdout
    before, after, returned = map(int, out.split())
    assert before > 100  # pages of 4 KB or of 2 MB, as the system chooses
    assert after < 0.05 * before
    assert returned > 0.9 * 40 * (4 << 20)
