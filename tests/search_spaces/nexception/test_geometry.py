import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.util.errors import UserError
from search_spaces.nexception.geometry import (
    NEXCEPTION_S,
    NEXCEPTION_T,
    NEXCEPTION_TP,
    XCEPTION,
    Geometry,
    named,
    reduced,
)

FULL_SIZE = [XCEPTION, NEXCEPTION_T, NEXCEPTION_S, NEXCEPTION_TP]


@pytest.mark.parametrize("geometry", [*FULL_SIZE, reduced(16), reduced(100, 64)], ids=lambda g: g.name)
def test_json_round_trip(geometry):
    assert Geometry.from_json(json.loads(json.dumps(geometry.to_json()))) == geometry


@pytest.mark.parametrize("geometry", FULL_SIZE, ids=lambda g: g.name)
def test_names(geometry):
    assert named(geometry.name) == geometry
    assert geometry.reduction == 32


def test_at_width_512_the_reduced_network_has_the_channels_of_nexception_t():
    small = reduced(512)
    assert (small.patchify_chs, small.conv_chs) == (NEXCEPTION_T.patchify_chs, NEXCEPTION_T.conv_chs)
    assert (small.widths[-1], *small.exit_chs) == (NEXCEPTION_T.widths[-1], *NEXCEPTION_T.exit_chs)
    assert (small.depths, small.reduction) == ((4,), 8)


@given(width=st.integers(16, 2048), image_size=st.integers(8, 512))
def test_every_width_and_image_size_gives_a_reduced_network(width, image_size):
    geometry = reduced(width, image_size)
    assert geometry.image_size == image_size
    assert geometry.patchify_chs % 8 == 0
    assert 16 <= geometry.patchify_chs <= max(16, 3 * width / 16)
    assert geometry.exit_chs == (2 * width, 3 * width, 4 * width)


@pytest.mark.parametrize(
    ("make", "named_in_message"),
    [
        (lambda: reduced(15), "width 15: must be an integer of at least 16"),
        (lambda: reduced(-1), "width -1"),
        (lambda: reduced(64.0), "width 64.0"),
        (lambda: reduced(True), "width True"),
        (lambda: reduced(16, 7), "image size 7: must be at least 8"),
        (lambda: reduced(16, "32"), "image size '32'"),
        (lambda: named("resnet50"), "'resnet50': must be one of xception, nexception_t"),
        (lambda: Geometry.from_json([]), "expected an object with the keys name"),
        (lambda: Geometry.from_json({"name": "x"}), "expected an object with the keys name"),
    ],
)
def test_bad_input_is_one_line(make, named_in_message):
    with pytest.raises(UserError) as caught:
        make()
    assert named_in_message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", 31),
        ("image_size", "224"),
        ("pyramid", 0),
        ("pyramid", True),
        ("widths", []),
        ("widths", [16, 0, 16]),
        ("widths", [16.0, 16, 16]),
        ("widths", 16),
        ("depths", [1]),
        ("depths", [0, 0, -1]),
        ("conv_chs", [16]),
        ("conv_padding", 2),
        ("exit_chs", [16]),
        ("patchify_chs", None),
    ],
)
def test_a_damaged_geometry_is_refused_by_key(key, value):
    with pytest.raises(UserError) as caught:
        Geometry.from_json({**NEXCEPTION_T.to_json(), key: value})
    assert "\n" not in str(caught.value)
    assert {"widths": "width", "image_size": "image"}.get(key, key)[:5] in str(caught.value).lower()


def test_a_geometry_needs_no_torch():
    code = (
        "import sys, search_spaces.nexception, search_spaces.nexception.geometry as g; "
        "g.reduced(16); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
