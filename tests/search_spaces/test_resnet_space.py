"""The ``resnet`` space: both ends of the roadmap are timm's networks, and what lies between them."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import GELU
from torch import nn

import search_spaces
from nas.trial.kernels.fused.batch_norm import BatchNormAct2d
from nas.trial.kernels.fused.layer_norm import LayerNormAct2d
from nas.util.counts import count
from nas.util.errors import UserError
from search_spaces.resnet import sizes

SPACE = search_spaces.get("resnet")
# timm's own figures, of its networks of the same names.
PUBLISHED = {
    ("resnet50", "tiny"): (25_557_032, "resnet50"),
    ("resnet50", "small"): (44_549_160, "resnet101"),
    ("convnext_tiny", "tiny"): (28_589_128, "convnext_tiny"),
    ("convnext_tiny", "small"): (50_223_688, "convnext_small"),
}


@pytest.mark.parametrize(("point", "size"), PUBLISHED)
def test_the_ends_have_the_published_number_of_parameters(point, size):
    with torch.device("meta"):
        model = SPACE.network(SPACE.points[point], SPACE.full_sizes[size], 1000)
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[point, size][0]


def ordered_weights(model):
    """Weights in the order in which an image passes them, but layer scale, which timm's blocks hold."""
    found = []

    def keep(module, _inputs, _output):
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        found.extend((name, tensor) for name, tensor in own if name != "gamma")

    handles = [module.register_forward_hook(keep) for module in model.modules()]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 64, 64))
    for handle in handles:
        handle.remove()
    return found


def gammas(model):
    return [parameter for name, parameter in model.named_parameters() if name.endswith("gamma")]


@pytest.mark.parametrize(("point", "size"), [("resnet50", "tiny"), ("convnext_tiny", "tiny")])
def test_timms_weights_give_timms_outputs(point, size):
    torch.manual_seed(0)
    theirs = timm.create_model(PUBLISHED[point, size][1])
    with torch.no_grad():  # layer scale starts at 1e-6, which would hide what the branches give
        for tensor in [*theirs.parameters(), *theirs.buffers()]:
            if tensor.dim() == 1:
                tensor.copy_(torch.rand_like(tensor) + 0.1)
    ours = SPACE.network(SPACE.points[point], SPACE.full_sizes[size], 1000)
    pairs = list(zip(ordered_weights(ours), ordered_weights(theirs), strict=True))
    with torch.no_grad():
        for (name, mine), (_, other) in pairs:
            assert mine.numel() == other.numel(), name
            mine.copy_(other.reshape(mine.shape))
        scales = list(zip(gammas(ours), gammas(theirs), strict=True))
        for mine, other in scales:
            mine.copy_(other)
        images = torch.randn(2, 3, 96, 96)
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-4, atol=1e-4)


CONFIGS = st.integers(0, 2**31).map(lambda seed: SPACE.sample(1, seed)[0])


@settings(max_examples=30, deadline=None)
@given(config=CONFIGS, side=st.integers(8, 40), in_chans=st.sampled_from([1, 3]), training=st.booleans())
def test_every_network_takes_every_image(config, side, in_chans, training):
    torch.manual_seed(0)
    model = SPACE.network(config, SPACE.reduced(8), 5, in_chans, drop_path_rate=0.1).train(training)
    logits = model(torch.randn(2, in_chans, side, side))
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


def test_the_size_counts_kernels_and_blocks_of_depthwise_convolutions_only():
    assert SPACE.size == 2**9 * (1 + 3 * 5)


def layers(model, kind):
    return [module for module in model.modules() if isinstance(module, kind)]


def network(**changes):
    config = {**SPACE.default, **changes}
    if config["conv"] == "depthwise":
        config = {"block": "bottleneck", "kernel": 3, **config}
    return SPACE.network(config, SPACE.full_sizes["tiny"], 10)


@pytest.fixture(autouse=True)
def _nothing_is_computed(request):
    if "timm" in request.node.name or "image" in request.node.name:
        yield
    else:
        with torch.device("meta"):
            yield


def test_each_step_of_the_roadmap_changes_what_it_says():
    """ConvNeXt, sections 2.2 to 2.6, in the order of the paper."""
    base = network()
    assert [len(stage) for stage in base.stages] == [3, 4, 6, 3]
    assert [len(stage) for stage in network(stage_ratio="3:3:9:3").stages] == [3, 3, 9, 3]
    patchify = network(stem="patchify").stem
    assert (patchify[0].kernel_size, patchify[0].stride) == ((4, 4), (4, 4))
    depthwise = network(conv="depthwise", kernel=9)
    spatial = [conv for conv in layers(depthwise.stages, nn.Conv2d) if conv.kernel_size == (9, 9)]
    assert len(spatial) == 16
    assert all(conv.groups == conv.in_channels for conv in spatial)
    assert network(width=96).num_features == 3072
    assert network(conv="depthwise", block="inverted", width=96).num_features == 768
    assert len(layers(network(activation="gelu"), GELU)) == len(layers(base, nn.ReLU)) == 49
    assert len(layers(network(activations="one"), nn.ReLU)) == 16 + 1
    norms = {name: len(layers(network(norms=name), nn.BatchNorm2d)) for name in ("all", "one")}
    assert norms == {"all": 1 + 3 * 16 + 4, "one": 1 + 16 + 4}
    assert not layers(network(norm="layer"), nn.BatchNorm2d)
    separate = network(downsampling="separate")
    assert sum(conv.kernel_size == (2, 2) for conv in layers(separate, nn.Conv2d)) == 3
    assert {conv.stride for conv in layers(separate.stages, nn.Conv2d)} == {(1, 1), (2, 2)}


def test_a_batch_norm_takes_the_place_of_the_bias():
    for norm in ("batch", "layer"):
        model = network(norm=norm)
        assert {conv.bias is None for conv in layers(model, nn.Conv2d)} == {norm == "batch"}


@pytest.mark.parametrize(
    ("norm", "takes"),
    [("batch", BatchNormAct2d.takes), ("layer", LayerNormAct2d.takes)],
    ids=["batch", "layer"],
)
def test_its_norms_are_among_those_with_faster_kernels(norm, takes):
    model = network(norm=norm, downsampling="separate")
    norms = layers(model, (nn.BatchNorm2d, nn.LayerNorm))
    assert len(norms) == 1 + 3 * 16 + 1 + 3 + 1  # stem, blocks, the first shortcut, between stages, head
    assert all(takes(layer) for layer in norms)


@pytest.mark.parametrize(
    ("width", "side", "said"),
    [(4, 32, "width 4: must be an integer of at least 8"), (16, 7, "image size 7: must be an integer")],
)
def test_what_is_too_small_is_refused_in_one_line(width, side, said):
    with pytest.raises(UserError, match=said):
        SPACE.reduced(width, side)


def test_features_and_another_classifier_are_timms():
    model = network()
    assert model.forward_features(torch.zeros(1, 3, 64, 64)).shape == (1, 2048, 2, 2)
    model.reset_classifier(3)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    assert [stage["reduction"] for stage in model.feature_info] == [4, 8, 16, 32]


def test_the_reduced_network_is_cheap():
    for point in SPACE.points.values():
        assert count(SPACE.network(point, sizes.reduced(16), 10), 32).macs < 20e6
