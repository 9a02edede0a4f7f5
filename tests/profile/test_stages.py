"""NEXcepTion's Tables 4, 5 and 6: the paper's digits, out of the networks themselves."""

from __future__ import annotations

import csv
import re

import pytest

from nas.profile import __main__ as profile
from nas.profile import stages
from nas.util.errors import UserError

# (kernel, width) of each convolution, as the paper prints them; "pool" and "SE" where it has them.
XCEPTION = {
    "Stem": [(3, 32), (3, 64)],
    "Entry flow": [one for chs in (128, 256, 728) for one in ((3, chs), (3, chs), "pool")],
    "Middle flow": [(3, 728), (3, 728), (3, 728)],
    "Exit flow": [(3, 728), (3, 1024), "pool", (3, 1536), (3, 2048)],
}


def nexception(width: int) -> dict[str, list]:
    def down(*widths):
        return [*((5, chs) for chs in widths), "pool", "SE"]

    return {
        "Stem": [(2, 96)],
        "Entry flow": [*down(128, 128), *down(256, 256), *down(width, width)],
        "Middle flow": [(5, 3 * width), (5, width), (5, width), "SE"],
        "Exit flow": [*down(width, 1024), (3, 1536), (3, 2048)],
    }


# Table 4: blocks of each stage, and how many.
TABLE_4 = {
    "resnet50": {
        "res2": ([(1, 64), (3, 64), (1, 256)], 3),
        "res3": ([(1, 128), (3, 128), (1, 512)], 4),
        "res4": ([(1, 256), (3, 256), (1, 1024)], 6),
        "res5": ([(1, 512), (3, 512), (1, 2048)], 3),
    },
    "convnext_tiny": {
        f"res{i + 2}": ([(7, chs), (1, 4 * chs), (1, chs)], depth)
        for i, (chs, depth) in enumerate(zip((96, 192, 384, 768), (3, 3, 9, 3), strict=True))
    },
    "nexception_tp": {
        f"res{i + 2}": ([(5, 3 * chs), (5, chs), (5, chs), "SE"], depth)
        for i, (chs, depth) in enumerate(zip((96, 192, 384, 768), (3, 4, 9, 3), strict=True))
    },
}


def said(parts):
    words = {"pool": "pool", "se": "SE"}
    return [words.get(layer.kind, (layer.kernel, layer.width)) for part in parts for layer in part.branch]


@pytest.mark.parametrize(("name", "width"), [("nexception_t", 512), ("nexception_s", 752)])
def test_tables_5_and_6(name, width):
    xception, ours = stages.look(("legacy_xception", name), None)
    for network, expected in ((xception, XCEPTION), (ours, nexception(width))):
        assert {key: said(network.sections[key]) for key in expected} == expected
        assert [part.repeats for part in network.sections["Middle flow"]] == [8]
    assert (xception.image_size, ours.image_size) == (299, 224)
    for section in ("Entry flow", "Middle flow"):
        assert (xception.output(section), ours.output(section)) == ("19×19×728", f"14×14×{width}")
    text = stages.markdown([xception, ours])
    assert "MaxPool 3×3, s=2" in text
    assert "MaxBlurPool 3×3, s=2" in text
    assert "| 3×3, 32, s=2<br>3×3, 64<br>" in text
    assert "2×2, 96, s=2" in text
    assert "shortcut 1×1, 128, s=2" in text


def test_table_4():
    networks = stages.look(tuple(TABLE_4), None)
    for network in networks:
        for name, (block, depth) in TABLE_4[network.name].items():
            repeated = [part for part in network.sections[name] if part.layers[0].block]
            assert [(said([part]), part.repeats) for part in repeated] == [(block, depth)], network.name
        sizes = [network.output(name).split("×")[0] for name in ("stem", "res2", "res3", "res4", "res5")]
        assert sizes == ["56", "56", "28", "14", "7"]
    resnet, convnext, ours = networks
    assert said(resnet.sections["stem"]) == [(7, 64), "pool"]
    assert said(convnext.sections["stem"]) == said(ours.sections["stem"]) == [(4, 96)]
    assert [round(network.stats.params / 1e6, 1) for network in networks] == [25.6, 28.6, 26.6]
    assert [round(network.stats.macs / 1e9, 1) for network in networks] == [4.1, 4.5, 4.3]
    text = stages.markdown(networks)
    assert "[d5×5, 288; d5×5, 96; d5×5, 96; SE] × 3" in text
    assert "× 4, the first s=2" in text  # ResNet's strides


def test_the_command(tmp_path, capsys):
    args = [
        "legacy_xception",
        "nexception_tp",
        "--stages",
        "-o",
        str(tmp_path / "out"),
        "--input-size",
        "128",
    ]
    assert profile.main(args) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\[d5×5, 288; d5×5, 96;", shown)  # no word is taken for a style
    assert "128×128" in shown
    rows = list(csv.DictReader((tmp_path / "out" / "stages.csv").open()))
    assert {row["network"] for row in rows} == {"legacy_xception", "nexception_tp"}
    stem = next(row for row in rows if row["network"] == "nexception_tp")
    assert (stem["section"], stem["kernel"], stem["width"], stem["stride"]) == ("stem", "4", "96", "4")
    assert (tmp_path / "out" / "stages.md").read_text().startswith("|  | legacy_xception | nexception_tp |")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["resnet5"], "must be an exported folder"),
        (["swin_tiny_patch4_window7_224", "--input-size", "50"], "--input-size 50: does not fit swin"),
    ],
)
def test_mistakes_are_one_line(args, words):
    with pytest.raises(UserError) as caught:
        profile.main([*args, "--stages"])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
