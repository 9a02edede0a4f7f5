"""What every export writes besides the network: other formats, and the facts known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import nas
from nas.export import weights
from nas.util import output

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from nas.export import source, summary
    from nas.export.settings import ExportSettings
    from nas.trial.weights import Kept

FORMAT = 1
ONNX = "model.onnx"
TORCH_EXPORT = "model.pt2"


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        rows: The network's blocks.
        totals: Total costs, those of the network itself first.
        differences: Largest differences between the other formats and the original, by format.
        note: How a run's network was chosen, and which choices have no effect; "" without any.
        searched: Whether it is the network that a run searched, which takes that run's images.
        space: The custom space whose code builds it, None for a space of this package.
        url: Address that it was pushed to, if any.
    """

    rows: list[summary.Row]
    totals: list[summary.Total]
    differences: dict[str, float]
    note: str = ""
    searched: bool = False
    space: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class OtherForms:
    """Writes the requested formats of a network that takes images of ``shape`` ``(C, H, W)``."""

    settings: ExportSettings
    model: nn.Module
    shape: tuple[int, int, int]
    differences: dict[str, float] = field(default_factory=dict)

    def write(self, staging: Path) -> None:
        """Writes them to a folder and compares their outputs with the network's.

        Raises:
            UserError: If the outputs of one differ.
        """
        from nas.export import formats

        if self.settings.onnx:
            output.doing("writing ONNX and comparing its answers")
            self.differences[ONNX] = formats.write_onnx(self.model, staging / ONNX, self.shape)
        if self.settings.torch_export:
            output.doing("writing torch.export's form and comparing its answers")
            target = staging / TORCH_EXPORT
            self.differences[TORCH_EXPORT] = formats.write_torch_export(self.model, target, self.shape)


def in_words(kept: Kept, found: source.Source) -> str:
    """Describes how a search trained weights, and their validation accuracy."""
    facts = kept.facts
    return (
        f"{facts['epochs']} epochs on {found.facts['data']}, top-1 {100 * facts['top1']:.2f}% on the "
        "search's validation images"
    )


def own_facts(
    found: source.Source,
    own: summary.Total,
    seed: int,
    kept: Kept | None,
    released: dict[str, Any] | None,
) -> dict[str, Any]:
    """Returns the entries of config.json that timm does not read."""
    learned = released
    if kept is not None:
        facts = kept.facts
        learned = {
            "by": weights.BY_SEARCH,
            "data": found.facts["data"],
            "epochs": facts["epochs"],
            "seed": facts["seed"],
            "validation": {"top1": facts["top1"], "loss": facts["val_loss"]},
        }
    return {
        "format": FORMAT,
        "version": nas.__version__,
        "source": found.facts,
        "params": own.params,
        "macs": own.macs,
        "init_seed": seed if released is None else None,
        "trained": learned,
    }
