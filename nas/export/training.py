"""What an exported folder's config.json says of how its weights were trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.export.weights import BY_SEARCH

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class HeldOut:
    """What a training held out of its images, so that it can be found again.

    Attributes:
        data: Which images it was.
        fraction: Share of them; 0 if it learned from all.
        seed: Seed of ``nas.train``.
        max_images: How many of them it took; None for all.
    """

    data: str
    fraction: float
    seed: int
    max_images: int | None = None

    @classmethod
    def of(cls, trained: Mapping[str, Any]) -> HeldOut | None:
        """Reads what config.json says of a training, None if it does not say."""
        try:
            share, seed = float(trained["val_fraction"]), int(trained["split_seed"])
            return cls(str(trained["data"]), share, seed, trained.get("max_images"))
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Training:
    """How a folder's weights were trained, as far as readers ask.

    Attributes:
        by_search: Whether a search trained them, on part of its images.
        test_top1: Accuracy on the test part, 0..1; None if it was not measured.
        held_out: What ``nas.train`` held out; None if it did not train them.
    """

    by_search: bool = False
    test_top1: float | None = None
    held_out: HeldOut | None = None

    @classmethod
    def of(cls, trained: object) -> Training:
        """Reads the entry ``trained`` of config.json; of anything else, nothing is known."""
        if not isinstance(trained, dict):
            return cls()
        test = trained.get("test")
        top1 = test.get("top1") if isinstance(test, dict) else None
        known = float(top1) if isinstance(top1, int | float) else None
        return cls(trained.get("by") == BY_SEARCH, known, HeldOut.of(trained))
