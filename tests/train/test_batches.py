from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.export.recipe import Recipe
from nas.train.batches import Batches, loader, training_transform
from nas.util.errors import UserError

SIZES = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(2, 6), st.integers(1, 4), st.integers(0, 99)
)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, spare=st.integers(0, 50), epoch=st.integers(0, 3))
def test_every_update_is_the_same_images_however_it_is_split(sizes, spare, epoch):
    accumulate, processes, part, repeats, seed = sizes
    batch = accumulate * processes * part
    images = 2 * batch + spare
    whole = Batches(images, batch, 1, repeats, seed)
    parts = [Batches(images, batch, accumulate, repeats, seed, rank, processes) for rank in range(processes)]
    for each in (whole, *parts):
        each.begin(epoch)
    together = [list(each) for each in parts]
    for update, expected in enumerate(whole):
        some = slice(update * accumulate, (update + 1) * accumulate)
        got = [item for own in together for piece in own[some] for item in piece]
        assert sorted(got) == sorted(expected)
    assert all(len(own) == accumulate * whole.updates for own in together)


@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(20, 60), repeats=st.integers(1, 4), epoch=st.integers(0, 5), first=st.integers(0, 4)
)
def test_an_epoch_repeats_images_but_never_their_augmentation(images, repeats, epoch, first):
    batches = Batches(images, 4, repeats=repeats, seed=1)
    batches.begin(epoch)
    items = [item for batch in batches for item in batch]
    seen = Counter(index for index, _ in items)
    assert len(items) == images // 4 * 4
    assert max(seen.values()) <= repeats
    assert len({seed for _, seed in items}) == len(items)
    batches.begin(epoch, first)
    assert [item for batch in batches for item in batch] == items[4 * first :]
    batches.begin(epoch + 1)
    assert [item for batch in batches for item in batch] != items


@pytest.mark.parametrize(
    ("batch", "accumulate", "processes", "words"),
    [
        (10, 3, 1, "batch_size=10: must be a multiple of 3"),
        (10, 5, 2, "batch_size=10: must be a multiple of 10"),
        (64, 1, 1, "batch_size=64: must be at most 50"),
    ],
)
def test_bad_batch_sizes(batch, accumulate, processes, words):
    with pytest.raises(UserError, match=words):
        Batches(50, batch, accumulate, processes=processes)


class Noise:
    """Random pictures that need no files."""

    labels = np.arange(40) % 2

    def open(self, index):
        return Image.fromarray(np.random.default_rng(index).integers(0, 256, (20, 20, 3), dtype=np.uint8))


def test_reading_processes_change_nothing():
    config = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    transform, _ = training_transform(Recipe(), config, flip=True)
    epochs = []
    for workers in (0, 2):
        batches = Batches(40, 8, repeats=2, seed=3)
        batches.begin(1, 2)
        read = loader(Noise(), transform, batches, workers, torch.device("cpu"))
        epochs.append([(images.clone(), labels) for images, labels in read])
    assert len(epochs[0]) == 3
    for (images, labels), (others, same) in zip(*epochs, strict=True):
        assert (images == others).all()
        assert (labels == same).all()
    assert (epochs[0][0][0][0] != epochs[0][0][0][1]).any()


@pytest.mark.parametrize("words", ["rand-x7", "shout"])
def test_unknown_augmentation(words):
    config = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    with pytest.raises(UserError, match=f"auto_augment={words}"):
        training_transform(Recipe(auto_augment=words), config, flip=True)
