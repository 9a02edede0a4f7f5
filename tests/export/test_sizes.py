import json
from dataclasses import replace

import pytest
import timm
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import search_spaces
from nas.export import sizes, summary
from nas.export.source import Source
from nas.util.counts import count
from nas.util.errors import UserError
from search_spaces.nexception.geometry import NEXCEPTION_S, NEXCEPTION_T, NEXCEPTION_TP, XCEPTION, Geometry

SPACE = search_spaces.get("nexception")
SMALL = Geometry(
    name="small",
    image_size=64,
    pyramid=False,
    patchify_chs=32,
    conv_chs=(16, 32),
    conv_padding=1,
    widths=(64, 128),
    depths=(0, 1),
    exit_chs=(160, 192, 256),
)
POINT = Source(SPACE.default, {})


def matched(config, target):
    size = sizes.Size(SMALL, SMALL.image_size, False, {})
    return sizes.match_macs(SPACE, config, size, f"{target:.0f}", 10).geometry


def blocks(config, geometry, num_classes):
    with torch.device("meta"):
        network = SPACE.build(config, geometry, num_classes)
    return summary.rows(network, SPACE.exporting.blocks(network), geometry.image_size, 3)


def total(name, rows, geometry):
    params, macs = sum(row.params for row in rows), sum(row.macs for row in rows)
    return summary.Total(name, geometry.image_size, params, macs)


@pytest.mark.parametrize(
    ("name", "geometry"),
    [("t", NEXCEPTION_T), ("s", NEXCEPTION_S), ("tp", NEXCEPTION_TP), ("xception", XCEPTION)],
)
def test_short_names(name, geometry):
    assert sizes.find(name, POINT).geometry == geometry
    assert sizes.find(name, POINT, 320).geometry == replace(geometry, image_size=320)


def test_the_searchs_own_network():
    source = Source(SPACE.default, {}, reduced=SPACE.reduced(16))
    assert sizes.find("reduced", source).geometry == SPACE.reduced(16)


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump], ids=["json", "yaml"])
def test_a_file(tmp_path, write):
    path = tmp_path / "small"
    path.write_text(write(SMALL.to_json()))
    assert sizes.find(str(path), POINT).geometry == SMALL


@settings(max_examples=5, deadline=None)
@given(
    target=st.floats(3e6, 3e9),
    config=st.sampled_from([*SPACE.points.values(), *SPACE.sample(4, seed=3)]),
)
def test_widths_are_scaled_to_the_cost_asked(target, config):
    found = matched(config, target)
    with torch.device("meta"):
        macs = count(SPACE.build(config, found, 10), 64).macs
    assert abs(macs - target) <= target / 10
    assert (found.depths, found.image_size) == (SMALL.depths, SMALL.image_size)
    assert all(
        width % 8 == 0 for width in (found.patchify_chs, *found.conv_chs, *found.widths, *found.exit_chs)
    )


def test_a_cost_that_is_already_met_changes_nothing_but_the_name():
    with torch.device("meta"):
        macs = count(SPACE.build(SPACE.default, SMALL, 10), 64).macs
    assert replace(matched(SPACE.default, macs), name="small") == SMALL


def test_a_cost_out_of_reach():
    with pytest.raises(UserError, match="nearest to it is"):
        matched(SPACE.default, 1e3)


@pytest.mark.parametrize("point", ["xception", "nexception", "costliest"])
@pytest.mark.parametrize("geometry", [SMALL, NEXCEPTION_TP], ids=["small", "tp"])
def test_blocks_add_up_to_the_whole(point, geometry):
    config = SPACE.points[point]
    rows = blocks(config, geometry, 10)
    with torch.device("meta"):
        stats = count(SPACE.build(config, geometry, 10), geometry.image_size)
    whole = total("it", rows, geometry)
    assert (whole.params, whole.macs) == (stats.params, stats.macs)
    assert rows[0].name == "stem"
    assert rows[-1].shape == (10,)


@pytest.mark.acceptance  # as long as all else here
def test_timms_networks_cost_what_is_said_of_them():
    for said in summary.REFERENCES:
        with torch.device("meta"):
            model = timm.create_model(said.name)
        size = model.pretrained_cfg["input_size"][-1]
        stats = count(model, size)
        assert said == summary.Total(said.name, size, stats.params, stats.macs)


def test_the_nearest_networks_are_of_about_the_same_size():
    t = total("t", blocks(SPACE.points["nexception"], NEXCEPTION_T, 1000), NEXCEPTION_T)
    assert (t.params, t.macs) == (24_544_976, 4_600_086_016)
    assert {other.name for other in summary.nearest(t)} >= {"convnext_tiny", "swin_tiny_patch4_window7_224"}
    (reference,) = SPACE.exporting.references()
    xception = summary.reference(SPACE, reference)
    assert (xception.name, xception.params, xception.macs) == ("xception", 22_855_952, 8_357_403_496)
