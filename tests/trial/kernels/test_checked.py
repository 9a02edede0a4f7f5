"""What raises or differs is not used, with one note; what agrees is used, and neither is computed twice."""

import warnings

import pytest
import torch

from nas.trial.kernels.checked import TOLERANCES, Checks, example

HALF = TOLERANCES[torch.bfloat16]


def check(fast, tolerance=HALF):
    notes = []
    checks = Checks(notes.append)
    wanted = example(4, 3, device=torch.device("cpu"), dtype=torch.float32)
    first = checks.passes("cubes", 3, lambda: fast(wanted), lambda: [wanted], tolerance)
    assert checks.passes("cubes", 3, lambda: fast(wanted), lambda: [wanted], tolerance) == first
    return first, notes


def raising(_):
    raise ValueError("no such\ninstruction")


@pytest.mark.parametrize(
    ("fast", "reason"),
    [
        (lambda x: [x], None),
        (lambda x: [x.bfloat16()], None),
        (lambda x: [x * 1.05], "other numbers"),
        (lambda x: [x * float("nan")], "other numbers"),
        (lambda x: [x[:1]], "other numbers"),
        (lambda x: [], "does not run here"),
        (raising, r"does not run here (ValueError: no such)"),
    ],
)
def test_what_fails_is_noted_once_and_not_used(fast, reason):
    passed, notes = check(fast)
    assert passed == (reason is None)
    assert len(notes) == (reason is not None)
    assert reason is None or (notes[0].startswith("cubes: ") and reason in notes[0] and "\n" not in notes[0])


def test_each_variant_is_found_out_by_itself():
    checks, one = Checks(), torch.ones(1)
    assert not checks.passes("cubes", 3, lambda: [one + 1], lambda: [one], HALF)
    assert checks.passes("cubes", 5, lambda: [one], lambda: [one], HALF)
    assert checks.passes("balls", 3, lambda: [one], lambda: [one], HALF)


def test_full_memory_is_no_fault_of_the_way():
    def full(_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        check(full)


def test_examples_leave_the_random_generators_alone_and_casts_are_off():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again = (example(2, 3, 4, 4, device=torch.device("cpu"), dtype=torch.float16) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert first.is_contiguous(memory_format=torch.channels_last)
    matrix, seen = torch.eye(2), []
    with warnings.catch_warnings(), torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        warnings.simplefilter("error")
        Checks().passes("products", 0, lambda: seen.append(matrix @ matrix) or seen, lambda: [matrix], HALF)
    assert seen[0].dtype == torch.float32
