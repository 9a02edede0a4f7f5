import itertools
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from timm.utils import ModelEmaV3
from torch import nn

import search_spaces
from nas.data.augment import sample_batches
from nas.data.device import DeviceData
from nas.data.images import checked
from nas.trial.checkpoint import CheckpointStore
from nas.trial.graphs import Eager
from nas.trial.loop import Diverged, StaleCheckpoint, reproducible, train
from nas.trial.settings import TrainSettings
from nas.trial.timing import epoch_seconds
from nas.trial.trainer import Trainer, wants_bf16
from nas.trial.validation import estimate_batch_norm, evaluate

pytestmark = pytest.mark.usefixtures("shallow")
SPACE = search_spaces.get("nexception")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data():
    """Bright and dark halves: learnt within a few steps."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = rng.integers(0, 100, (60, 16, 16, 1), dtype=np.uint8)
    images[labels == 1, :8] += 120
    images[labels == 2, 8:] += 120
    return DeviceData.place(checked("halves", images, labels), val_fraction=0.2, seed=0, device="cpu")


def network(seed=0, norm="batch", drop_path_rate=0.0):
    torch.manual_seed(seed)
    config = SPACE.points["nexception"] | {"norm": norm}
    return SPACE.build(config, SPACE.reduced(16), 3, 1, drop_path_rate)


def recipe(**settings):
    return TrainSettings(**{"batch_size": 8, **settings}).resolve(16, 48)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def without_times(curve):
    return [{k: v for k, v in asdict(row).items() if not k.endswith("seconds")} for row in curve]


def test_it_learns(data):
    result = train(network(), data, recipe(), epochs=6, max_epochs=6, seed=0)
    first, last = result.curve[0], result.last
    assert last.top1 >= 0.9
    assert last.train_loss < first.train_loss
    assert last.top5 == 1, "three classes, so five guesses hold the right one"
    assert [row.epoch for row in result.curve] == [1, 2, 3, 4, 5, 6]
    assert result.wall_seconds > result.train_seconds > 0
    assert result.peak_memory > 0
    assert not result.paused


HARD = {"mixup": 0.2, "cutmix": 1.0, "drop_path_rate": 0.3, "smoothing": 0.1}


@pytest.mark.parametrize(
    ("norm", "settings"),
    [
        ("batch", {"optimizer": "lamb"}),
        ("layer", {"optimizer": "lamb", "schedule": "cosine", "average": 0.0, **HARD}),
        ("batch", {"optimizer": "adamw", **HARD}),
        ("batch", {"optimizer": "sgd", "loss": "bce", **HARD}),
    ],
)
def test_continuing_from_a_file_equals_never_stopping(data, tmp_path, norm, settings):
    chosen = recipe(**settings)
    plan = {"max_epochs": 4, "seed": 7}
    straight = network(norm=norm, drop_path_rate=chosen.drop_path_rate)
    whole = train(straight, data, chosen, epochs=4, **plan)

    store = CheckpointStore(tmp_path, 10**9)
    first = network(norm=norm, drop_path_rate=chosen.drop_path_rate)
    train(
        first,
        data,
        chosen,
        epochs=2,
        **plan,
        on_epoch=lambda row, snapshot: store.save("a", row.epoch, snapshot()),
    )
    second = network(seed=99, norm=norm, drop_path_rate=chosen.drop_path_rate)
    torch.manual_seed(123)
    epoch, state = store.latest("a", 4)
    assert epoch == 2
    continued = train(second, data, chosen, epochs=4, **plan, state=state)

    assert same(weights(straight), weights(second))
    assert without_times(continued.curve) == without_times(whole.curve)
    assert continued.train_seconds < sum(row.train_seconds for row in continued.curve)


def test_the_network_of_a_shorter_budget_is_an_earlier_moment_of_the_longer(data):
    short = train(network(), data, recipe(), epochs=1, max_epochs=3, seed=0)
    long = train(network(), data, recipe(), epochs=3, max_epochs=3, seed=0)
    assert without_times(short.curve) == without_times(long.curve[:1])


@pytest.mark.parametrize("change", [{"seed": 1}, {"lr": 0.011}, {"schedule": "cosine"}])
def test_result_depends_on_what_it_should(data, change):
    def run(seed=0, **settings):
        model = network()
        train(model, data, recipe(**settings), epochs=2, max_epochs=3, seed=seed)
        return weights(model)

    assert same(run(), run())
    assert not same(run(), run(**change))


@pytest.mark.parametrize(("schedule", "matters"), [("constant", False), ("cosine", True)])
def test_largest_budget_matters_to_the_cosine_only(data, schedule, matters):
    states = []
    for max_epochs in (2, 4):
        train(
            network(),
            data,
            recipe(schedule=schedule, warmup_epochs=0),
            epochs=1,
            max_epochs=max_epochs,
            seed=0,
            on_epoch=lambda _, snapshot: states.append(snapshot()),
        )
    assert (states[0]["identity"] != states[1]["identity"]) == matters
    assert same(states[0]["model"], states[1]["model"]) != matters


def test_pausing_after_an_epoch(data):
    states = []

    def stop_after_two(row, snapshot):
        states.append(snapshot())
        return row.epoch < 2

    result = train(network(), data, recipe(), epochs=5, max_epochs=5, seed=0, on_epoch=stop_after_two)
    assert result.paused
    assert len(result.curve) == 2
    assert [state["epoch"] for state in states] == [1, 2]
    assert not torch.equal(*(next(iter(state["model"].values())) for state in states)), "snapshots are copies"
    done = train(network(), data, recipe(), epochs=1, max_epochs=5, seed=0, on_epoch=lambda *_: False)
    assert not done.paused, "nothing was left to do"


def test_a_finished_checkpoint_needs_no_training(data):
    states = []
    train(network(), data, recipe(), epochs=1, max_epochs=3, seed=0, on_epoch=lambda _, s: states.append(s()))
    again = train(network(seed=5), data, recipe(), epochs=1, max_epochs=3, seed=0, state=states[0])
    assert again.last.epoch == 1
    assert again.train_seconds == 0


def test_checkpoints_of_another_run_are_refused(data):
    states = []
    plan = {"epochs": 2, "max_epochs": 4, "seed": 0}
    train(network(), data, recipe(), **plan, on_epoch=lambda _, snapshot: states.append(snapshot()))
    other = [
        (recipe(lr=0.5), {}),
        (recipe(), {"seed": 1}),
        (recipe(), {"epochs": 1}),
    ]
    for chosen, change in other:
        with pytest.raises(StaleCheckpoint):
            train(network(), data, chosen, **(plan | change), state=states[-1])
    with pytest.raises(StaleCheckpoint, match="does not fit"):
        train(BrokenInEval(), data, recipe(), **plan, state=states[-1])


def test_loss_that_is_not_finite_stops_the_run(data):
    with pytest.raises(Diverged) as caught:
        train(network(), data, recipe(optimizer="sgd", lr=1e20), epochs=3, max_epochs=3, seed=0)
    assert caught.value.epoch == 1
    assert "loss is" in caught.value.reason


class BrokenInEval(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(256, 3)

    def forward(self, x):
        return self.head(x.flatten(1)) * (1.0 if self.training else float("nan"))


def test_validation_loss_that_is_not_finite_stops_the_run(data):
    with pytest.raises(Diverged, match="validation loss is nan"):
        train(BrokenInEval(), data, recipe(), epochs=1, max_epochs=1, seed=0)


def test_accumulated_micro_batches_equal_one_batch(data):
    """With layer norm, and without drop path, an image does not depend on its neighbours."""
    results = []
    for micro_batch in (None, 3):
        model = network(norm="layer")
        train(model, data, recipe(optimizer="sgd"), epochs=1, max_epochs=2, seed=0, micro_batch=micro_batch)
        results.append(weights(model))
    whole, parts = results
    assert max((whole[name] - parts[name]).abs().max() for name in whole) < 1e-5


@pytest.mark.parametrize(("micro_batch", "expected"), [(3, {2, 3}), (1, {2})])
def test_micro_batches_are_even_so_that_batch_norm_never_meets_a_single_image(data, micro_batch, expected):
    sizes = []
    model = network()
    model.register_forward_pre_hook(lambda m, args: sizes.append(len(args[0])) if m.training else None)
    train(model, data, recipe(batch_size=10), epochs=1, max_epochs=1, seed=0, micro_batch=micro_batch)
    assert set(sizes) == expected
    assert sum(sizes) == 40


@pytest.mark.parametrize("size", [8, 9, 33])
def test_images_from_8_pixels_on(size):
    images = np.random.default_rng(0).integers(0, 256, (12, size, size, 3), dtype=np.uint8)
    small = DeviceData.place(
        checked("noise", images, np.arange(12) % 3), val_fraction=0.4, seed=0, device="cpu"
    )
    model = SPACE.build(SPACE.default, SPACE.reduced(16), 3, 3, 0.0)
    result = train(model, small, recipe(batch_size=64), epochs=1, max_epochs=1, seed=0)
    assert np.isfinite(result.last.val_loss), "fewer images than a batch make one batch"


@pytest.mark.parametrize("average", [0.5, 0.1])
def test_average_lags_behind_the_weights(data, average):
    chosen = recipe(average=average, lr=0.005)
    trainer = Trainer(network(), data, chosen, 3)
    reference = ModelEmaV3(
        trainer.model, decay=1.0, use_warmup=True, warmup_gamma=1 / average, warmup_power=1.0
    )
    name = next(iter(weights(trainer.model)))
    history = []
    for step, _ in enumerate(itertools.islice(trainer.endless(), 5)):
        reference.update(trainer.model, step=step + 1)
        history.append(weights(trainer.model)[name])
    expected = history[0]
    for step, value in enumerate(history[1:], start=1):
        expected = expected.lerp(value, 1 / (1 + step * average))
    found = trainer.average.state_dict()
    torch.testing.assert_close(found[name], expected)
    assert same(dict(found), {k: v for k, v in weights(reference.module).items() if k in found})
    last = weights(trainer.model)
    judged = trainer.validate()
    assert all(torch.equal(last[k], v) for k, v in trainer.model.named_parameters()), "it got its own back"
    estimate_batch_norm(reference.module, data)
    assert judged == evaluate(reference.module, data)
    assert judged != evaluate(trainer.model, data)


@pytest.mark.parametrize("batch_size", [8, 256])
def test_batch_norms_are_estimated_from_training_images(data, batch_size):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.9))
    before = weights(model)
    images = torch.cat(list(sample_batches(data, 512, 256)))
    assert len(images) == 48, "all of them, as there are few"
    features = model[0](images).detach()
    for _ in range(2):  # the second time from other statistics
        estimate_batch_norm(model, data, batch_size=batch_size)
        torch.testing.assert_close(model[1].running_mean, features.mean((0, 2, 3)))
        torch.testing.assert_close(model[1].running_var, features.var((0, 2, 3)), rtol=0.05, atol=1e-3)
    assert model[1].momentum == 0.1
    assert not any(module.training for module in model.modules())
    assert torch.equal(model[0].weight, before["0.weight"])


def test_first_epoch_on_few_images_is_judged_fairly_with_batch_norm(data):
    """Running statistics would still hold most of their initial values after these six steps."""
    model = network()
    trainer = Trainer(model, data, recipe(average=0.0), 3)
    trainer.begin(0, seed=0)
    for _ in range(trainer.steps):
        trainer.step()
    lagging = evaluate(model, data)[0]
    assert trainer.validate()[0] < lagging


def test_evaluation_counts_right(data):
    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([3.0, 2.0, 1.0]).expand(len(x), 3)

    loss, top1, top5 = evaluate(Constant(), data, batch_size=5)
    expected = nn.functional.cross_entropy(torch.tensor([[3.0, 2.0, 1.0]] * 12), data.val.labels)
    assert loss == pytest.approx(expected.item())
    assert top1 == pytest.approx(1 / 3)
    assert top5 == 1


def test_timed_steps_predict_an_epoch(data):
    chosen = replace(recipe(), batch_size=16)
    predicted, val = epoch_seconds(network(), data, chosen)
    measured = min(
        row.train_seconds for row in train(network(), data, chosen, epochs=3, max_epochs=3, seed=0).curve
    )
    assert measured / 4 < predicted < measured * 4
    assert 0 < val < predicted


def test_cuda_is_made_deterministic_for_the_time_being():
    def flags():
        cudnn = torch.backends.cudnn
        mode = torch.get_deterministic_debug_mode()
        return cudnn.enabled, cudnn.deterministic, cudnn.benchmark, mode

    before = flags()
    with reproducible(torch.device("cuda")):
        assert flags() == (before[0], True, False, 1)
    assert flags() == before
    with reproducible(torch.device("cpu")):
        assert flags() == before


@pytest.mark.parametrize("recorder", [None, Eager()])
def test_sgd_without_momentum_trains_too(data, recorder):
    chosen = recipe(optimizer="sgd", momentum=0.0)
    result = train(network(), data, chosen, epochs=2, max_epochs=2, seed=0, recorder=recorder)
    assert np.isfinite(result.last.train_loss)


def test_bfloat16_where_it_pays_or_on_request(data):
    assert not wants_bf16("auto", torch.device("cpu"))
    assert wants_bf16("bf16", torch.device("cpu"))
    assert not wants_bf16("off", torch.device("cuda"))
    dtypes = set()
    model = network()
    next(model.children()).register_forward_hook(lambda *args: dtypes.add(args[-1].dtype))
    result = train(model, data, recipe(amp="bf16"), epochs=1, max_epochs=1, seed=0)
    assert torch.bfloat16 in dtypes
    assert np.isfinite(result.last.train_loss)
