"""The published networks, to the digit."""

import copy

import pytest
import timm
import torch
from torch import nn

import search_spaces
from nas.util.counts import count
from search_spaces.nexception import build
from search_spaces.nexception.geometry import NEXCEPTION_S, NEXCEPTION_T, NEXCEPTION_TP, XCEPTION, reduced

POINTS = search_spaces.get("nexception").points
# Parameters, FLOPs by torch's counter and multiply-accumulates of convolutions and linear layers in
# units of 10^9, of the definitions that NEXcepTion's authors released and of timm's legacy_xception.
PUBLISHED = [
    ("nexception", NEXCEPTION_T, 24_544_976, 9_200_172_032, 4.593),
    ("nexception", NEXCEPTION_S, 43_386_944, 16_804_709_504, 8.395),
    ("nexception", NEXCEPTION_TP, 26_559_112, 8_639_740_416, 4.320),
    ("xception", XCEPTION, 22_855_952, 16_714_806_992, 8.357),
]
# Width, point, parameters and multiply-accumulates of the reduced network at 32x32, 100 classes.
REDUCED = [
    (32, "xception", "60 k", "2.5 M"),
    (32, "nexception", "94 k", "4.3 M"),
    (32, "costliest", "143 k", "8.0 M"),
    (64, "xception", "192 k", "7.7 M"),
    (64, "nexception", "293 k", "13.8 M"),
    (64, "costliest", "400 k", "20.8 M"),
    (128, "xception", "677 k", "27.7 M"),
    (128, "nexception", "1.02 M", "48.8 M"),
    (128, "costliest", "1.27 M", "62.9 M"),
    (512, "xception", "9.85 M", "424 M"),
    (512, "nexception", "14.6 M", "710 M"),
    (512, "costliest", "16.6 M", "792 M"),
]


def on_meta(point, geometry, num_classes=1000, **options):
    with torch.device("meta"):
        return build(POINTS[point], geometry, num_classes, **options)


def conv_and_linear_macs(model, size):
    """Multiply-accumulates of the layers that learn: blur pooling is not among them."""
    macs = 0

    def add(module, _, output):
        nonlocal macs
        macs += module.weight.numel() * output[0, 0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    model.eval()(torch.empty(1, 3, size, size, device="meta"))
    return macs


@pytest.mark.parametrize(
    ("point", "geometry", "params", "flops", "giga_macs"), PUBLISHED, ids=lambda v: str(v)[:24]
)
def test_full_size_networks(point, geometry, params, flops, giga_macs):
    model = on_meta(point, geometry)
    stats = count(model, geometry.image_size)
    assert (stats.params, stats.flops, stats.macs) == (params, flops, flops // 2)
    assert round(conv_and_linear_macs(model, geometry.image_size) / 1e9, 3) == giga_macs


@pytest.mark.parametrize(("width", "point", "params", "macs"), REDUCED)
def test_reduced_networks(width, point, params, macs):
    def rounded_like(number, text):
        digits, unit = text.split()
        places = len(digits.partition(".")[2])
        return f"{number / {'k': 1e3, 'M': 1e6}[unit]:.{places}f} {unit}"

    stats = count(on_meta(point, reduced(width), 100), 32)
    assert rounded_like(stats.params, params) == params
    assert rounded_like(stats.macs, macs) == macs


def copy_legacy_xception(source, target):
    """Gives our Xception the weights of timm's, layer by layer in the order of their use."""

    def give(ours, theirs):
        mine, other = ours.state_dict(), [v for module in theirs for v in module.state_dict().values()]
        assert [value.shape for value in mine.values()] == [value.shape for value in other]
        ours.load_state_dict(dict(zip(mine, other, strict=True)))

    give(target.stem, [source.conv1, source.bn1, source.conv2, source.bn2])
    blocks = [block for stage in target.stages for block in stage]
    for i, block in enumerate(blocks, start=1):
        legacy = getattr(source, f"block{i}")
        give(block.branch, [legacy.rep])
        give(block.shortcut, [] if legacy.skip is None else [legacy.skip, legacy.skipbn])
    assert len(blocks) == 12
    give(target.tail, [source.conv3, source.bn3, source.conv4, source.bn4])
    give(target.head, [source.fc])


@pytest.fixture(scope="module")
def twins():
    torch.manual_seed(0)
    legacy = timm.create_model("legacy_xception", num_classes=10)
    for module in legacy.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    ours = build(POINTS["xception"], XCEPTION, 10)
    copy_legacy_xception(legacy, ours)
    return legacy, ours


@pytest.mark.parametrize("size", [75, 96])
def test_xception_equals_timms_in_eval_mode(twins, size):
    legacy, ours = (model.eval() for model in twins)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = legacy(images)
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours(images), expected)
        torch.testing.assert_close(ours.forward_features(images), legacy.forward_features(images))


def test_xception_equals_timms_in_train_mode(twins):
    legacy, ours = (copy.deepcopy(model).double().train() for model in twins)
    images = torch.randn(2, 3, 48, 48, dtype=torch.double)
    expected, output = legacy(images), ours(images)
    torch.testing.assert_close(output, expected)
    for logits in (expected, output):
        logits.square().sum().backward()
    torch.testing.assert_close(ours.stem.layers[0].weight.grad, legacy.conv1.weight.grad)
    torch.testing.assert_close(ours.head.fc.weight.grad, legacy.fc.weight.grad)
    norms = [
        [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for model in (legacy, ours)
    ]
    means = [sorted(norm.running_mean.sum().item() for norm in found) for found in norms]
    assert means[1] == pytest.approx(means[0])


def test_stochastic_depth_is_constant_or_rises_in_a_pyramid():
    """NEXcepTion, Table 1: 0.05."""

    def rates(geometry):
        model = on_meta("nexception", geometry, drop_path_rate=0.05)
        return [
            getattr(block.drop_path, "drop_prob", 0.0)
            for block in model.modules()
            if hasattr(block, "drop_path")
        ]

    assert rates(NEXCEPTION_T) == [0.05] * 12
    assert rates(NEXCEPTION_TP) == pytest.approx([0.05 * i / 18 for i in range(19)])
