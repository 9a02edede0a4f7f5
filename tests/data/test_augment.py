import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data.augment import Augmentation, EpochPlan, sample_batches, train_batches, val_batches
from nas.data.device import DeviceData
from nas.data.images import checked

NOTHING = Augmentation(crop=0.0, flip=False)


def make_data(n=40, height=9, width=11, channels=3, classes=4, flip=True):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, height, width, channels), dtype=np.uint8)
    image_set = checked("random", images, np.arange(n) % classes, flip=flip)
    return DeviceData.place(image_set, val_fraction=0.25, seed=0, device="cpu")


def epoch(data, augmentation, batch_size=8, seed=0):
    images, targets = zip(*train_batches(data, augmentation, batch_size, seed), strict=True)
    return torch.cat(images), torch.cat(targets)


def pixels(data, images):
    """Undoes the normalisation: float pixels from 0 to 255."""
    shape = (1, -1, 1, 1)
    return (images * data.std.view(shape) + data.mean.view(shape)) * 255


def test_without_augmentation_the_images_come_back_in_the_plans_order():
    data = make_data()
    images, targets = epoch(data, NOTHING, batch_size=16)
    order = EpochPlan.draw(data.train, NOTHING, 0).order
    assert sorted(order.tolist()) == list(range(32))
    torch.testing.assert_close(
        pixels(data, images), data.train.images[order].float(), atol=1e-3, rtol=0, check_stride=False
    )
    assert (targets.argmax(1) == data.train.labels[order]).all()
    assert (targets.sum(1) == 1).all()


def test_last_incomplete_batch_is_dropped():
    assert [len(images) for images, _ in train_batches(make_data(), NOTHING, 9, 0)] == [9, 9, 9]


def test_normalised_training_pixels_have_zero_mean_and_unit_variance():
    images, _ = epoch(make_data(), NOTHING, batch_size=32)
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_constant_channel_stays_finite():
    image_set = checked("flat", np.full((8, 8, 8, 1), 9, np.uint8), np.arange(8) % 2)
    data = DeviceData.place(image_set, val_fraction=0.5, seed=0, device="cpu")
    assert epoch(data, Augmentation(), batch_size=4)[0].isfinite().all()


def test_validation_part_is_whole_in_order_and_unchanged():
    data = make_data()
    images, labels = zip(*val_batches(data, 3), strict=True)
    assert [len(some) for some in images] == [3, 3, 2]
    torch.testing.assert_close(
        pixels(data, torch.cat(images)), data.val.images.float(), atol=1e-3, rtol=0, check_stride=False
    )
    assert (torch.cat(labels) == data.val.labels).all()


@pytest.mark.parametrize(
    ("size", "batch_size", "every", "expected"),
    [(32, 32, 1, [32]), (99, 20, 1, [16, 16]), (8, 8, 4, [8]), (8, 7, 4, [4, 4]), (10, 99, 4, [8])],
)
def test_sample_spreads_over_the_training_part(size, batch_size, every, expected):
    data = make_data()
    batches = list(sample_batches(data, size, batch_size))
    assert [len(images) for images in batches] == expected
    wanted = data.train.images[::every].float()
    torch.testing.assert_close(
        pixels(data, torch.cat(batches)), wanted, atol=1e-3, rtol=0, check_stride=False
    )


@pytest.mark.parametrize("flip", [False, True])
def test_crop_and_flip_equal_the_slow_way(flip):
    data = make_data(height=10, width=16)
    augmentation = Augmentation(crop=0.25, flip=flip)
    images, _ = epoch(data, augmentation, batch_size=32)
    plan = EpochPlan.draw(data.train, augmentation, 0)
    assert plan.start.min(0).values.tolist() == [-2, -4]
    assert plan.start.max(0).values.tolist() == [2, 4]
    assert plan.mirror.any() == flip
    for i in range(32):
        image = data.train.images[plan.order[i]].permute(1, 2, 0).numpy()
        padded = np.pad(image, ((2, 2), (4, 4), (0, 0)), mode="reflect")
        top, left = (plan.start[i] + torch.tensor([2, 4])).tolist()
        crop = padded[top : top + 10, left : left + 16]
        crop = crop[:, ::-1] if plan.mirror[i] else crop
        np.testing.assert_allclose(
            pixels(data, images)[i].permute(1, 2, 0).numpy(), crop.astype(float), atol=1e-3
        )


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixing_equals_the_slow_way(mixup, cutmix):
    data = make_data()
    augmentation = Augmentation(crop=0.0, flip=False, mixup=mixup, cutmix=cutmix, smoothing=0.1)
    images, targets = epoch(data, augmentation, batch_size=16)
    plan = EpochPlan.draw(data.train, augmentation, 0)
    plain = data.train.images[plan.order].double()
    hot = torch.nn.functional.one_hot(data.train.labels[plan.order], 4) * 0.9 + 0.1 / 4
    boxed = 0
    for i in range(32):
        partner = 15 - i if i < 16 else 47 - i
        blend = plan.blend[i].item()
        expected = plain[i] * blend + plain[partner] * (1 - blend)
        top, bottom, left, right = plan.box[i].tolist()
        expected[:, top:bottom, left:right] = plain[partner][:, top:bottom, left:right]
        area = (bottom - top) * (right - left)
        assert area == 0 or blend == 1, "an image is mixed one way only"
        boxed += area > 0
        share = blend * (1 - area / 99)
        torch.testing.assert_close(
            pixels(data, images)[i].double(), expected, atol=1e-3, rtol=0, check_stride=False
        )
        torch.testing.assert_close(
            targets[i].double(), (hot[i] * share + hot[partner] * (1 - share)).double()
        )
    assert (boxed > 0) == (cutmix > 0)
    assert (plan.blend < 1).any() == (mixup > 0)


def test_an_epoch_is_a_function_of_its_seed():
    data, augmentation = make_data(), Augmentation(mixup=0.2, cutmix=1.0)
    torch.manual_seed(1)
    first = epoch(data, augmentation, seed=5)
    torch.manual_seed(2)
    again, other = epoch(data, augmentation, seed=5), epoch(data, augmentation, seed=6)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    channels=st.sampled_from([1, 3]),
    crop=st.floats(0, 0.5),
    mixup=st.sampled_from([0.0, 0.2]),
    cutmix=st.sampled_from([0.0, 1.0]),
    batch_size=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_any_size_gives_finite_channels_last_batches(
    height, width, channels, crop, mixup, cutmix, batch_size, seed
):
    data = make_data(n=8, height=height, width=width, channels=channels, classes=2)
    augmentation = Augmentation(crop=crop, mixup=mixup, cutmix=cutmix)
    seen = list(train_batches(data, augmentation, batch_size, seed))
    assert len(seen) == len(data.train) // batch_size
    for images, targets in seen:
        assert images.shape == (batch_size, channels, height, width)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert images.isfinite().all()
        assert images.dtype == targets.dtype == torch.float32
        assert math.isclose(targets.sum().item(), batch_size, rel_tol=1e-5)
        assert (targets >= 0).all()


def test_placing_records_what_was_split_and_how():
    first, second = make_data(), make_data()
    assert first.fingerprint == second.fingerprint
    assert first.split_fingerprint == second.split_fingerprint
    assert (len(first.train), len(first.val), first.num_classes, first.in_chans) == (32, 8, 4, 3)
    assert first.train.images.dtype == torch.uint8
    assert first.train.images.is_contiguous(memory_format=torch.channels_last)
    assert not make_data(flip=False).flip
