"""How a network behaves as a torch module and as timm expects it."""

import copy
import warnings

import pytest
import torch
from timm.models import FeatureListNet

import search_spaces
from search_spaces.nexception import build
from search_spaces.nexception.geometry import NEXCEPTION_T, NEXCEPTION_TP, XCEPTION, Geometry, reduced
from search_spaces.nexception.network import NEXcepTion

SPACE = search_spaces.get("nexception")
# A pyramid that runs in milliseconds.
PYRAMID = Geometry(
    name="small_pyramid",
    image_size=32,
    pyramid=True,
    patchify_chs=16,
    conv_chs=(8, 16),
    conv_padding=1,
    widths=(16, 24),
    depths=(1, 2),
    exit_chs=(),
)
CONFIGS = [*SPACE.points.values(), *SPACE.sample(6, seed=21)]
NETWORKS = [(config, geometry) for geometry in (reduced(16), PYRAMID) for config in CONFIGS]


def parametrized(networks):
    return pytest.mark.parametrize(
        ("config", "geometry"), networks, ids=[f"{g.name}-{i}" for i, (_, g) in enumerate(networks)]
    )


CASES, FEWER_CASES = parametrized(NETWORKS), parametrized(NETWORKS[::3])


@pytest.fixture(autouse=True)
def _one_thread_one_seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def gradients(model, images):
    model.zero_grad()
    output = model(images)
    output.square().sum().backward()
    return [output.detach(), *(parameter.grad.clone() for parameter in model.parameters())]


@CASES
def test_working_in_place_changes_nothing(config, geometry):
    model = build(config, geometry, 5).double()
    outside = copy.deepcopy(model)
    for module in outside.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    images = torch.randn(3, 3, 32, 32, dtype=torch.double)
    kept = images.clone()
    torch.testing.assert_close(gradients(model, images), gradients(outside, images))
    assert torch.equal(images, kept)


@CASES
def test_grad_checkpointing_changes_nothing(config, geometry):
    model = build(config, geometry, 5, drop_path_rate=0.3).double()
    images = torch.randn(3, 3, 32, 32, dtype=torch.double)
    results = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        torch.manual_seed(1)
        results.append(gradients(model, images))
    torch.testing.assert_close(*results)


def test_grad_checkpointing_computes_twice():
    model = build(SPACE.default, reduced(16), 5)
    calls = []
    model.stages[0][1].register_forward_pre_hook(lambda *_: calls.append(1))
    model.set_grad_checkpointing()
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert len(calls) == 2


@CASES
def test_channels_last_is_kept_by_every_layer(config, geometry):
    model = build(config, geometry, 5).to(memory_format=torch.channels_last)
    lost = []

    def look(module, _, output):
        if output.dim() == 4 and min(output.shape[1:]) > 1:
            lost.extend([type(module)] * (not output.is_contiguous(memory_format=torch.channels_last)))

    for module in model.modules():
        module.register_forward_hook(look)
    model(torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last))
    assert lost == []


@FEWER_CASES
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated")
def test_torchscript_and_export(config, geometry):
    model = build(config, geometry, 5).eval()
    images = torch.randn(2, 3, 32, 32)
    expected = model(images)
    torch.testing.assert_close(torch.jit.script(model)(images), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(
            model, (images,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
        ).module()
    torch.testing.assert_close(exported(images), expected)
    torch.testing.assert_close(exported(images.repeat(2, 1, 1, 1)), expected.repeat(2, 1))


@CASES
def test_features_only(config, geometry):
    model = build(config, geometry, 5).eval()
    images = torch.randn(1, 3, 64, 64)
    last = model.forward_features(images)
    features = FeatureListNet(
        model, out_indices=tuple(range(len(model.feature_info))), flatten_sequential=True
    )(images)
    for feature, info in zip(features, model.feature_info, strict=True):
        side = 64 // info["reduction"]
        assert feature.shape == (1, info["num_chs"], side, side)
    torch.testing.assert_close(features[-1], last)


@CASES
def test_head_and_classifier(config, geometry):
    model = build(config, geometry, 5, in_chans=1).eval()
    features = model.forward_features(torch.randn(2, 1, 32, 32))
    side = 32 // geometry.reduction
    assert features.shape == (2, model.num_features, side, side)
    assert model.forward_head(features, pre_logits=True).shape == (2, model.num_features)
    assert model.forward_head(features).shape == (2, 5)
    assert model.get_classifier().out_features == model.num_classes == 5
    model.reset_classifier(9)
    assert model.num_classes == 9
    assert model.forward_head(features).shape == (2, 9)
    model.reset_classifier(0)
    assert model.forward_head(features).shape == (2, model.num_features)


@pytest.mark.parametrize("stem", ["conv", "patchify"])
@pytest.mark.parametrize("geometry", [XCEPTION, NEXCEPTION_T, NEXCEPTION_TP], ids=lambda g: g.name)
def test_any_configuration_fits_any_full_size_geometry(stem, geometry):
    for config in SPACE.sample(4, seed=31):
        with torch.device("meta"):
            model = build({**config, "stem": stem}, geometry, 10).eval()
            for size in (geometry.image_size, geometry.reduction, geometry.reduction + 5):
                features = model.forward_features(torch.empty(1, 3, size, size))
                assert features.shape[1] == model.num_features
                assert min(features.shape) >= 1


@pytest.mark.parametrize("size", range(8, 41))
def test_the_reduced_network_takes_every_size_from_8(size):
    for name in ("xception", "nexception"):
        with torch.device("meta"):
            model = NEXcepTion(SPACE.points[name], reduced(16, size), 10).eval()
            features = model.forward_features(torch.empty(1, 3, size, size))
        # The patchify stem drops a last odd row; everything else rounds up.
        side = size // 2 if name == "nexception" else (size + 1) // 2
        assert features.shape[2:] == ((side + 3) // 4, (side + 3) // 4)


def test_activations_and_norms_stand_where_the_positions_say():
    """NEXcepTion, figure 1."""

    def kinds(block):
        return [type(layer).__name__ for layer in block.branch]

    separable, norm = "SeparableConv2d", "BatchNorm2d"
    nexception = build(SPACE.points["nexception"], reduced(16), 5)
    assert kinds(nexception.stages[0][0]) == [
        *(separable, norm, "GELU", separable, norm),
        *("Sequential", "SEModule"),
    ]
    assert kinds(nexception.stages[0][1]) == [
        separable,
        norm,
        "GELU",
        separable,
        norm,
        separable,
        "SEModule",
    ]
    xception = build(SPACE.default, reduced(16), 5)
    assert kinds(xception.stages[0][0]) == [separable, norm, "ReLU", separable, norm, "MaxPool2d"]
    assert kinds(xception.stages[0][1]) == ["ReLU", separable, norm] * 3
    assert kinds(xception.stages[1][0]) == [*["ReLU", separable, norm] * 2, "MaxPool2d"]


def test_bfloat16_autocast():
    for config in CONFIGS:
        model = build(config, reduced(16), 5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(torch.randn(4, 3, 32, 32))
        logits.float().square().sum().backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
