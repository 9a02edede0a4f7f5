"""The ``mobilenet`` space: its three points are timm's networks, and every configuration builds."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import search_spaces
from nas.util.counts import count
from nas.util.errors import UserError
from search_spaces.mobilenet.network import expansions_of

SPACE = search_spaces.get("mobilenet")
# timm's own figures, of its networks of the same names.
PUBLISHED = {
    "mobilenetv2_100": 3_504_872,
    "mobilenetv3_large_100": 5_483_032,
    "efficientnet_b0": 5_288_548,
}
CONFIGS = st.integers(0, 2**31).map(lambda seed: SPACE.sample(1, seed)[0])


def full(point):
    return SPACE.network(SPACE.points[point], SPACE.full_sizes["mobile"], 1000)


@pytest.mark.parametrize("point", PUBLISHED)
def test_the_points_have_the_published_number_of_parameters(point):
    with torch.device("meta"):
        assert count(full(point), 224).params == PUBLISHED[point]


@pytest.mark.parametrize("point", PUBLISHED)
def test_timms_weights_give_timms_outputs(point):
    torch.manual_seed(0)
    theirs, ours = timm.create_model(point), full(point)
    with torch.no_grad():
        for name, tensor in theirs.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
        ours.load_state_dict(theirs.state_dict())
        images = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_the_default_is_mobilenet_v2():
    assert SPACE.default == SPACE.points["mobilenetv2_100"]


def test_the_last_expansion_holds_for_the_rest():
    assert expansions_of("6-2.5-2.3", 4) == [6, 2.5, 2.3, 2.3]
    assert expansions_of("4-3", 2) == [4, 3]
    assert expansions_of("3", 3) == [3, 3, 3]


@settings(max_examples=15, deadline=None)
@given(config=CONFIGS, side=st.integers(8, 40), in_chans=st.sampled_from([1, 3]), training=st.booleans())
def test_every_network_takes_every_image(config, side, in_chans, training):
    torch.manual_seed(0)
    model = SPACE.network(config, SPACE.reduced(4), 5, in_chans, drop_path_rate=0.1).train(training)
    logits = model(torch.randn(2, in_chans, side, side))
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


@settings(max_examples=15, deadline=None)
@given(config=CONFIGS, width=st.integers(4, 9))
def test_every_stage_has_the_chosen_blocks(config, width):
    with torch.device("meta"):
        model = SPACE.network(config, SPACE.reduced(width), 5)
    for number in range(1, 6):
        blocks = model.blocks[number]
        assert len(blocks) == config[f"depth_{number}"]
        for block in blocks:
            kernel = config[f"kernel_{number}"]
            assert block.conv_dw.kernel_size == (kernel, kernel)
            assert block.conv_pwl.out_channels == config[f"width_{number}"] * width


def test_the_named_ends_bound_the_multiply_accumulates():
    def macs(config):
        return count(SPACE.network(config, SPACE.reduced(4), 10), 32).macs

    with torch.device("meta"):
        low, high = macs(SPACE.points["cheapest"]), macs(SPACE.points["costliest"])
        changed = [
            {**SPACE.points["cheapest"], "head": "before_pooling"},
            {**SPACE.points["cheapest"], "stem_width": 3},
            {**SPACE.points["costliest"], "head": "after_pooling"},
            {**SPACE.points["costliest"], "se_3": "input"},
            {**SPACE.points["costliest"], "expansion_1": "4"},
        ]
        for config in [*SPACE.points.values(), *changed, *SPACE.sample(4, seed=4)]:
            assert low <= macs(config) <= high


@pytest.mark.parametrize(
    ("width", "side", "said"),
    [(3, 32, "width 3: must be an integer of at least 4"), (4, 7, "image size 7: must be an integer")],
)
def test_what_is_too_small_is_refused_in_one_line(width, side, said):
    with pytest.raises(UserError, match=said):
        SPACE.reduced(width, side)
