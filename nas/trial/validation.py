"""Validation of a network: batch norms estimated from training images, then loss and accuracy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from nas.data.augment import Normalizer, sample_batches, val_batches
from nas.trial.graphs import Rehearsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from nas.data.device import DeviceData
    from nas.trial.graphs import Recorder

NORM_IMAGES = 512  # times 16 positions of the last map: about 8,000 values per channel
_REHEARSALS = 4  # calls that a recording costs


@torch.no_grad()
def estimate_batch_norm(
    model: nn.Module, data: DeviceData, *, batch_size: int = 256, bf16: bool = False
) -> None:
    """Sets batch norms' running statistics from unaugmented training images, for the present weights.

    Averaged weights have no statistics, and running ones lag behind by tens of steps: in the first epochs on
    few images they are useless, and configurations with batch norm would lose to those with layer norm. So
    they are estimated for the weights that are validated (PreciseBN, arXiv 2105.07576). Training never reads
    them.

    Args:
        model: The network, on the device of the data.
        data: The data; a few hundred images evenly spread over its training part are used.
        batch_size: Images per forward pass.
        bf16: Whether the forward pass is in bfloat16.
    """
    settle_batch_norm(
        model, sample_batches(data, NORM_IMAGES, batch_size), data.device, torch.bfloat16 if bf16 else None
    )


@torch.no_grad()
def settle_batch_norm(
    model: nn.Module, batches: Iterable[Tensor], device: torch.device, amp: torch.dtype | None = None
) -> None:
    """Sets batch norms' running statistics to the plain mean over batches; see :func:`estimate_batch_norm`.

    Args:
        model: The network, on the device; left in evaluation mode.
        batches: Images ``(B, C, H, W)`` on the device; not read if the network has no batch norm.
        device: The device.
        amp: Data type of autocast, None for float32.
    """
    norms = batch_norms(model)
    if not norms:
        return
    model.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    for number, images in enumerate(batches, start=1):
        for norm in norms:
            norm.momentum = 1 / number  # None would read the count from the device
        with torch.autocast(device.type, dtype=amp, enabled=amp is not None):
            model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


@torch.no_grad()
def evaluate(
    model: nn.Module, data: DeviceData, *, batch_size: int = 256, bf16: bool = False
) -> tuple[float, float, float]:
    """Evaluates a network on the validation part.

    Args:
        model: The network, on the device of the data; left in evaluation mode.
        data: The data; its validation part is used.
        batch_size: Images per forward pass.
        bf16: Whether the forward pass is in bfloat16.

    Returns:
        Softmax cross-entropy, top-1 and top-5 accuracy (over all guesses if there are fewer than 5 classes).
    """
    model.eval()
    guesses = min(5, data.num_classes)
    sums = torch.zeros(3, dtype=torch.float64, device=data.device)
    for images, labels in val_batches(data, batch_size):
        with torch.autocast(data.device.type, torch.bfloat16, enabled=bf16):
            logits = model(images)
        logits = logits.float()
        hits = logits.topk(guesses).indices == labels[:, None]
        sums[0] += functional.cross_entropy(logits, labels, reduction="sum")
        sums[1] += hits[:, 0].sum()
        sums[2] += hits.any(1).sum()
    loss, top1, top5 = (sums / len(data.val)).tolist()
    return loss, top1, top5


def batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Returns the layers whose statistics are estimated."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


class FixedValidation:
    """Estimates batch norms and validates, in batches of one shape with tensors at fixed addresses.

    The last validation batch is padded with copies of its last image, which do not count; the images that
    batch norms are estimated from make full batches. The results differ from those of
    :func:`estimate_batch_norm` and :func:`evaluate` by rounding, and by the images that norms are estimated
    from.

    Args:
        model: The network, on the device of the data.
        data: The data.
        batch_size: Images per forward pass, at most the number of training images; the same as in training,
            so that no library has to prepare kernels for another shape.
        bf16: Whether the forward pass is in bfloat16.
        recorder: Records both kinds of batches once they have run a few times.
        on_note: Called with one line on why a recording is not used.
    """

    def __init__(
        self,
        model: nn.Module,
        data: DeviceData,
        batch_size: int,
        bf16: bool,
        recorder: Recorder,
        on_note: Callable[[str], None],
    ) -> None:
        device = data.device
        self._model, self._data, self._bf16 = model, data, bf16
        self._normalize = Normalizer(data)
        self._offsets = torch.arange(batch_size, device=device)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)
        self._batches = math.ceil(len(data.val) / batch_size)

        many = max(min(math.ceil(NORM_IMAGES / batch_size), len(data.train) // batch_size), 1)
        self._norms = [norm for norm in batch_norms(model) if norm.track_running_stats]
        self._sample = torch.arange(many * batch_size, device=device).view(many, batch_size)
        self._sample = self._sample * len(data.train) // self._sample.numel()
        self._means = [torch.zeros_like(value) for value in self._statistics]

        def rehearsed(name: str, run: Callable[[], None], state: dict[str, list[Tensor]]) -> Rehearsed:
            return Rehearsed(name, run, state, recorder, device, _REHEARSALS, on_note)

        position = [self._position]
        counts = [norm.num_batches_tracked for norm in self._norms if norm.num_batches_tracked is not None]
        self._judge = rehearsed("validation", self._judge_batch, {"position": position, "sums": [self._sums]})
        self._estimate = rehearsed(
            "estimating batch norms",
            self._estimate_batch,
            {"position": position, "statistics": self._statistics, "means": self._means, "counts": counts},
        )

    @torch.no_grad()
    def __call__(self) -> tuple[float, float, float]:
        """Returns softmax cross-entropy, top-1 and top-5 accuracy; leaves the network in evaluation mode."""
        self._model.eval()
        if self._norms:
            self._estimate_norms()
        self._position.zero_()
        self._sums.zero_()
        for _ in range(self._batches):
            self._judge()
        loss, top1, top5 = (self._sums / len(self._data.val)).tolist()
        return loss, top1, top5

    def _estimate_norms(self) -> None:
        momenta = [norm.momentum for norm in self._norms]
        for norm in self._norms:
            norm.reset_running_stats()
            norm.momentum = 1.0  # takes over a batch's statistics
            norm.train()
        torch._foreach_zero_(self._means)
        self._position.zero_()
        for _ in range(len(self._sample)):
            self._estimate()
        torch._foreach_copy_(self._statistics, self._means)
        for norm, momentum in zip(self._norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()

    def _estimate_batch(self) -> None:
        rows = self._sample.index_select(0, self._position)[0]
        self._logits(self._data.train.images, rows)
        torch._foreach_add_(self._means, self._statistics, alpha=1 / len(self._sample))
        self._position.add_(1).remainder_(len(self._sample))  # stays in range however often it runs

    def _judge_batch(self) -> None:
        rows = self._position * len(self._offsets) + self._offsets
        real = rows < len(self._data.val)
        rows = rows.clamp(max=len(self._data.val) - 1)
        logits, labels = self._logits(self._data.val.images, rows), self._data.val.labels[rows]
        losses = functional.cross_entropy(logits, labels, reduction="none")
        hits = logits.topk(min(5, self._data.num_classes)).indices == labels[:, None]
        figures = torch.stack([losses, hits[:, 0].float(), hits.any(1).float()])
        self._sums.add_(torch.where(real, figures, 0.0).sum(1))
        self._position.add_(1).remainder_(self._batches)

    def _logits(self, images: Tensor, rows: Tensor) -> Tensor:
        """Returns logits ``(B, num_classes)``, float32, of some of the images ``(N, C, H, W)``."""
        pixels = images.permute(0, 2, 3, 1).index_select(0, rows)
        with torch.autocast(self._data.device.type, torch.bfloat16, enabled=self._bf16):
            logits: Tensor = self._model(self._normalize(pixels).permute(0, 3, 1, 2))
        return logits.float()

    @property
    def _statistics(self) -> list[Tensor]:
        found = [value for norm in self._norms for value in (norm.running_mean, norm.running_var)]
        return [value for value in found if value is not None]
