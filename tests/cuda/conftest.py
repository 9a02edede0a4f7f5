"""Pretended GPUs for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.cuda import calls
from tests.cuda.double import Gpu, Operations, Questions

GIB = 2**30


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Gpu]]:
    """Gives the machine GPUs until the test's end: ``fake_cuda(count=1, memory=80 * GIB)``."""
    with ExitStack() as stack:

        def plug_in(count: int = 1, memory: int = 80 * GIB) -> Gpu:
            gpu = Gpu(count, memory)
            calls.install(monkeypatch, gpu)
            stack.enter_context(Operations(gpu))
            stack.enter_context(Questions(gpu))
            return gpu

        yield plug_in
