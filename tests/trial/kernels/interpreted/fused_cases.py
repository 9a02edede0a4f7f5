"""Run by test_fused.py in a process in which Triton's kernels are interpreted on the CPU."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from timm.layers import BlurPool2d, LayerNorm2d, SqueezeExcite
from torch import nn
from torch.nn import functional

import search_spaces
from nas.data.device import DeviceData
from nas.data.images import checked
from nas.trial.kernels.checked import Checks
from nas.trial.kernels.fused import (
    batch_norm_triton,
    blur_pool_triton,
    layer_norm_triton,
    max_pool_triton,
    squeeze_triton,
)
from nas.trial.kernels.fused.activation import LAYERS
from nas.trial.kernels.fused.batch_norm import BatchNormAct2d
from nas.trial.kernels.fused.layer_norm import LayerNormAct2d
from nas.trial.kernels.fused.layers import FusedLayers
from nas.trial.kernels.fused.pooling import FastMaxPool2d, MaxBlurPool2d
from nas.trial.kernels.fused.squeeze import FastSqueezeExcite
from nas.trial.trainer import estimate_batch_norm, evaluate

pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
SPACE = search_spaces.get("nexception")
CPU = torch.device("cpu")
TOLERANCES = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
quickly = settings(
    phases=[Phase.explicit, Phase.generate],  # each example takes seconds: none is made smaller
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
dtypes = st.sampled_from(list(TOLERANCES))
kinds = st.sampled_from(list(LAYERS))
shapes = st.tuples(st.integers(1, 3), st.sampled_from([1, 3, 16, 65]), st.integers(2, 8), st.integers(2, 8))


@pytest.fixture(autouse=True, scope="module")
def large_programs():
    """The interpreter takes as long for a program of few numbers as for one of many."""
    with pytest.MonkeyPatch.context() as patch:
        for kernels in (blur_pool_triton, max_pool_triton):
            patch.setattr(kernels, "_OUTPUTS", 64)
        for kernels in (batch_norm_triton, squeeze_triton):
            patch.setattr(kernels, "_ROWS", 128)
        patch.setattr(layer_norm_triton, "_NUMBERS", 1 << 13)
        yield patch


def maps(shape, dtype, seed, ties=False, offset=0.0):
    """Normal numbers; with ties, as a ReLU leaves them, many are 0 and the others halves."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + offset
    if ties:
        x = (2 * x).round().relu() / 2
    return x.to(dtype, memory_format=torch.channels_last)


def computed(layer, x, dtype):
    """Output, gradients and statistics in training, and the output in evaluation."""
    x = x.to(dtype, copy=True).requires_grad_()
    half = dtype in (torch.float16, torch.bfloat16)
    with torch.autocast("cpu", dtype if half else None, enabled=half):
        out = layer.train()(x)
    out.backward(maps(out.shape, x.dtype, seed=1).to(out.dtype))
    with torch.no_grad(), torch.autocast("cpu", dtype if half else None, enabled=half):
        judged = layer.eval()(x)
    named = dict(layer.named_parameters())
    statistics = [kept for name, kept in layer.state_dict().items() if name not in named]
    return out, judged, x.grad, *(p.grad for p in named.values()), *statistics


def agree(plain, faster, x, tolerance):
    """The faster layer on the numbers as they are, and the plain one in double precision."""
    with torch.no_grad():
        for seed, parameter in enumerate(plain.parameters()):
            if parameter.dim() == 1:
                parameter.copy_(1 + maps(parameter[None, :, None, None].shape, x.dtype, seed).flatten() / 4)
    fast = faster(copy.deepcopy(plain))
    found, wanted = computed(fast, x, x.dtype), computed(plain.double(), x, torch.float64)
    assert len(found) == len(wanted)
    assert found[0].dtype == x.dtype
    for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert one.shape == other.shape
        if one.dim() == 4 and one.shape[1] > 1 and min(one.shape[2:]) > 1:
            assert one.is_contiguous(memory_format=torch.channels_last)
        allowed = tolerance * (1 + other.abs().max())
        assert (one.double() - other.double()).abs().max() <= allowed, f"result {index}"


