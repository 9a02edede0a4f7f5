"""The rule answers for every shape of the space, with nothing but ways that are compared before."""

import itertools
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.depthwise import problems
from nas.trial.kernels.depthwise import agreement, triton_implementation
from nas.trial.kernels.depthwise.rule import PASSES, Problem, candidates, choose

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def assert_known(problem):
    choice = choose(problem)
    allowed = candidates(problem.device, problem.dtype, problem.size, problem.stride)
    for of, way in zip(PASSES, choice, strict=True):
        assert way == "library" or (of, way) in allowed
    return choice


@given(
    st.builds(
        Problem,
        st.sampled_from(["cpu", "cuda", "mps"]),
        st.sampled_from(DTYPES),
        st.integers(1, 2048),
        st.integers(1, 4096),
        st.integers(1, 300),
        st.integers(1, 300),
        st.sampled_from([1, 3, 5, 7, 9, 11, 31]),
        st.sampled_from([1, 2]),
    )
)
def test_whatever_is_chosen_is_compared_before(problem):
    assert_known(problem)


@cache
def shapes(width):
    """The same on every device."""
    return problems(width, 32, 128, "cuda", torch.bfloat16, (3, 5, 7, 9))


@pytest.mark.parametrize("width", [16, 64, 512])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_shape_of_the_space_has_ways_and_large_kernels_fast_ones(device, width):
    found = [replace(problem, device=device) for problem in shapes(width)]
    # Kernels of both blocks before the first pooling and after it, the tail's and the pooling's own.
    assert {(p.size, p.stride) for p in found} == {(3, 1), (5, 1), (7, 1), (9, 1), (3, 2)}
    assert {p.height for p in found} == {16, 8, 4}
    for problem in found:
        choice = assert_known(problem)
        if problem.size == 9:
            slow = {"cpu": ("weight_gradient",), "cuda": PASSES}[device]
            assert all(getattr(choice, of) != "library" for of in slow), problem


def test_the_check_sees_every_program_that_may_be_compiled():
    """Triton compiles for each kernel, stride, tile of columns and whether channels are sixteens."""

    def tile(width, size):
        return triton_implementation._tile(size, (1, -1), width, width, 4)

    for size in (5, 7, 9):
        seen = {tile(width, size) for width in agreement._WIDTHS}
        assert {tile(width, size) for width in range(1, 300)} == seen
    assert agreement._CHANNELS % 16 == 0
    for channels, dtype in itertools.product(range(1, 100), DTYPES):
        choice = choose(Problem("cuda", dtype, 64, channels, 8, 8, 9, 1))
        assert ("triton" in choice) == (channels % 16 == 0 and dtype != torch.float32)
