import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.split import stratified_split, stratified_subset

counts = st.lists(st.integers(2, 30), min_size=2, max_size=12)


def labels_of(counts: list[int], seed: int) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


@given(counts, st.floats(0.01, 0.99), st.integers(0, 99))
def test_every_class_is_in_both_parts_and_nothing_is_lost(counts, fraction, seed):
    labels = labels_of(counts, seed)
    train, val = stratified_split(labels, fraction, seed)
    assert sorted([*train, *val]) == list(range(len(labels)))
    assert set(labels[train]) == set(labels[val]) == set(range(len(counts)))
    for label, count in enumerate(counts):
        wanted = min(max(round(fraction * count), 1), count - 1)
        assert (labels[val] == label).sum() == wanted


def test_split_is_decided_by_labels_and_seed():
    labels = labels_of([20, 30, 40], 0)
    one, same, other = (stratified_split(labels, 0.2, seed) for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert stratified_split(labels[::-1].copy(), 0.2, 1).fingerprint != one.fingerprint


def test_fingerprint_tells_which_part_is_which():
    split = stratified_split(labels_of([2, 2], 0), 0.5, 0)
    assert split.fingerprint != split._replace(train=split.val, val=split.train).fingerprint


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match="fraction"):
        stratified_split(labels_of([4, 4], 0), fraction, 0)


def test_single_image_cannot_be_split():
    with pytest.raises(ValueError, match="class 1 has one image"):
        stratified_split(np.array([0, 0, 1]), 0.5, 0)


@given(counts, st.data(), st.integers(0, 99))
def test_subset_has_the_size_asked_and_keeps_the_shares(counts, data, seed):
    labels = labels_of(counts, seed)
    size = data.draw(st.integers(2 * len(counts), len(labels)))
    index = stratified_subset(labels, size, seed)
    assert len(index) == size == len(set(index))
    kept = np.bincount(labels[index], minlength=len(counts))
    assert (kept >= 2).all()
    spare = np.array(counts) - 2
    exact = 2 + spare * (size - 2 * len(counts)) / max(spare.sum(), 1)
    assert (abs(kept - exact) < 1).all()


def test_subset_depends_on_its_seed():
    labels = labels_of([50, 50], 0)
    assert (stratified_subset(labels, 20, 1) == stratified_subset(labels, 20, 1)).all()
    assert (stratified_subset(labels, 20, 1) != stratified_subset(labels, 20, 2)).any()
