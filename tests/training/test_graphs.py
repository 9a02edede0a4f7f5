"""Recorded passes, with a recorder that runs the Python again in place of a CUDA graph."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import search_spaces
from nas.data.device import DeviceData
from nas.data.images import checked
from nas.training.loop import train
from nas.training.settings import TrainSettings

SPACE = search_spaces.get("nexception")
HARD = {"mixup": 0.2, "cutmix": 1.0, "drop_path_rate": 0.3}


class Rerun:
    """Runs the function again, and puts what it gives where the recording's outputs lie."""

    def __init__(self, harm=1.0):
        self.recordings, self.replays, self.outputs = 0, 0, []
        self._harm = harm

    def record(self, run):
        for _ in range(3):
            found = run()
        self.recordings += 1
        self.outputs.append(weakref.ref(found[0]))

        def replay():
            self.replays += 1
            again = run()
            with torch.no_grad():
                for output, new in zip(found, again, strict=True):
                    output.copy_(new * self._harm)

        return found, replay


class Refuses:
    def record(self, run):
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    images = checked("noise", rng.integers(0, 256, (60, 16, 16, 1), dtype=np.uint8), np.arange(60) % 3)
    return DeviceData.place(images, val_fraction=0.2, seed=0, device="cpu")


def run(data, recorder=None, norm="batch", epochs=2, **kwargs):
    settings = kwargs.pop("settings", {})
    chosen = TrainSettings(**{"batch_size": 8, **settings}).resolve(16, 48)
    torch.manual_seed(0)
    config = SPACE.points["nexception"] | {"norm": norm}
    model = SPACE.build(config, SPACE.reduced(16, 16), 3, 1, chosen.drop_path_rate)
    notes = []
    result = train(
        model,
        data,
        chosen,
        epochs=epochs,
        max_epochs=4,
        seed=3,
        recorder=recorder,
        on_note=notes.append,
        **kwargs,
    )
    figures = [(row.train_loss, row.val_loss, row.top1) for row in result.curve]
    return figures, {name: value.clone() for name, value in model.state_dict().items()}, notes


def assert_same(one, two):
    assert one[0] == two[0]
    assert all(torch.equal(value, two[1][name]) for name, value in one[1].items())


@pytest.mark.parametrize(
    ("norm", "settings"),
    [
        ("batch", {"optimizer": "lamb"}),
        ("layer", {"optimizer": "lamb", "average": 0.0, **HARD}),
        ("batch", {"optimizer": "adamw", **HARD}),
        ("batch", {"optimizer": "sgd", "loss": "bce", **HARD}),
    ],
)
def test_a_recorded_trial_equals_an_eager_one(data, norm, settings):
    recorder = Rerun()
    found = run(data, recorder, norm, settings=settings)
    assert_same(found, run(data, None, norm, settings=settings))
    assert (recorder.recordings, recorder.replays) == (1, 1 + 2 * 6), "checked once, then two epochs of six"
    assert found[2] == []


def test_a_trial_that_goes_on_records_anew_and_equals_one_that_never_stopped(data):
    states = []
    run(data, Rerun(), epochs=1, settings=HARD, on_epoch=lambda _, snapshot: states.append(snapshot()))
    recorder = Rerun()
    found = run(data, recorder, settings=HARD, state=states[0])
    assert_same(found, run(data, None, settings=HARD))
    assert (recorder.recordings, recorder.replays) == (1, 1 + 6)


@pytest.mark.parametrize(
    ("recorder", "note"),
    [
        (Rerun(harm=1.05), "no CUDA graph: loss or gradients differ from the eager pass"),
        (Rerun(harm=float("nan")), "no CUDA graph: loss or gradients differ from the eager pass"),
        (Refuses(), "no CUDA graph: operation not permitted when stream is capturing"),
    ],
)
def test_a_recording_that_is_wrong_is_said_once_and_not_used(data, recorder, note):
    found = run(data, recorder, settings=HARD)
    assert_same(found, run(data, None, settings=HARD))
    assert found[2] == [note]


def test_gradients_accumulated_over_micro_batches_are_not_recorded(data):
    recorder = Rerun()
    found = run(data, recorder, micro_batch=4)
    assert_same(found, run(data, None, micro_batch=4))
    assert found[2] == ["no CUDA graph: gradients are accumulated over micro-batches"]
    assert recorder.recordings == 0


class Exhausted:
    def record(self, run):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_too_little_memory_for_a_recording_is_told_as_such(data):
    with pytest.raises(torch.OutOfMemoryError):
        run(data, Exhausted())


def test_the_recording_goes_with_the_trial(data):
    recorder = Rerun()
    alive = []
    run(data, recorder, on_epoch=lambda *_: alive.append(recorder.outputs[0]() is not None))
    gc.collect()
    assert alive == [True, True]
    assert recorder.outputs[0]() is None


class Partial(nn.Module):
    """Has a parameter without a gradient, and a buffer that counts forward passes."""

    def __init__(self):
        super().__init__()
        self.head, self.unused = nn.Linear(256, 3), nn.Parameter(torch.ones(2))
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.passes += 1
        return self.head(x.flatten(1))


def test_unused_parameters_are_left_alone_and_buffers_count_no_trial_passes(data):
    found, rerun = [], Rerun()
    for recorder in (rerun, None):
        torch.manual_seed(0)
        model = Partial()
        chosen = TrainSettings(batch_size=8, optimizer="sgd", weight_decay=0.0).resolve(16, 48)
        train(model, data, chosen, epochs=1, max_epochs=1, seed=0, recorder=recorder)
        found.append(model.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    assert found[0]["passes"] == rerun.replays - 1 == 6
