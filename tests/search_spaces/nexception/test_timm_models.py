"""What timm's own model tests ask of every model (tests/test_models.py there), asked of ours."""

import subprocess
import sys
import warnings

import pytest
import timm
import torch
from timm.models import is_model, list_models

import search_spaces
import search_spaces.nexception.timm_models as entry
from nas.util.counts import count
from nas.util.errors import UserError
from search_spaces.nexception.geometry import NEXCEPTION_TP, XCEPTION, Geometry

SPACE = search_spaces.get("nexception")
SMALL = Geometry(
    name="small",
    image_size=64,
    pyramid=False,
    patchify_chs=16,
    conv_chs=(8, 16),
    conv_padding=1,
    widths=(16, 24, 32),
    depths=(0, 0, 2),
    exit_chs=(40, 48, 56),
)
PUBLISHED = ["nexception_t", "nexception_s", "nexception_tp"]
# Everything that a configuration can change is in one of these.
VARIANTS = {
    "xception": {"config": SPACE.default, "geometry": SMALL.to_json()},
    "costliest": {"config": SPACE.points["costliest"], "geometry": SMALL.to_json()},
    "nexception": {"config": SPACE.points["nexception"], "geometry": SMALL.to_json()},
}
CASES = [pytest.param("nexception", options, id=f"small {name}") for name, options in VARIANTS.items()]
CASES += [pytest.param(name, {}, id=name) for name in ("nexception_t", "nexception_tp")]
CASES += [pytest.param("nexception_s", {}, id="nexception_s", marks=pytest.mark.slow)]
ALL = pytest.mark.parametrize(("name", "options"), CASES)
# The small ones are scripted and exported in test_network.py.
FULL_SIZE = pytest.mark.parametrize(("name", "options"), [case for case in CASES if "small" not in case.id])
SIZE = 64


@pytest.fixture(autouse=True)
def _one_thread_one_seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("name", "options", "params", "flops"),
    [
        ("nexception_t", {}, 24_544_976, 9_200_172_032),
        ("nexception_s", {}, 43_386_944, 16_804_709_504),
        ("nexception_tp", {}, 26_559_112, 8_639_740_416),
        (
            "nexception",
            {"config": SPACE.default, "geometry": XCEPTION.to_json()},
            22_855_952,
            16_714_806_992,
        ),
    ],
    ids=["t", "s", "tp", "xception"],
)
def test_totals_are_the_published_ones(name, options, params, flops):
    """Counts of the definitions that the authors released, and of timm's legacy_xception."""
    with torch.device("meta"):
        model = timm.create_model(name, **options)
    stats = count(model, 299 if options else model.pretrained_cfg["input_size"][-1])
    assert (stats.params, stats.flops) == (params, flops)


def test_they_are_listed():
    assert sorted(list_models("nexception*")) == ["nexception", *sorted(PUBLISHED)]
    assert all(is_model(name) for name in PUBLISHED)


@ALL
def test_forward(name, options):
    model = timm.create_model(name, pretrained=False, **options).eval()
    logits = model(torch.randn(1, 3, SIZE, SIZE))
    assert logits.shape == (1, 1000)
    assert torch.isfinite(logits).all()


@ALL
def test_backward(name, options):
    model = timm.create_model(name, num_classes=42, drop_path_rate=0.1, drop_rate=0.1, **options).train()
    logits = model(torch.randn(4, 3, SIZE, SIZE))
    logits.mean().backward()
    assert logits.shape == (4, 42)
    # Drop path may leave a whole branch without gradient, never without a tensor for it.
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@ALL
def test_default_cfg(name, options):
    cfg = timm.create_model(name, **options).eval().default_cfg
    with torch.device("meta"):
        model = timm.create_model(name, **options).eval()
        images = torch.empty(2, *cfg["input_size"])
        features = model.forward_features(images)
        assert features.shape[1] == model.num_features
        assert tuple(features.shape[-2:]) == cfg["pool_size"]
        assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
        model.reset_classifier(0)
        assert model(images).shape == (2, model.num_features)
        model.reset_classifier(0, "")
        assert model(images).shape == features.shape
        bare = timm.create_model(name, num_classes=0, **options).eval()
        assert bare(images).shape == (2, model.num_features)
        unpooled = timm.create_model(name, num_classes=0, global_pool="", **options).eval()
        assert unpooled(images).shape == features.shape
        keys = timm.create_model(name, **options).state_dict().keys()
    assert cfg["first_conv"] + ".weight" in keys
    assert cfg["classifier"] + ".weight" in keys
    assert cfg["architecture"] == name


@ALL
def test_features_only(name, options):
    model = timm.create_model(name, features_only=True, **options).eval()
    images = torch.randn(1, 3, 2 * SIZE, 2 * SIZE)
    features = model(images)
    assert len(features) == len(model.feature_info.channels())
    for feature, channels, reduction in zip(
        features, model.feature_info.channels(), model.feature_info.reduction(), strict=True
    ):
        assert feature.shape == (1, channels, 2 * SIZE // reduction, 2 * SIZE // reduction)
        assert torch.isfinite(feature).all()
    some = timm.create_model(name, features_only=True, out_indices=(1, 3), **options)
    assert some.feature_info.channels() == [model.feature_info.channels()[i] for i in (1, 3)]


@FULL_SIZE
@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated", "ignore:.*torch.jit.*:FutureWarning")
def test_torchscript(name, options):
    model = timm.create_model(name, **options).eval()
    images = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(model)(images), model(images))


@FULL_SIZE
def test_torch_export(name, options):
    model = timm.create_model(name, **options).eval()
    images = torch.randn(2, 3, SIZE, SIZE)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.testing.assert_close(program.module()(images[:1]), model(images[:1]))


@ALL
def test_feature_extraction_by_graph(name, options):
    """torch.fx, which timm's FeatureGraphNet builds upon."""
    model = timm.create_model(name, **options).eval()
    traced = torch.fx.symbolic_trace(model)
    images = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(traced(images), model(images))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_grad_checkpointing_and_other_images(options):
    model = timm.create_model("nexception", in_chans=1, num_classes=3, **options)
    model.set_grad_checkpointing()
    model(torch.randn(2, 1, SIZE, SIZE)).sum().backward()
    assert model.stem.layers[0].weight.shape[1] == 1
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_published_names_are_points_of_the_generic_one():
    torch.manual_seed(1)
    named = timm.create_model("nexception_tp", num_classes=5)
    torch.manual_seed(1)
    generic = timm.create_model(
        "nexception", config=SPACE.points["nexception"], geometry=NEXCEPTION_TP.to_json(), num_classes=5
    )
    images = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(named.eval()(images), generic.eval()(images))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": {**SPACE.default, "stem": "soft"}}, "stem: must be one of"),
        ({"config": {"stem": "conv"}}, "missing in the configuration"),
        ({"geometry": {"name": "x"}}, "geometry: expected an object with the keys name"),
    ],
)
def test_bad_arguments_are_one_line(options, words):
    with pytest.raises(UserError, match=words):
        timm.create_model("nexception", **options)


def test_there_are_no_weights_to_download():
    with pytest.raises(RuntimeError, match="nexception_t"):
        timm.create_model("nexception_t", pretrained=True)


def test_light_imports_do_not_register():
    """Registration needs torch and timm: ``import search_spaces.nexception`` must stay light."""
    code = "import sys, search_spaces.nexception; print('torch' in sys.modules, 'timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert entry.default_cfgs["nexception_t"].default.num_classes == 1000
