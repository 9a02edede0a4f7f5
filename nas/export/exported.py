"""The result of an export, and the facts that it records about the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nas
from nas.export import hub, weights
from nas.util.quantities import counted

if TYPE_CHECKING:
    from nas.export import source, summary
    from nas.export.forms import Form
    from nas.export.settings import ExportSettings
    from nas.trial.weights import SavedWeights

FORMAT = 1


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        rows: The network's blocks.
        totals: Total costs, those of the network itself first.
        forms: Its other file formats.
        note: How a run's network was chosen, and which choices have no effect; "" without any.
        searched: Whether it is the network that a run searched, which takes that run's images.
        space: The custom space whose code builds it, None for a space of this package.
        url: Address that it was pushed to, if any.
        again: Whether an exported folder was exported again, with its weights.
    """

    rows: list[summary.Row]
    totals: list[summary.Total]
    forms: list[Form]
    note: str = ""
    searched: bool = False
    space: str | None = None
    url: str | None = None
    again: bool = False


def pushed(settings: ExportSettings) -> str | None:
    """Uploads an exported folder if requested; returns the repository's address, or None.

    Raises:
        UserError: If the upload fails.
    """
    if settings.push_to_hub is None:
        return None
    return hub.push(settings.output, settings.push_to_hub, private=settings.private)


def description(kept: SavedWeights, found: source.Source) -> str:
    """Describes how a search trained weights, and their validation accuracy."""
    facts = kept.facts
    return (
        f"{counted(facts['epochs'], 'epoch')} on {found.facts['data']}, top-1 {100 * facts['top1']:.2f}% on "
        "the search's validation images"
    )


def config_entries(
    found: source.Source,
    own: summary.Total,
    seed: int,
    kept: SavedWeights | None,
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
