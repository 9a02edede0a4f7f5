"""Stratified parts of a labelled dataset: validation, held-out tests, smaller subsets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Split(NamedTuple):
    """Indices of two disjoint parts that together are the whole, each in ascending order."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over both parts; a run records it as evidence of its validation images."""
        digest = hashlib.sha256(self.train.tobytes())
        digest.update(b"|")
        digest.update(self.val.tobytes())
        return digest.hexdigest()


def stratified_split(labels: NDArray[np.int64], fraction: float, seed: int) -> Split:
    """Splits off a part of every class.

    Args:
        labels: Labels ``(N,)``; every class that occurs does so at least twice.
        fraction: Share of each class in the second part, in (0, 1); at least one image of it and never all.
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
    """Chooses ``size`` images that keep the classes' shares, at least two of each; returns ascending indices.

    Args:
        labels: Labels ``(N,)``; every class that occurs does so at least twice.
        size: Number of images, from twice the number of classes to N.
        seed: Equal seeds and labels give equal subsets.
    """
    counts = np.bincount(labels)
    spare = np.maximum(counts - 2, 0)  # images of a class beyond its first two
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
