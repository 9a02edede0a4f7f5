"""Recordings: what is refused, that everything is put back, and that a recorded trial equals an eager one."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import search_spaces
from nas.data.device import DeviceData
from nas.data.images import checked
from nas.trial.graphs import Eager, Rehearsed, recorded
from nas.trial.loop import train
from nas.trial.settings import TrainSettings
from nas.trial.trainer import Trainer
from tests.trial.recorders import Replayed

pytestmark = pytest.mark.usefixtures("shallow")
SPACE = search_spaces.get("nexception")
HARD = {"mixup": 0.2, "cutmix": 1.0, "drop_path_rate": 0.3}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(one_thread):
    rng = np.random.default_rng(0)
    images = checked("noise", rng.integers(0, 256, (60, 16, 16, 1), dtype=np.uint8), np.arange(60) % 3)
    return DeviceData.place(images, val_fraction=0.2, seed=0, device="cpu")


def run(data, recorder=None, norm="batch", epochs=2, settings=None, **kwargs):
    chosen = TrainSettings(**{"batch_size": 8, **(settings or {})}).resolve(16, 48)
    torch.manual_seed(0)
    config = SPACE.points["nexception"] | {"norm": norm}
    model = SPACE.build(config, SPACE.reduced(16, 16), 3, 1, chosen.drop_path_rate)
    notes, states = [], []

    def on_epoch(_, snapshot):
        states.append(snapshot())

    plan = {"epochs": epochs, "max_epochs": 4, "seed": 3, "on_note": notes.append, "on_epoch": on_epoch}
    result = train(model, data, chosen, recorder=recorder, **plan | kwargs)
    figures = [(row.train_loss, row.val_loss, row.top1) for row in result.curve]
    return figures, states, notes


def assert_same(one, two):
    assert one[0] == two[0]
    compare(one[1], two[1])


def compare(one, two):
    """Equal in every bit and type, times left out."""
    if isinstance(one, torch.Tensor):
        assert one.dtype == two.dtype
        assert torch.equal(one, two)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            if not str(key).endswith("seconds"):
                compare(one[key], two[key])
    elif isinstance(one, (list, tuple)):
        for a, b in zip(one, two, strict=True):
            compare(a, b)
    else:
        assert one == two


CASES = [
    ("batch", {"optimizer": "lamb"}, None),
    ("layer", {"optimizer": "lamb", "average": 0.0, "schedule": "cosine", **HARD}, None),
    ("batch", {"optimizer": "adamw", **HARD}, 3),
    ("batch", {"optimizer": "sgd", "loss": "bce", "amp": "bf16", **HARD}, None),
]


@pytest.mark.parametrize(("norm", "settings", "micro_batch"), CASES)
def test_a_recorded_trial_equals_an_eager_one(data, norm, settings, micro_batch):
    recorder = Replayed()
    plan = {"norm": norm, "settings": settings, "micro_batch": micro_batch, "epochs": 3}
    found = run(data, recorder, **plan)
    assert_same(found, run(data, Eager(), **plan))
    assert found[2] == []
    assert recorder.recordings >= 2, "steps and validation at least"
    assert recorder.replays > 3 * 6, "checked once, then three epochs of six"


@pytest.fixture(scope="module")
def eager(data, shallow):
    """What a trial comes to whose steps are not recorded."""
    return run(data, Eager(), settings=HARD)


def test_a_trial_that_goes_on_records_anew_and_equals_one_that_never_stopped(data, eager):
    _, states, _ = run(data, Replayed(), epochs=1, settings=HARD)
    recorder = Replayed()
    found = run(data, recorder, settings=HARD, state=states[0])
    assert found[0] == eager[0]
    compare(found[1][-1], eager[1][-1])
    assert recorder.recordings > 0


class Refuses:
    def record(self, run):
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


class Idle:
    """Does nothing when replayed."""

    def record(self, run):
        run()
        return lambda: None


class Twice(Replayed):
    def record(self, run):
        replay = super().record(run)
        return lambda: (replay(), replay())


@pytest.mark.parametrize(
    ("recorder", "note"),
    [
        (Idle(), "it changes loss in another way than the eager step"),
        (Twice(), "it changes loss in another way than the eager step"),
        (Refuses(), "operation not permitted when stream is capturing"),
        (Replayed(fails=[torch.OutOfMemoryError("CUDA out of memory")] * 9), "CUDA out of memory"),
    ],
)
def test_a_recording_that_is_wrong_is_said_and_not_used(data, eager, recorder, note):
    found = run(data, recorder, settings=HARD)
    assert_same(found, eager)
    assert found[2][0] == f"no CUDA graph of a step: {note}"
    assert len(found[2]) == len(set(found[2]))


def test_a_recording_that_finds_too_little_memory_is_tried_once_more(data, eager):
    recorder = Replayed(fails=[torch.OutOfMemoryError("CUDA out of memory")])
    found = run(data, recorder, settings=HARD)
    assert_same(found, eager)
    assert found[2] == []
    assert recorder.recordings >= 2


@pytest.mark.parametrize("kind", ["weights", "average", "exp_avg", "exp_avg_sq", "buffers"])
def test_a_recording_that_spoils_one_kind_of_state_is_found_out_and_everything_put_back(data, kind):
    chosen = TrainSettings(batch_size=8, **HARD).resolve(16, 48)
    torch.manual_seed(0)
    model = SPACE.build(SPACE.points["nexception"], SPACE.reduced(16, 16), 3, 1, 0.3)
    notes, tensors = [], {}

    def harm():
        for tensor in tensors[kind]:
            if tensor.is_floating_point():
                tensor.mul_(1.05).add_(0.01)

    with torch.no_grad():
        trainer = Trainer(model, data, chosen, 4, recorder=Replayed(harm), on_note=notes.append)
        step = trainer._step
        step._rule.prepare()
        tensors |= {"weights": list(model.parameters()), "average": trainer.average.tensors}
        tensors |= {"buffers": list(model.buffers()), **step._rule.tensors}
    before = {key: [tensor.clone() for tensor in values] for key, values in tensors.items()}
    places = {key: [tensor.data_ptr() for tensor in values] for key, values in tensors.items()}
    torch.manual_seed(99)
    random = torch.get_rng_state()
    model.train()
    step.begin(0, seed=5)
    assert notes == [f"no CUDA graph of a step: it changes {kind} in another way than the eager step"]
    assert torch.equal(torch.get_rng_state(), random)
    compare(before, tensors)
    assert places == {key: [tensor.data_ptr() for tensor in values] for key, values in tensors.items()}
    assert (step.loss_sum.item(), step._position.item()) == (0, 0)
    assert all(parameter.grad is None for parameter in model.parameters())


class Waits(nn.Module):
    """Asks for a number in its forward pass."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(256, 3)

    def forward(self, x):
        return self.head(x.flatten(1) * (2.0 if x.mean() > 0 else 1.0))


