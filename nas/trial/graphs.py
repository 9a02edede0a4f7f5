"""Functions recorded as CUDA graphs: one launch in place of a thousand.

A small network's step on a GPU is limited by the host that launches its kernels. A recorded function reads
and writes tensors with fixed addresses, so that a replay needs nothing from the host. Before a recording is
used, its results are compared with those of the function itself, and all tensors are restored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from nas.trial.memory import free_memory, is_out_of_memory
from nas.util.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    Run = Callable[[], None]

_WARM_UPS = 2  # on the stream to record, where libraries allocate; after the eager run
_TOLERANCE = 0.01  # of the largest change of a tensor: kernels may differ, results may not
_NOISE = 1e-5  # of the largest change of any tensor of a kind: smaller changes are rounding
_WHOLE = {"weights", "average"}
_DRIFT = 0.05  # of the norm of a kind's changes: update rules amplify rounding to full steps


class Recorder(Protocol):
    """Records functions so that they can be repeated without running their Python code."""

    def record(self, run: Run) -> Run:
        """Returns a function with the effect of ``run`` on the same tensors; may call ``run``."""
        ...


class Eager:
    """Records nothing: returns the function itself."""

    def record(self, run: Run) -> Run:
        """See :class:`Recorder`."""
        return run


class CudaRecorder:
    """Records the kernels that a function launches as a CUDA graph with a separate memory pool."""

    def record(self, run: Run) -> Run:
        """See :class:`Recorder`; ``run`` must neither wait for the device nor change shapes."""
        before = torch.cuda.current_stream()
        stream = torch.cuda.Stream()
        stream.wait_stream(before)
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                run()
        before.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads, such as that of a checkpoint, may allocate and copy meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                run()
        finally:
            torch.cuda.set_stream(before)  # a failed capture leaves its stream set
        return graph.replay


def recorded(
    run: Run,
    state: Mapping[str, Sequence[Tensor]],
    recorder: Recorder,
    device: torch.device,
    seed: int = 0,
) -> Run | str:
    """Records a function and compares recording and function from the same state.

    If memory is short, unused memory is freed and the recording tried once more. Afterwards the state, the
    addresses of its tensors and the random generators are as before.

    Args:
        run: Changes nothing but the state, and reads only tensors with fixed addresses.
        state: All tensors that it changes, by kind. The change of each tensor is compared element by element;
            for ``weights`` and ``average`` the norm of all changes, since update rules make full steps of
            gradients that are nothing but rounding.
        recorder: Makes the recording.
        device: Device of the tensors.
        seed: Seed of the random numbers that both draw.

    Returns:
        The recording, or one line on why it cannot be used.
    """
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        for last in (False, True):
            try:
                return _attempt(run, state, recorder, seed)
            except RuntimeError as error:
                memory, reason = is_out_of_memory(error), first_line(error)
            if not memory or last:
                break
            free_memory(device)  # outside the except block, which would keep the attempt's memory alive
    return reason


def _attempt(run: Run, state: Mapping[str, Sequence[Tensor]], recorder: Recorder, seed: int) -> Run | str:
    before = _copies(state)
    try:
        torch.manual_seed(seed)
        run()
        wanted = _copies(state)
        _put_back(state, before)
        replay = recorder.record(run)
        _put_back(state, before)
        torch.manual_seed(seed)
        replay()
        for kind, tensors in state.items():
            if not _alike(before[kind], wanted[kind], tensors, whole=kind in _WHOLE):
                return f"it changes {kind} in another way than the eager step"
    finally:
        _put_back(state, before)
    return replay


def _copies(state: Mapping[str, Sequence[Tensor]]) -> dict[str, list[Tensor]]:
    return {kind: [tensor.detach().clone() for tensor in tensors] for kind, tensors in state.items()}


@torch.no_grad()
def _put_back(state: Mapping[str, Sequence[Tensor]], before: Mapping[str, Sequence[Tensor]]) -> None:
    for kind, tensors in state.items():
        for tensor, value in zip(tensors, before[kind], strict=True):
            tensor.copy_(value)


@torch.no_grad()
def _alike(before: Sequence[Tensor], wanted: Sequence[Tensor], got: Sequence[Tensor], whole: bool) -> bool:
    """Whether two changes from one state are equal up to rounding; waits for the device once."""
    if not before:
        return True
    order = 2.0 if whole else float("inf")
    change, error = _norms(wanted, before, order), _norms(got, wanted, order)
    size = torch.stack([torch.linalg.vector_norm(one.double(), order) for one in wanted])
    if whole:
        change, error, size = (torch.linalg.vector_norm(norms)[None] for norms in (change, error, size))
    allowed = (_DRIFT if whole else _TOLERANCE) * change + _NOISE * change.max() + 1e-6 * size
    return bool((error <= allowed).all().item())


def _norms(tensors: Sequence[Tensor], others: Sequence[Tensor], order: float) -> Tensor:
    """Norms of differences, ``(N,)``."""
    pairs = zip(tensors, others, strict=True)
    return torch.stack([torch.linalg.vector_norm(one.double() - other, order) for one, other in pairs])


class Rehearsed:
    """A function that is recorded once it has been called often enough for a recording to pay.

    Args:
        name: Description for notes.
        run: See :func:`recorded`.
        state: See :func:`recorded`.
        recorder: See :func:`recorded`.
        device: See :func:`recorded`.
        calls: Number of plain calls before the recording, which costs about four of them.
        on_note: Called with one line on why it was not recorded.
    """

    def __init__(
        self,
        name: str,
        run: Run,
        state: Mapping[str, Sequence[Tensor]],
        recorder: Recorder,
        device: torch.device,
        calls: int,
        on_note: Callable[[str], None],
    ) -> None:
        self._name, self._run, self._state, self._recorder = name, run, state, recorder
        self._device, self._left, self._on_note = device, calls, on_note

    def __call__(self) -> None:
        """Runs the function, or its recording."""
        if self._left == 0:
            found = recorded(self._run, self._state, self._recorder, self._device)
            if isinstance(found, str):
                self._on_note(f"no CUDA graph of {self._name}: {found}")
            else:
                self._run = found
        self._left -= 1
        self._run()
