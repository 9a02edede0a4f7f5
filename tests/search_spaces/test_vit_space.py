"""The ``vit`` space: DeiT-S is timm's, and each choice changes what it says."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.vision_transformer import ResPostBlock

import search_spaces
from nas.util.counts import count
from nas.util.errors import UserError

SPACE = search_spaces.get("vit")
DEIT = "deit_small_patch16_224"
CONFIGS = st.integers(0, 2**31).map(lambda seed: SPACE.sample(1, seed)[0])


def full(**changes):
    return SPACE.network({**SPACE.default, **changes}, SPACE.full_sizes["small"], 1000)


def meta(**changes):
    with torch.device("meta"):
        return full(**changes)


def test_deit_s_has_the_published_number_of_parameters():
    model = meta()
    assert count(model, 224).params == 22_050_664  # timm's own figure
    assert SPACE.default == SPACE.points[DEIT]


def test_timms_weights_give_timms_outputs():
    torch.manual_seed(0)
    theirs, ours = timm.create_model(DEIT), full()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-4, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(config=CONFIGS, side=st.integers(8, 40), in_chans=st.sampled_from([1, 3]), training=st.booleans())
def test_every_network_takes_every_image(config, side, in_chans, training):
    torch.manual_seed(0)
    model = SPACE.network(config, SPACE.reduced(48, side), 5, in_chans, drop_path_rate=0.1).train(training)
    for size in (side, 24):
        logits = model(torch.randn(2, in_chans, size, size))
        assert logits.shape == (2, 5)
        assert torch.isfinite(logits).all()


@settings(max_examples=20, deadline=None)
@given(config=CONFIGS, width=st.integers(48, 400))
def test_heads_divide_the_width_and_widths_are_distinct(config, width):
    geometry = SPACE.reduced(width)
    choices = SPACE.hyperparameters["width"].choices
    widths = [geometry.channels(choice) for choice in choices]
    assert widths == sorted(set(widths))
    assert all(chs % heads == 0 for chs in widths for heads in SPACE.hyperparameters["heads"].choices)
    assert geometry.channels(384) == pytest.approx(width, abs=6)
    with torch.device("meta"):
        model = SPACE.network(config, geometry, 5)
    assert (len(model.blocks), model.embed_dim) == (config["depth"], geometry.channels(config["width"]))


def test_each_choice_changes_what_it_says():
    base = meta()
    assert meta(patch=8).pos_embed.shape[1] == 28 * 28 + 1
    assert len(meta(depth=7).blocks) == 14
    assert meta(mlp_ratio=3).blocks[0].mlp.fc1.out_features == 3 * 384
    assert all(isinstance(block, ResPostBlock) for block in meta(norm_place="res_post").blocks)
    averaged = meta(pool="avg")
    assert averaged.cls_token is None
    assert averaged.pos_embed.shape[1] == base.pos_embed.shape[1] - 1
    scaled = full(layer_scale=True, layer_scale_init=0.25)
    assert torch.equal(scaled.blocks[3].ls1.gamma, torch.full((384,), 0.25))
    assert "layer_scale_init" not in SPACE.validate(SPACE.default)


def test_the_convolutional_stem_is_the_papers():
    """arXiv:2106.14881, section 3: channels double from 48 to 384, then a 1x1 convolution."""
    embed = meta(stem="conv").patch_embed
    convs = [layer for layer in embed.stem if isinstance(layer, torch.nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [48, 96, 192, 384]
    assert all(conv.stride == (2, 2) for conv in convs)
    assert embed.proj.kernel_size == (1, 1)
    assert meta(stem="conv").pos_embed.shape == meta().pos_embed.shape


def test_drop_path_goes_to_the_recipe():
    assert SPACE.training == ("drop_path_rate",)
    assert SPACE.default["drop_path_rate"] == 0.1  # DeiT, Table 9
    rates = [SPACE.network(SPACE.default, SPACE.reduced(48), 5, 3, rate) for rate in (0.0, 0.2)]
    drops = [[getattr(b.drop_path1, "drop_prob", 0.0) for b in model.blocks] for model in rates]
    assert drops[0] == [0.0] * 6
    assert drops[1] == pytest.approx([0.2 * i / 5 for i in range(6)])


def test_the_named_ends_bound_the_cost():
    with torch.device("meta"):
        stats = {
            name: count(SPACE.network(SPACE.points[name], SPACE.reduced(48), 10), 32)
            for name in ("cheapest", "costliest")
        }
        for config in SPACE.sample(15, seed=4):
            found = count(SPACE.network(config, SPACE.reduced(48), 10), 32)
            assert stats["cheapest"].macs <= found.macs <= stats["costliest"].macs
            assert stats["cheapest"].params <= found.params <= stats["costliest"].params * 1.01


@pytest.mark.parametrize(
    ("width", "side", "said"),
    [(47, 32, "width 47: must be an integer of at least 48"), (48, 7, "image size 7: must be an integer")],
)
def test_what_is_too_small_is_refused_in_one_line(width, side, said):
    with pytest.raises(UserError, match=said):
        SPACE.reduced(width, side)
