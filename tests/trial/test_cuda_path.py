"""What a trial does on a GPU, followed without one: fake CUDA tensors have a device but no numbers.

An operation on tensors of two devices raises, and so does asking for a number, which would wait for the
device. PyTorch's own backward pass needs a real device: gradients are made up in its place. No line of
ours runs in it on a GPU.
"""

import numpy as np
import pytest
import torch
from packaging.version import Version
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import search_spaces
from nas.data.device import DeviceData
from nas.data.images import checked
from nas.trial.graphs import Eager
from nas.trial.settings import TrainSettings
from nas.trial.trainer import Trainer
from nas.trial.validation import estimate_batch_norm

pytestmark = [
    pytest.mark.usefixtures("shallow"),
    pytest.mark.skipif(
        Version(torch.__version__) < Version("2.9"),
        reason="PyTorch 2.8 asks a driver even for fakes of tensors",
    ),
]
SPACE = search_spaces.get("nexception")
XCEPTION, NEXCEPTION = SPACE.points["xception"], SPACE.points["nexception"]
IMAGES = checked("noise", np.zeros((40, 16, 16, 3), dtype=np.uint8), np.arange(40) % 4)


class HostTensors(TorchDispatchMode):
    """Collects the operations that take or make a tensor on the host, or copy one over.

    Single numbers that stay there, like AdamW's count of steps for each parameter, cost no wait.
    """

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
        on_host = [t for t in tensors if t.device.type == "cpu"]
        if any(t.dim() for t in on_host) or 0 < len(on_host) < len(tensors):
            self.names.add(str(func.overloadpacket))
        return out


def to(module, device, memory_format):
    """``nn.Module.to``, which cannot exchange fake parameters in place."""
    for owner in module.modules():
        for own in (owner._parameters, owner._buffers):
            for name, tensor in own.items():
                if tensor is None:
                    continue
                layout = memory_format if tensor.dim() == 4 else torch.preserve_format
                moved = tensor.detach().to(device, memory_format=layout)
                own[name] = nn.Parameter(moved) if isinstance(tensor, nn.Parameter) else moved
    return module


@pytest.fixture
def backward(monkeypatch):
    """Stands in for the backward pass; has the fake GPU taken for one that computes in bfloat16."""
    live = []

    def make_up(loss):
        assert loss.device.type == "cuda"
        for parameter in live:
            new = torch.empty_like(parameter)
            parameter.grad = new if parameter.grad is None else parameter.grad + new

    monkeypatch.setattr(torch.Tensor, "backward", make_up)
    monkeypatch.setattr(nn.Module, "to", to)
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: True)
    # Counted on the host before anything is copied: by bincount, whose result has no size in advance.
    monkeypatch.setattr("nas.data.device._moments", lambda pixels: (torch.ones(3), torch.ones(3)))
    return live


def placed():
    data = DeviceData.place(IMAGES, val_fraction=0.2, seed=0, device="cuda")
    tensors = [*vars(data.train).values(), *vars(data.val).values(), data.mean, data.std]
    assert {t.device.type for t in tensors} == {"cuda"}
    return data


def trainer_of(config, data, recorder, micro_batch=None, **settings):
    recipe = TrainSettings(**{"batch_size": 16, **settings}).resolve(16, len(data.train))
    model = SPACE.build(config, SPACE.reduced(16, 16), 4, 3, recipe.drop_path_rate)
    return Trainer(model, data, recipe, max_epochs=2, micro_batch=micro_batch, recorder=recorder)