@quickly
@given(shapes, dtypes, kinds, st.sampled_from([0.0, 30.0]))
def test_batch_norm(shape, dtype, kind, offset):
    plain = nn.Sequential(nn.BatchNorm2d(shape[1], momentum=0.3), LAYERS[kind]())
    x = maps(shape, torch.float32, 0, offset=offset).to(dtype)
    agree(plain, lambda plain: BatchNormAct2d(plain[0], kind), x, TOLERANCES[dtype])


def test_batch_norm_of_many_strips_and_of_a_large_mean():
    shape = (9, 20, 16, 16)
    plain = nn.Sequential(nn.BatchNorm2d(20), nn.GELU())
    x = maps(shape, torch.float32, 0, offset=300.0)
    agree(plain, lambda plain: BatchNormAct2d(plain[0], "gelu"), x, 2e-4)


def test_batch_norm_of_one_number_a_channel_is_refused_as_by_pytorch():
    norm = BatchNormAct2d(nn.BatchNorm2d(8), "relu")
    with pytest.raises(ValueError, match="Expected more than 1 value"):
        norm(torch.zeros(1, 8, 1, 1))
    with pytest.raises(ValueError, match="expected 4D"):
        norm(torch.zeros(5, 8))


@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_in_evaluation_are_pytorchs(frozen):
    plain = nn.Sequential(nn.BatchNorm2d(8), nn.GELU()).eval()
    plain.requires_grad_(not frozen)
    fast = BatchNormAct2d(copy.deepcopy(plain[0]), "gelu")
    grads = []
    for layer in (plain, fast):
        x = maps((2, 8, 4, 4), torch.float32, 0).requires_grad_()
        layer(x).square().sum().backward()
        grads.append(x.grad)
    assert torch.equal(*grads)


@quickly
@given(shapes, dtypes, kinds)
def test_layer_norm(shape, dtype, kind):
    plain = nn.Sequential(LayerNorm2d(shape[1], eps=1e-2), LAYERS[kind]())
    agree(plain, lambda plain: LayerNormAct2d(plain[0], kind), maps(shape, dtype, 0), TOLERANCES[dtype])


def test_layer_norm_of_many_channels_and_strips():
    plain = nn.Sequential(LayerNorm2d(1536), nn.ReLU())
    agree(
        plain, lambda plain: LayerNormAct2d(plain[0], "relu"), maps((3, 1536, 4, 4), torch.float32, 0), 1e-4
    )


@quickly
@given(shapes, dtypes, st.booleans())
def test_blur_pooling(shape, dtype, ties):
    plain = nn.Sequential(nn.MaxPool2d(3, 1, 1), BlurPool2d(shape[1], filt_size=3, stride=2))
    assert MaxBlurPool2d.takes(plain)
    agree(plain, lambda _: MaxBlurPool2d(), maps(shape, dtype, 0, ties), TOLERANCES[dtype])


@quickly
@given(shapes, dtypes, st.booleans())
def test_max_pooling(shape, dtype, ties):
    plain = nn.MaxPool2d(3, 2, 1)
    assert FastMaxPool2d.takes(plain)
    agree(plain, lambda _: FastMaxPool2d(), maps(shape, dtype, 0, ties), TOLERANCES[dtype])


@pytest.mark.parametrize("pool", [MaxBlurPool2d(), FastMaxPool2d()])
def test_nan_is_not_lost_in_a_maximum(pool):
    x = maps((1, 16, 8, 8), torch.float32, 0)
    x[0, :, 4, 4] = float("nan")
    assert pool(x).isnan().any()


def test_maps_too_small_to_be_mirrored_are_refused():
    with pytest.raises(ValueError, match="a map of 1x4"):
        MaxBlurPool2d()(torch.zeros(1, 8, 1, 4))


@quickly
@given(shapes, st.sampled_from([torch.float32, torch.bfloat16]))
def test_squeeze_and_excitation(shape, dtype):
    plain = SqueezeExcite(shape[1], rd_ratio=1 / 4, rd_divisor=1)
    agree(
        plain,
        lambda plain: FastSqueezeExcite(plain, in_triton=True),
        maps(shape, dtype, 0),
        TOLERANCES[dtype],
    )


def test_equal_inputs_give_equal_results():
    for plain in (nn.BatchNorm2d(40), LayerNorm2d(40)):
        kind = BatchNormAct2d if isinstance(plain, nn.BatchNorm2d) else LayerNormAct2d
        x = maps((8, 40, 9, 9), torch.float32, 0)
        once, again = (computed(kind(copy.deepcopy(plain), "gelu"), x, torch.float32) for _ in range(2))
        assert all(map(torch.equal, once, again))


