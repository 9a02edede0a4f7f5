"""A step with all it needs on the device, against the plain one, and recorded against itself."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from nas.data.device import DeviceData
from nas.data.images import checked
from nas.trial.graphs import Eager
from nas.trial.loop import train
from nas.trial.settings import TrainSettings
from nas.trial.trainer import Trainer
from nas.trial.validation import FixedValidation, estimate_batch_norm, evaluate
from tests.trial.recorders import Replayed

SETTINGS = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(["lamb", "adamw", "sgd"]),
        "schedule": st.sampled_from(["constant", "cosine"]),
        "loss": st.sampled_from(["ce", "bce"]),
        "batch_size": st.integers(2, 60),
        "mixup": st.sampled_from([0.0, 0.2]),
        "cutmix": st.sampled_from([0.0, 1.0]),
        "smoothing": st.sampled_from([0.0, 0.1]),
        "crop": st.sampled_from([0.0, 0.125]),
        "flip": st.booleans(),
        "average": st.sampled_from([0.0, 0.2, 1.0]),
        "clip_grad": st.sampled_from([0.0, 1.0]),
        "momentum": st.sampled_from([0.0, 0.9]),
        "weight_decay": st.sampled_from([0.0, 0.02]),
        "amp": st.sampled_from(["auto", "bf16"]),
    }
)


@pytest.fixture(scope="module")
def data(one_thread):
    rng = np.random.default_rng(0)
    images = checked("noise", rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), np.arange(60) % 3)
    return DeviceData.place(images, val_fraction=0.2, seed=0, device="cpu")


def network(norm="batch", drop=0.2):
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(8) if norm == "batch" else nn.GroupNorm(1, 8)
    convolution, end = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(128, 3)
    return nn.Sequential(convolution, layer, nn.ReLU(), nn.AvgPool2d(2), nn.Dropout(drop), nn.Flatten(), end)


def trial(data, recorder, settings, norm="batch", micro_batch=None, epochs=2, state=None, drop=0.2):
    recipe = TrainSettings(**settings).resolve(16, len(data.train))
    model, notes, states = network(norm, drop), [], []
    result = train(
        model,
        data,
        recipe,
        epochs=epochs,
        max_epochs=3,
        seed=1,
        state=state,
        micro_batch=micro_batch,
        recorder=recorder,
        on_note=notes.append,
        on_epoch=lambda _, snapshot: states.append(snapshot()),
    )
    return [(row.train_loss, row.val_loss, row.top1) for row in result.curve], model, states, notes


@hypothesis_settings(max_examples=8)
@given(settings=SETTINGS, norm=st.sampled_from(["batch", "layer"]), micro=st.sampled_from([None, 2, 7]))
def test_a_recorded_trial_is_the_eager_one_whatever_is_set(data, settings, norm, micro):
    recorder = Replayed()
    curve, model, states, notes = trial(data, recorder, settings, norm, micro)
    wanted, reference, *_ = trial(data, Eager(), settings, norm, micro)
    assert notes == []
    assert recorder.recordings > 0
    assert curve == wanted
    assert all(map(torch.equal, model.state_dict().values(), reference.state_dict().values()))
    again, resumed, *_ = trial(data, Replayed(), settings, norm, micro, state=states[0])
    assert again == wanted
    assert all(map(torch.equal, model.state_dict().values(), resumed.state_dict().values()))


@hypothesis_settings(max_examples=16)
@given(settings=SETTINGS, norm=st.sampled_from(["batch", "layer"]), micro=st.sampled_from([None, 7]))
def test_fixed_steps_are_the_plain_ones_but_for_rounding(data, settings, norm, micro):
    recipe = TrainSettings(**settings | {"amp": "off", "warmup_epochs": 0}).resolve(16, len(data.train))
    trainers = [Trainer(network(norm), data, recipe, 3, micro, recorder=r) for r in (None, Eager())]
    for trainer in trainers:
        trainer.begin(0, seed=3)
        trainer.step()
        trainer.step() if trainer.steps > 1 else None
    plain, fixed = trainers
    torch.testing.assert_close(plain._step.loss_sum, fixed._step.loss_sum, rtol=1e-4, atol=1e-4)
    # Where a gradient is next to nothing, rounding decides the direction of a full step.
    moved = [
        (one - two).norm() / (one - old).norm().clamp(min=1e-6)
        for one, two, old in zip(
            *(t.model.parameters() for t in trainers), network(norm).parameters(), strict=True
        )
    ]
    assert torch.stack(moved).median() < 0.01


@pytest.mark.parametrize("optimizer", ["lamb", "adamw", "sgd"])
@pytest.mark.parametrize("recorders", [(None, Eager()), (Eager(), None)])
def test_a_checkpoint_of_the_one_way_goes_on_in_the_other(data, optimizer, recorders):
    settings = {"optimizer": optimizer, "batch_size": 16}
    first, second = recorders
    whole, *_ = trial(data, first, settings, "layer", epochs=3)
    _, _, states, _ = trial(data, first, settings, "layer", epochs=1)
    mixed, *_ = trial(data, second, settings, "layer", epochs=3, state=states[0])
    for one, two in zip(whole, mixed, strict=True):
        assert one[:2] == pytest.approx(two[:2], rel=1e-3)


def test_equal_seeds_give_equal_drop_path_and_others_do_not(data):
    settings = {"batch_size": 16, "flip": False, "crop": 0.0}
    one, two = (trial(data, Replayed(), settings, epochs=1)[0] for _ in range(2))
    assert one == two
    assert trial(data, Replayed(), settings, epochs=1, drop=0.0)[0] != one


@hypothesis_settings(max_examples=20)
@given(batch_size=st.integers(2, 48), norm=st.sampled_from(["batch", "layer"]), average=st.booleans())
def test_padded_validation_judges_every_image_once(data, batch_size, norm, average):
    model = network(norm)
    shapes = set()
    model.register_forward_pre_hook(lambda _, args: shapes.add(tuple(args[0].shape)))
    fixed = FixedValidation(model, data, batch_size, False, Eager(), print)
    loss, top1, top5 = fixed()
    assert shapes == {(batch_size, 3, 8, 8)}
    wanted = evaluate(model, data)  # with the statistics that were just estimated
    assert (top1, top5) == wanted[1:]
    assert loss == pytest.approx(wanted[0], rel=1e-5)
    assert not any(module.training for module in model.modules())
    if norm == "batch":
        assert model[1].momentum == 0.1
        estimated = model[1].running_mean.clone()
        estimate_batch_norm(model, data)
        if 48 % batch_size == 0:
            torch.testing.assert_close(estimated, model[1].running_mean, rtol=1e-4, atol=1e-5)
        assert fixed() == (loss, top1, top5), "from whatever statistics it begins"


def test_recorded_validation_equals_the_eager_one(data):
    recorder = Replayed()
    models = [network(), network()]
    fixed, eager = (
        FixedValidation(model, data, 5, False, way, print)
        for model, way in zip(models, (recorder, Eager()), strict=True)
    )
    for _ in range(4):
        for model in models:
            nn.init.uniform_(model[6].weight, generator=torch.Generator().manual_seed(len(recorder.tapes)))
        assert fixed() == eager()
    assert recorder.recordings == 2
    assert all(map(torch.equal, models[0].state_dict().values(), models[1].state_dict().values()))