HARD = {"mixup": 0.2, "cutmix": 1.0, "drop_path_rate": 0.3, "loss": "bce"}
CASES = {
    "nexception": (NEXCEPTION, {}),
    "layer norm, everything mixed": (NEXCEPTION | {"norm": "layer", "pool": "conv"}, HARD),
    "celu, plain Mixup": (XCEPTION | {"activation": "celu"}, {"optimizer": "sgd", "mixup": 0.2}),
    "no clipping, CutMix": (XCEPTION | {"se": True}, {"optimizer": "sgd", "clip_grad": 0.0, "cutmix": 1.0}),
    "float32, no augmentation, last weights": (
        XCEPTION,
        {"amp": "off", "crop": 0.0, "flip": False, "smoothing": 0.0, "average": 0.0, "schedule": "cosine"},
    ),
    "batch norm, everything mixed, micro-batches": (
        NEXCEPTION | {"activation": "elu"},
        {"micro_batch": 6, "optimizer": "adamw", **HARD},
    ),
}


# With --reference a step is the plain one, whatever the recipe: two of them will do.
PLAIN = ["celu, plain Mixup", "batch norm, everything mixed, micro-batches"]
WAYS = {name: (*case, Eager()) for name, case in CASES.items()}
WAYS |= {f"{name}, plain": (*CASES[name], None) for name in PLAIN}


@pytest.mark.parametrize(("config", "settings", "recorder"), WAYS.values(), ids=WAYS)
def test_an_epoch_stays_on_the_device_and_waits_for_it_twice(
    backward, monkeypatch, config, settings, recorder
):
    # Comparing a recording with the eager step waits, once a trial.
    monkeypatch.setattr("nas.trial.step.recorded", lambda run, *_: run)
    monkeypatch.setattr("nas.trial.graphs.recorded", lambda run, *_: run)
    with FakeTensorMode():
        trainer = trainer_of(config, placed(), recorder, **settings)
        assert trainer._bf16 == (settings.get("amp") != "off")
        backward += trainer.model.parameters()
        trainer.begin(0, seed=0)  # here the epoch's choices are drawn and copied over
        trainer.step()  # here an update rule prepares what it keeps
        with HostTensors() as host:
            for _ in range(trainer.steps - 1):
                trainer.step()
        assert trainer.steps == 2
        assert trainer._step.loss_sum.device.type == "cuda"
        with host:
            assert waits_in(trainer.validate).startswith("loss, top1, top5 = (")
        with HostTensors() as host_at_start:
            assert waits_in(lambda: trainer.epoch(1, seed=0)).startswith("train_loss = ")
        optimizer_state = [v for state in trainer.optimizer.state.values() for v in state.values()]
        tensors = [t for t in optimizer_state if isinstance(t, torch.Tensor) and t.dim()]
        assert {t.device.type for t in tensors} == {"cuda"}
    assert host.names == set()
    copies = {"aten._to_copy"} if recorder is None else {"aten.copy_", "aten.slice", "aten.view"}
    assert host_at_start.names == {"aten.lift_fresh", "prim.device", *copies}


def waits_in(run):
    """The line of ours that asks for a number first."""
    with pytest.raises(DataDependentOutputException) as caught:
        run()
    return [str(e.statement).strip() for e in caught.traceback if "nas/trial" in str(e.path)][-1]


def test_batch_norms_are_estimated_without_waiting(backward):
    with FakeTensorMode(), HostTensors() as host:
        data = placed()
        model = to(SPACE.build(NEXCEPTION, SPACE.reduced(16, 16), 4, 3), "cuda", torch.channels_last)
        host.names.clear()
        estimate_batch_norm(model, data, batch_size=8)
    assert host.names == set()


class Waits(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 16 * 16, 4)

    def forward(self, x):
        return self.head(x.flatten(1) * (2.0 if x.mean() > 0 else 1.0))


class Strays(Waits):
    def forward(self, x):
        return self.head(x.flatten(1)) + torch.zeros(4)


@pytest.mark.parametrize(
    ("network", "error"), [(Waits, DataDependentOutputException), (Strays, RuntimeError)]
)
def test_a_network_that_waits_or_strays_is_found(backward, network, error):
    with FakeTensorMode():
        data = placed()
        recipe = TrainSettings(batch_size=8, amp="off").resolve(16, len(data.train))
        trainer = Trainer(network(), data, recipe, max_epochs=1)
        trainer.begin(0, seed=0)
        with pytest.raises(error):
            trainer.step()
