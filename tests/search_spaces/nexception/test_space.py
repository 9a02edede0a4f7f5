"""The NEXcepTion space over its whole extent; the general rules are in test_conformance.py."""

import json
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import search_spaces
from nas.util.counts import count
from search_spaces.base import config_id

SPACE = search_spaces.get("nexception")
CONFIGS = st.fixed_dictionaries(
    {name: st.sampled_from(hp.choices) for name, hp in SPACE.hyperparameters.items()}
)
CLASSES = 100


def expected(config, width):
    """Parameters and multiply-accumulates of the reduced network at 32x32, by hand."""
    params = macs = 0

    def conv(in_chs, out_chs, kernel, side, groups=1, bias=False):
        nonlocal params, macs
        weights = in_chs // groups * out_chs * kernel * kernel
        params += weights + (out_chs if bias else 0)
        macs += weights * side * side

    def separable(in_chs, out_chs, kernel, side):
        conv(in_chs, in_chs, kernel, side, groups=in_chs)
        conv(in_chs, out_chs, 1, side)

    def norm(chs):
        nonlocal params
        params += 2 * chs

    def squeeze(chs):
        inner = max(8, int(chs / 16 + 4) // 8 * 8)
        conv(chs, inner, 1, 1, bias=True)
        norm(inner)
        conv(inner, chs, 1, 1, bias=True)

    def body(chs, kernel, side):
        for i in range(1, len(chs)):
            separable(chs[i - 1], chs[i], kernel, side)
            if str(i) in config["norm_positions"]:
                norm(chs[i])

    def down(chs, side):
        body(chs, config["kernel_down"], side)
        if config["pool"] == "conv":
            separable(chs[-1], chs[-1], 3, side // 2)
        elif config["pool"] == "blur":
            macs_only(chs[-1] * 9 * (side // 2) ** 2)
        if config["se"]:
            squeeze(chs[-1])
        conv(chs[0], chs[-1], 1, side // 2)
        norm(chs[-1])

    def macs_only(number):
        nonlocal macs
        macs += number

    if config["stem"] == "patchify":
        entry = max(16, 3 * width // 16 // 8 * 8)
        conv(3, entry, 2, 16, bias=True)
        norm(entry)
    else:
        first, entry = max(8, width // 16), max(16, width // 8)
        conv(3, first, 3, 16)
        norm(first)
        conv(first, entry, 3, 16)
        norm(entry)
    down((entry, width, width), 16)
    for _ in range(4):
        body((width, 3 * width if config["bottleneck"] else width, width, width), config["kernel_mid"], 8)
        if config["se"]:
            squeeze(width)
    down((width, width, 2 * width), 8)
    for in_chs, out_chs in ((2 * width, 3 * width), (3 * width, 4 * width)):
        separable(in_chs, out_chs, 3, 4)
        norm(out_chs)
    conv(4 * width, CLASSES, 1, 1, bias=True)
    return params, macs


def counted(config, width):
    with torch.device("meta"):
        model = SPACE.build(config, SPACE.reduced(width), CLASSES)
    stats = count(model, 32)
    return stats.params, stats.macs


def test_the_size_is_the_papers():
    assert SPACE.size == 150_528
    assert SPACE.size * 3 // 4 == 112_896  # without CELU


def test_the_points_are_the_papers():
    assert list(SPACE.default.values()) == ["relu", "123", False, 3, 3, "batch", "123", "max", False, "conv"]
    point = SPACE.points["nexception"]
    assert list(point.values()) == ["gelu", "2", True, 5, 5, "batch", "12", "blur", True, "patchify"]


def test_the_fingerprint_is_pinned():
    """Runs on disk carry it: change it knowingly."""
    assert SPACE.fingerprint == "9463e0079922"


@settings(max_examples=60, deadline=None)
@given(
    config=CONFIGS,
    side=st.integers(8, 40),
    in_chans=st.sampled_from([1, 3]),
    num_classes=st.integers(2, 12),
    training=st.booleans(),
)
def test_every_network_takes_every_image(config, side, in_chans, num_classes, training):
    torch.manual_seed(0)
    model = SPACE.build(config, SPACE.reduced(16), num_classes, in_chans, drop_path_rate=0.1).train(training)
    for size in (32, side):
        logits = model(torch.randn(2, in_chans, size, size))
        assert logits.shape == (2, num_classes)
        assert torch.isfinite(logits).all()


@settings(max_examples=25, deadline=None)
@given(config=CONFIGS, width=st.integers(16, 200))
def test_parameters_and_macs_follow_from_the_widths(config, width):
    assert counted(config, width) == expected(config, width)


@pytest.mark.parametrize("width", [16, 32, 64, 128, 512])
def test_cheapest_and_costliest_bound_the_cost(width):
    """Costs rise with kernels and norms, so that the corners of the space bound all of it."""
    corners = [
        expected({**SPACE.default, **dict(zip(keys, values, strict=True))}, width)
        for keys in [("stem", "pool", "kernel_down", "kernel_mid", "bottleneck", "se", "norm_positions")]
        for values in product(
            ("conv", "patchify"),
            ("max", "blur", "conv"),
            (3, 9),
            (3, 9),
            (False, True),
            (False, True),
            ("3", "123"),
        )
    ]
    cheapest, costliest = (expected(SPACE.points[name], width) for name in ("cheapest", "costliest"))
    for i in range(2):
        assert cheapest[i] <= 1.01 * min(corner[i] for corner in corners)
        assert costliest[i] >= 0.99 * max(corner[i] for corner in corners)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_150528_configurations():
    seen = set()
    cheapest, costliest = (expected(SPACE.points[name], 16) for name in ("cheapest", "costliest"))
    for config in SPACE.enumerate():
        assert SPACE.validate(json.loads(json.dumps(config))) == config
        seen.add(config_id(config))
        params, macs = expected(config, 16)
        assert 0.99 * cheapest[0] <= params <= 1.01 * costliest[0]
        assert 0.99 * cheapest[1] <= macs <= 1.01 * costliest[1]
    assert len(seen) == 150_528
    for config in SPACE.sample(1500, seed=11):
        assert counted(config, 16) == expected(config, 16), config