configs = st.fixed_dictionaries(
    {hp.name: st.sampled_from(hp.choices) for hp in SPACE.hyperparameters.values()}
)


def networks(config, dtype):
    torch.manual_seed(0)
    plain = SPACE.build(config, SPACE.reduced(16, 16), 4, 3, 0.0).to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    notes = []
    FusedLayers(Checks(notes.append), CPU, dtype).install(fast)
    assert notes == []
    assert list(fast.state_dict()) == list(plain.state_dict())
    names = [[name for name, _ in model.named_parameters()] for model in (plain, fast)]
    assert names[0] == names[1]
    return plain, fast


def left(model, types):
    return [name for name, module in model.named_modules() if type(module) in types]


@settings(max_examples=4, deadline=None, derandomize=True)
@given(configs, st.sampled_from([torch.float32, torch.bfloat16]))
def test_networks_of_the_space_compute_the_same(config, dtype):
    plain, fast = networks(config, dtype)
    assert left(fast, (nn.BatchNorm2d, LayerNorm2d, nn.MaxPool2d, BlurPool2d, SqueezeExcite)) == []
    exact = copy.deepcopy(plain).double()
    images, labels = maps((6, 3, 16, 16), torch.float32, 2), torch.arange(6) % 4
    for model in (plain, fast, exact):
        half = dtype != torch.float32 and model is not exact
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model(images.double() if model is exact else images)
        functional.cross_entropy(logits.double(), labels).backward()
    assert error_of(fast, exact) <= 3 * error_of(plain, exact) + 1e-5
    for name, wanted in exact.state_dict().items():
        tolerance = 0.05 if dtype == torch.bfloat16 else 1e-4
        found = fast.state_dict()[name].double()
        assert (found - wanted).abs().max() <= tolerance * (1 + wanted.abs().max()), name


def error_of(model, exact):
    """Of all gradients, relative to their length."""
    found, wanted = (torch.cat([p.grad.double().flatten() for p in m.parameters()]) for m in (model, exact))
    return float((found - wanted).norm() / wanted.norm())


def test_batch_norms_are_estimated_as_before():
    plain, fast = networks(SPACE.points["nexception"] | {"bottleneck": False}, torch.float32)
    images = torch.randint(0, 256, (60, 16, 16, 3), generator=torch.Generator().manual_seed(0))
    data = DeviceData.place(
        checked("noise", images.byte().numpy(), (torch.arange(60) % 4).numpy()),
        val_fraction=0.2,
        seed=0,
        device="cpu",
    )
    for model in (plain, fast):
        estimate_batch_norm(model, data, batch_size=20)
    for (name, wanted), found in zip(plain.state_dict().items(), fast.state_dict().values(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5, msg=name)
    assert evaluate(fast, data) == pytest.approx(evaluate(plain, data), rel=1e-4)


def test_what_is_broken_is_noted_once_and_left_plain(monkeypatch):
    backward = batch_norm_triton.backward
    monkeypatch.setattr(
        batch_norm_triton, "backward", lambda *args: tuple(1.1 * found for found in backward(*args))
    )
    monkeypatch.setattr(blur_pool_triton, "forward", lambda *args, **kwargs: 1 / 0)
    notes = []
    layers = FusedLayers(Checks(notes.append), CPU, torch.float32)
    for _ in range(2):
        model = SPACE.build(SPACE.points["nexception"], SPACE.reduced(16, 16), 4, 3, 0.0)
        layers.install(model)
        assert left(model, (BatchNormAct2d, MaxBlurPool2d)) == []
        assert left(model, (nn.BatchNorm2d,))
        assert left(model, (FastSqueezeExcite,))
        model(torch.zeros(2, 3, 16, 16)).sum().backward()
    assert sorted(notes) == [
        "batch norm in Triton: gives other numbers than the plain layer; computed plainly instead",
        "batch norm with GELU in Triton: gives other numbers than the plain layer; computed plainly instead",
        "blur pooling in Triton: does not run here (ZeroDivisionError: division by zero); computed plainly "
        "instead",
    ]
