"""Stratified parts of a labelled set: validation, held-out tests, smaller subsets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Split(NamedTuple):
    """Positions of two disjoint parts that together are the whole, each in rising order."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over both parts: what a run records to prove which images it chose by."""
        digest = hashlib.sha256(self.train.tobytes())
        digest.update(b"|")
        digest.update(self.val.tobytes())
        return digest.hexdigest()


def stratified_split(labels: NDArray[np.int64], fraction: float, seed: int) -> Split:
    """Sets a part of every class aside.

    Args:
        labels: ``(N,)``; every class that occurs does so at least twice.
        fraction: Share of each class in the second part, in (0, 1); at least one image and never all.
        seed: Equal seeds and labels give equal parts.

    Raises:
        ValueError: If a class has one image only, or ``fraction`` is out of range.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
    counts = np.bincount(labels)
    if (counts == 1).any():
        raise ValueError(f"class {int((counts == 1).argmax())} has one image; a split needs two")
    wanted = np.clip(np.rint(fraction * counts).astype(np.int64), 1, np.maximum(counts - 1, 0))
    in_val = _pick(labels, wanted, seed)
    return Split(np.flatnonzero(~in_val), np.flatnonzero(in_val))


def stratified_subset(labels: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Positions, rising, of ``size`` images that keep the classes' shares, two of each class at least.

    Args:
        labels: ``(N,)``; every class that occurs does so at least twice.
        size: Images wanted, from twice the number of classes to N.
        seed: Equal seeds and labels give equal subsets.
    """
    counts = np.bincount(labels)
    spare = np.maximum(counts - 2, 0)  # what a class can give beyond its first two
    exact = spare * (size - np.minimum(counts, 2).sum()) / max(spare.sum(), 1)
    extra = np.floor(exact).astype(np.int64)
    missing = size - int(np.minimum(counts, 2).sum() + extra.sum())
    extra[np.argsort(extra - exact, kind="stable")[:missing]] += 1
    return np.flatnonzero(_pick(labels, np.minimum(counts, 2) + extra, seed))


def _pick(labels: NDArray[np.int64], wanted: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Marks ``wanted[c]`` random images of each class c."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    sorted_labels = labels[order]
    starts = np.searchsorted(sorted_labels, np.arange(len(wanted)))
    rank = np.arange(len(labels)) - starts[sorted_labels]
    marked = np.zeros(len(labels), dtype=bool)
    marked[order[rank < wanted[sorted_labels]]] = True
    return marked
