"""What every export writes besides the network: its other forms, and what is known of it."""

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
    """What was written: the blocks, the totals (the network itself first), and the forms' differences.

    ``note`` says how a run's network was chosen, and which choices shape nothing; "" without any.
    ``searched`` is whether it is the network that a run searched, and takes that run's images.
    ``space`` is what to name to have its code run, if that is not ours.
    ``url`` is where it was pushed to, if that was asked.
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
    """The forms that were asked for, of a network that takes images of ``shape`` ``(C, H, W)``."""

    settings: ExportSettings
    model: nn.Module
    shape: tuple[int, int, int]
    differences: dict[str, float] = field(default_factory=dict)

    def write(self, staging: Path) -> None:
        """Writes them into a folder, and compares their answers.

        Raises:
            UserError: If one answers otherwise.
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
    """How a search trained weights, and how good it found them."""
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
    """What config.json says of a network besides what timm asks for."""
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
