"""Layers between convolutions, fused: right when interpreted, compiled for a GPU, and without copies."""

import collections
import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import triton
from timm.layers import SqueezeExcite
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

import search_spaces
from nas.trial.kernels import FastLayers
from nas.trial.kernels.checked import Checks
from nas.trial.kernels.fused.layers import FusedLayers
from nas.trial.kernels.fused.squeeze import FastSqueezeExcite

SPACE = search_spaces.get("nexception")
NEXCEPTION = SPACE.points["nexception"]
CASES = Path(__file__).parent / "interpreted" / "fused_cases.py"


@pytest.mark.acceptance
def test_kernels_are_right_when_interpreted():
    """In a process of its own: Triton decides when it is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(CASES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class NoGpu:
    """As much of a driver as it takes to compile for a GPU that is not there."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=0):
        return 0


@pytest.fixture
def agreed(monkeypatch):
    """Fast layers are taken unchecked."""
    monkeypatch.setattr(Checks, "passes", lambda self, *args: True)


def network(config, width=16):
    torch.manual_seed(0)
    model = SPACE.build(config, SPACE.reduced(width, 16), 4, 3, 0.1).to(memory_format=torch.channels_last)
    FusedLayers(Checks(), torch.device("cpu"), torch.bfloat16).install(model)
    return model


def step(model, size=16, batch=4):
    images = torch.zeros(batch, 3, size, size).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.train()(images)
    functional.cross_entropy(logits.float(), torch.arange(batch) % 4).backward()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model.eval()(images)


@pytest.mark.acceptance
def test_every_kernel_compiles_for_a_gpu_once_for_all_sizes(agreed, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(triton.runtime.driver, "_active", NoGpu())
    compiled, run = collections.Counter(), JITFunction.run

    def only_compile(self, *args, grid, warmup, **kwargs):
        before = len(self.device_caches[0][0])
        run(self, *args, grid=grid, warmup=True, **kwargs)
        compiled[self.fn.__module__.rsplit(".", 1)[1], self.fn.__name__] += (
            len(self.device_caches[0][0]) - before
        )

    monkeypatch.setattr(JITFunction, "run", only_compile)
    models = [
        network({**NEXCEPTION, "se": True, "bottleneck": False, "activation_positions": "123"} | other)
        for other in ({"norm": "layer", "pool": "max"}, {"norm": "batch", "pool": "blur"})
    ]
    for model in models:
        step(model)
    first = dict(compiled)
    assert {name for _, name in first} == {
        *("_forward", "_backward", "_moments", "_merge", "_sums", "_pixel_sum", "_scaled")
    }
    assert {module for module, _ in first} == {
        f"{name}_triton" for name in ("batch_norm", "layer_norm", "blur_pool", "max_pool", "squeeze")
    }
    for model in models:
        step(model, size=20, batch=3)
    assert compiled == first


def shape_of(tensor):
    """Without dimensions of one: the weight of a 1x1 convolution may be that of a linear layer."""
    return tuple(size for size in tensor.shape if size != 1)


class Copies(TorchDispatchMode):
    """Counts operations that only move or cast numbers of some size."""

    NAMES = ("_to_copy", "copy_", "clone", "contiguous", "cat", "constant_pad_nd", "reflection_pad2d")

    def __init__(self):
        super().__init__()
        self.found = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in self.NAMES:
            self.found[name, shape_of(args[0]), out.dtype] += 1
        return out


CONFIGS = {
    "nexception": NEXCEPTION,
    "xception": SPACE.points["xception"],
    "layer norm": NEXCEPTION | {"norm": "layer", "activation": "celu", "norm_positions": "123"},
    "separable pooling": NEXCEPTION | {"pool": "conv", "activation_positions": "123"},
    "no norm inside": NEXCEPTION | {"activation_positions": "13", "norm_positions": "1", "bottleneck": False},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_step_copies_nothing_but_casts_each_weight_and_its_gradient(agreed, monkeypatch, config):
    monkeypatch.setattr(JITFunction, "run", lambda *args, **kwargs: None)
    model = network(config)
    images = torch.zeros(4, 3, 16, 16).to(memory_format=torch.channels_last)
    with Copies() as copies:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.train()(images)
        logits.sum().backward()
    wanted = collections.Counter({("_to_copy", (4, 3, 16, 16), torch.bfloat16): 1})
    for layer in model.modules():
        for weight in layer.parameters() if isinstance(layer, (nn.Conv2d, nn.Linear)) else ():
            wanted["_to_copy", shape_of(weight), torch.bfloat16] += 1
            wanted["_to_copy", shape_of(weight), torch.float32] += 1
    features = model.num_features
    wanted["clone", (4, features, 2, 2), torch.bfloat16] += (
        1  # the last mean's gradient, written to each pixel
    )
    wanted["copy_", (4, features), torch.bfloat16] += 1
    assert copies.found == wanted


def test_squeeze_and_excitation_on_a_cpu_is_timms():
    torch.manual_seed(0)
    plain = SqueezeExcite(24, rd_ratio=1 / 4, norm_layer=nn.BatchNorm2d, act_layer="gelu")
    fast = FastSqueezeExcite(copy.deepcopy(plain), in_triton=False)
    assert list(fast.state_dict()) == list(plain.state_dict())
    x = torch.randn(5, 24, 7, 6).to(memory_format=torch.channels_last)
    gradient, found = torch.randn_like(x), []
    for layer in (plain, fast):
        inputs = x.clone().requires_grad_()
        out = layer(inputs)
        out.backward(gradient)
        assert out.is_contiguous(memory_format=torch.channels_last)
        found.append([out, inputs.grad, *(p.grad for p in layer.parameters()), *layer.buffers()])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


def test_on_a_cpu_only_squeeze_and_excitation_is_replaced():
    model = SPACE.build(NEXCEPTION, SPACE.reduced(16, 16), 4, 3, 0.0)
    before = {name: type(module) for name, module in model.named_modules()}
    FastLayers(torch.device("cpu")).install(model)
    changed = {type(m).__name__ for name, m in model.named_modules() if type(m) is not before[name]}
    assert changed == {"FastSqueezeExcite", "DepthwiseConv2d"}