class FromHost(Waits):
    def forward(self, x):
        return self.head(x.flatten(1)) + torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("network", [Waits, FromHost])
def test_a_network_that_waits_or_brings_numbers_along_is_not_recorded(data, network):
    notes = []
    chosen = TrainSettings(batch_size=8, optimizer="sgd").resolve(16, 48)
    train(
        network(),
        data,
        chosen,
        epochs=1,
        max_epochs=1,
        seed=0,
        recorder=Replayed(),
        on_note=notes.append,
    )
    assert notes
    assert all("not permitted when stream is capturing" in note for note in notes)


def test_the_recordings_go_with_the_trial(data):
    recorder = Replayed()
    kept = []

    def look(*_):
        kept.append([weakref.ref(tape) for tapes in recorder.tapes for tape in tapes])
        recorder.tapes.clear()

    run(data, recorder, on_epoch=look, epochs=3)
    gc.collect()
    assert sum(map(len, kept)) == 3
    assert all(tape() is None for tapes in kept for tape in tapes)


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


@pytest.mark.parametrize("optimizer", ["lamb", "sgd", "adamw"])
def test_unused_parameters_are_left_alone_and_buffers_count_no_trial_passes(data, optimizer):
    found = []
    for recorder in (Replayed(), None):
        torch.manual_seed(0)
        model = Partial()
        chosen = TrainSettings(batch_size=8, optimizer=optimizer).resolve(16, 48)
        train(model, data, chosen, epochs=1, max_epochs=1, seed=0, recorder=recorder)
        found.append(model.state_dict())
    assert torch.equal(found[0]["unused"], torch.ones(2))
    assert found[0]["passes"] == found[1]["passes"] == 6
    torch.testing.assert_close(found[0]["head.weight"], found[1]["head.weight"])


def test_a_function_is_recorded_only_once_it_was_called_often():
    total, recorder, notes = torch.zeros(1), Replayed(), []

    def count():
        total.add_(1)

    again = Rehearsed("it", count, {"total": [total]}, recorder, CPU, 3, notes.append)
    for call in range(1, 8):
        again()
        assert total == call
        assert recorder.recordings == (call > 3)
    assert recorder.replays == 1 + 4
    assert notes == []


def test_rounding_is_no_difference_but_another_step_is():
    weight, gradient = torch.ones(1000), torch.linspace(1, 2, 1000)

    def step():
        weight.sub_(gradient, alpha=1e-3)

    class Other:
        def __init__(self, factor):
            self.factor = factor

        def record(self, run):
            return lambda: weight.sub_(gradient, alpha=1e-3 * self.factor)

    state = {"weights": [weight]}
    assert callable(recorded(step, state, Other(1.001), CPU))
    assert isinstance(recorded(step, state, Other(1.1), CPU), str)
    assert isinstance(recorded(step, state, Other(float("nan")), CPU), str)
    assert torch.equal(weight, torch.ones(1000))
