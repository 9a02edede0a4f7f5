"""Functions recorded as CUDA graphs: one launch in the place of a thousand.

A small network's step on a GPU is bound by the host that launches its kernels. What is recorded reads and
writes tensors that stay where they are, so that a replay needs nothing of the host. What it yields is
compared with the function itself before it is used, and everything is put back as it was.
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

_WARM_UPS = 2  # on the stream to be recorded, where libraries allocate; the eager run went before
_TOLERANCE = 0.01  # of the largest change of a tensor: kernels may differ, what they compute may not
_NOISE = 1e-5  # of the largest change of any tensor of a kind: below, a change is rounding
_WHOLE = {"weights", "average"}
_DRIFT = 0.05  # of the length of a kind's changes: update rules blow rounding up to full steps


class Recorder(Protocol):
    """Makes something that repeats a function without running its Python."""

    def record(self, run: Run) -> Run:
        """Gives a call that does to the same tensors what ``run`` does; may itself run it."""
        ...


class Eager:
    """Records nothing: what it gives is the function itself."""

    def record(self, run: Run) -> Run:
        """As the protocol says."""
        return run


class CudaRecorder:
    """Records what a function launches as a CUDA graph, in a memory pool of its own that goes with it."""

    def record(self, run: Run) -> Run:
        """As the protocol says; ``run`` must neither wait for the device nor change shapes."""
        before = torch.cuda.current_stream()
        stream = torch.cuda.Stream()
        stream.wait_stream(before)
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                run()
        before.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may allocate and copy meanwhile, a checkpoint's for example.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                run()
        finally:
            torch.cuda.set_stream(before)  # a capture that fails leaves its own behind
        return graph.replay


def recorded(
    run: Run,
    state: Mapping[str, Sequence[Tensor]],
    recorder: Recorder,
    device: torch.device,
    seed: int = 0,
) -> Run | str:
    """Records a function and compares what it does with what the function does, from the same state.

    Too little memory is met by freeing what is not in use, once. The state, the places of its tensors and
    the random generators are as before afterwards.

    Args:
        run: Changes nothing but the state, and reads only tensors that stay where they are.
        state: All that it changes, by kind. What is compared is each tensor's change, element by element;
            of ``weights`` and ``average`` the length of all changes, since update rules make full steps of
            gradients that are nothing but rounding.
        recorder: Records.
        device: Where the tensors lie.
        seed: Of the random numbers that both draw.

    Returns:
        The recording, or in one line why it cannot be used.
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
            free_memory(device)  # outside the except block, which would hold what the attempt allocated
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
    """Whether two changes from one state are the same but for rounding; waits for the device once."""
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
    """Lengths of differences, ``(N,)``."""
    pairs = zip(tensors, others, strict=True)
    return torch.stack([torch.linalg.vector_norm(one.double() - other, order) for one, other in pairs])


class Rehearsed:
    """A function that is recorded once it has been called often enough for that to pay.

    Args:
        name: What it is, for a note.
        run: As for :func:`recorded`.
        state: As there.
        recorder: As there.
        device: As there.
        calls: Calls that are run as they are before it is recorded, some four of which that costs.
        on_note: Told, in one line, why it was not.
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
        """Does what the function does."""
        if self._left == 0:
            found = recorded(self._run, self._state, self._recorder, self._device)
            if isinstance(found, str):
                self._on_note(f"no CUDA graph of {self._name}: {found}")
            else:
                self._run = found
        self._left -= 1
        self._run()
