"""A step's forward and backward pass as one CUDA graph: one launch in the place of a thousand.

A small network's step on a GPU is bound by the host that launches its kernels. A graph is recorded once a
trial, on buffers of its own, and replayed for every batch. What it yields is compared with the eager pass
before it is used. Update rule, clipping and weight average stay eager: LAMB counts its steps in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from nas.training.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    Pass = Callable[[Tensor, Tensor], Tensor]

_WARM_UPS = 3  # as PyTorch advises: libraries choose and allocate in the first passes
_TOLERANCE = 0.01  # of a tensor's largest number: kernels may differ, the gradient may not


class Recorder(Protocol):
    """Makes something that repeats a function without running its Python."""

    def record(self, run: Callable[[], list[Tensor]]) -> tuple[list[Tensor], Callable[[], None]]:
        """Gives what ``run`` returned, and a call that computes it again into the same tensors."""
        ...


class CudaRecorder:
    """Records what a function launches as a CUDA graph."""

    def record(self, run: Callable[[], list[Tensor]]) -> tuple[list[Tensor], Callable[[], None]]:
        """As the protocol says; ``run`` must neither wait for the device nor change shapes."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = run()
        return found, graph.replay


class RecordedPass:
    """Forward and backward of batches of one shape, from a recording.

    Args:
        run: Takes images and targets, adds to the gradients, returns the loss ``()``.
        model: Whose gradients.
        images: An example.
        targets: Its targets.
        recorder: Records.
    """

    def __init__(
        self, run: Pass, model: nn.Module, images: Tensor, targets: Tensor, recorder: Recorder
    ) -> None:
        self._images, self._targets = images.clone(), targets.clone()
        parameters = list(model.parameters())

        def once() -> list[Tensor]:
            for parameter in parameters:
                parameter.grad = None  # the backward pass then writes where it added
            loss = run(self._images, self._targets)
            return [loss, *(p.grad for p in parameters if p.grad is not None)]

        (self._loss, *self._gradients), self._replay = recorder.record(once)
        self._parameters = [parameter for parameter in parameters if parameter.grad is not None]

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """Sets the gradients and returns the loss ``()``, as ``run`` after gradients were cleared."""
        self._images.copy_(images)
        self._targets.copy_(targets)
        self._replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._loss.clone()


def recorded(
    run: Pass, model: nn.Module, images: Tensor, targets: Tensor, recorder: Recorder, seed: int
) -> RecordedPass | str:
    """Records a pass and compares it with the eager one: same batch, same random numbers.

    Buffers and gradients are as before afterwards; random generators are not.

    Args:
        run: As for :class:`RecordedPass`.
        model: As there.
        images: As there.
        targets: As there.
        recorder: As there.
        seed: Of the random numbers that both draw.

    Returns:
        The pass, or in one line why it cannot be used.
    """
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        torch.manual_seed(seed)
        model.zero_grad(set_to_none=True)
        wanted = [run(images, targets).clone(), *_gradients(model)]
        found = RecordedPass(run, model, images, targets, recorder)
        torch.manual_seed(seed)
        got = [found(images, targets), *_gradients(model)]
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return str(error).splitlines()[0]
    finally:
        model.zero_grad(set_to_none=True)
        for buffer, before in buffers:
            buffer.copy_(before)
    if len(wanted) != len(got) or not all(map(_alike, wanted, got)):
        return "loss or gradients differ from the eager pass"
    return found


def _gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def _alike(wanted: Tensor, got: Tensor) -> bool:
    allowed = _TOLERANCE * wanted.abs().max() + 1e-6
    return bool(((wanted - got).abs().max() <= allowed).item())
