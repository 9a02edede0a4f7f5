"""What a model card says besides its tables: how to load the network, how good it is, on what terms."""

from __future__ import annotations

import ast

import pytest

import search_spaces
from nas.export import model_card, source
from nas.export.summary import Total
from nas.run.confirmed_file import VERSION, ConfirmedConfig, ConfirmedFile

SPACE = search_spaces.get("nexception")
CODE = {"file": "mine.py", "class": "Mine", "sha256": "0" * 64}


def python(card: str) -> str:
    found = card.partition("```python\n")[2].partition("```")[0]
    ast.parse(found)
    return found


def card(code: dict | None = None, repo: str | None = None, **facts: object) -> str:
    found = source.Source(SPACE.default, {"kind": "run", "data": "digits", **facts})
    geometry = SPACE.full_sizes["t"]
    return model_card.exported("net", SPACE, found, geometry, ([], []), model_card.Weights("mit"), code, repo)


def confirmed(mean: float, sd: float | None, seeds: int) -> dict:
    row = ConfirmedConfig(
        config_id="a",
        config=SPACE.default,
        baseline=False,
        searched_trial=4,
        searched_error=0.1,
        trials=[],
        errors=[],
        mean_error=mean,
        sd_error=sd,
        mean_gain=None,
        sd_gain=None,
        params=None,
        macs=None,
        crashes=[],
    )
    whole = ConfirmedFile(
        format=VERSION,
        epochs=9,
        top=1,
        seeds=seeds,
        compared=list(range(1, seeds + 1)),
        complete=True,
        winner="a",
        configurations=[row],
    )
    return source._confirmed_figures(whole, row)


def test_the_interval_of_a_confirmed_accuracy_is_in_the_card():
    # Student's t for 3 seeds: 4.3027 * 0.01 / sqrt(3) = 0.02484
    assert "| 95% interval of validation top1 | 87.52% to 92.48% |" in card(**confirmed(0.1, 0.01, 3))
    assert "87.52% to 92.48%" not in card(**confirmed(0.1, 0.02, 3))


def test_no_interval_ends_above_all_images_and_one_seed_has_none():
    assert "| 95% interval of validation top1 | 94.03% to 100.00% |" in card(**confirmed(0.01, 0.02, 3))
    assert "interval" not in card(**confirmed(0.1, None, 1))


def test_others_of_the_same_cost_have_the_accuracy_that_is_published():
    own = Total("net", 224, 4_000_000, 400_000_000)
    known = Total("resnet50", 224, 25_600_000, 4_090_000_000)
    other = Total("resnet50", 160, 25_600_000, 2_090_000_000)
    lines = model_card._costs([own, known, other])
    assert "| resnet50 | 224 | 25.6 M | 4.09 G | 80.4% |" in lines
    assert "| resnet50 | 160 | 25.6 M | 2.09 G | – |" in lines
    assert "| net | 224 | 4 M | 400 M | – |" in lines
    assert any("Table 3 of arXiv:2212.08448, not measured here" in line for line in lines)
    assert "top-1" not in "".join(model_card._costs([own, other]))


def test_loading_names_the_repository_and_what_to_install():
    assert '"local-dir:PATH_OF_THIS_FOLDER"' in python(card())
    pushed = card(repo="me/net")
    assert '"hf-hub:me/net"' in python(pushed)
    assert "PATH_OF_THIS_FOLDER" not in pushed
    assert "install smacnas" in pushed
    own = card(CODE, "me/net")
    assert 'folder = snapshot_download("me/net")' in python(own)
    assert "PATH_OF_THIS_FOLDER" not in own


def test_what_timm_knows_needs_nothing_else():
    said = model_card.trained("resnet18", None, {}, "lr: 1", "mit")
    assert "timm alone loads it." in said
    assert "install smacnas" not in said
    assert python(said).startswith("import timm\n\nmodel")


@pytest.mark.parametrize("code", [None, CODE])
def test_a_trained_networks_card_has_its_own_terms_once(code):
    said = model_card.trained("net", "m", {}, "lr: 1", "cc-by-4.0", card(code))
    assert said.count("## Licence and citation") == 1
    assert "Weights: cc-by-4.0." in said
    assert "Weights: mit." not in said
    assert said.count("## Loading") == 1
