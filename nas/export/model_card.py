"""The model card: what a stranger needs to judge and load the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import search_spaces
from nas.util.quantities import format_count
from search_spaces.nexception.geometry import idle_choices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nas.export.summary import Row, Total
    from search_spaces.base import Config, Value
    from search_spaces.nexception.geometry import Geometry

SPACE = "nexception"


def searched(
    name: str,
    config: Config,
    geometry: Geometry,
    rows: Sequence[Row],
    totals: Sequence[Total],
    source: Mapping[str, Any],
    license_: str,
    released: Mapping[str, Any] | None = None,
    trained: str = "",
) -> str:
    """The card of a network of the search space that ``nas.train`` has not trained.

    Args:
        name: Title.
        config: Its configuration.
        geometry: Its widths and depths.
        rows: Its blocks.
        totals: The network itself, Xception, and others to compare with.
        source: Where the configuration comes from.
        license_: Of the weights, in Hugging Face's words.
        released: Where the weights come from, if they are the authors' own.
        trained: How the search trained its weights, in words; "" if it did not.
    """
    return "\n".join(
        [
            *front_matter(license_),
            f"# {name}",
            "",
            "A network of the Xception family ([Xception](https://arxiv.org/abs/1610.02357), "
            "[NEXcepTion](https://arxiv.org/abs/2212.08448)). " + weights_line(released, trained),
            "",
            *source_section(source, own=bool(trained)),
            *_architecture(config, geometry),
            *costs_section(totals),
            *blocks_section(rows),
            *_loading(ours=True),
        ]
    )


def trained(
    name: str,
    ours: bool,
    figures: Mapping[str, str],
    recipe: str,
    license_: str,
    earlier: str = "",
) -> str:
    """The card of a trained network.

    Args:
        name: Title.
        ours: Whether it is of the search space, and loading needs this package.
        figures: What was measured, in words.
        recipe: YAML.
        license_: Of the weights, in Hugging Face's words.
        earlier: The card it was exported with, whose tables still hold.
    """
    tables = earlier[earlier.find("\n## ") + 1 :].rstrip() if "\n## " in earlier else ""
    return "\n".join(
        [
            *front_matter(license_),
            f"# {name}",
            "",
            *table(("", "measured"), figures.items()),
            "## Training",
            "",
            "```yaml",
            recipe.rstrip(),
            "```",
            "",
            tables or "\n".join(_loading(ours)).rstrip(),
            "",
        ]
    )


def weights_line(released: Mapping[str, Any] | None, trained: str) -> str:
    """Where the weights come from, in a sentence."""
    if trained:
        return f"**The weights are the search's: {trained}.**"
    if released is None:
        return "**The weights are the initial ones: it has not been trained.**"
    return (
        f"**The weights are those that {released['by']} trained on ImageNet-1K and released**, under other "
        f"names (`{released['file']}`, SHA-256 `{released['sha256']}`). They came without a licence: nobody "
        "but their authors can allow their use."
    )


def front_matter(license_: str) -> list[str]:
    """What Hugging Face reads."""
    return [
        "---",
        f"license: {license_}",
        "library_name: timm",
        "pipeline_tag: image-classification",
        "tags:",
        "- image-classification",
        "- timm",
        "- neural-architecture-search",
        "---",
        "",
    ]


def source_section(source: Mapping[str, Any], *, own: bool) -> list[str]:
    """Where the configuration comes from."""
    rows = []
    for key, value in source.items():
        text = f"{100 * value:.2f}%" if key.endswith("top1") else str(value)
        rows.append((key.replace("_", " "), text))
    note = []
    if "validation_top1" in source and not own:
        note = ["The accuracies are the reduced network's in the search, not this one's.", ""]
    return ["## Source", "", *table(("", ""), rows), *note]


def _architecture(config: Config, geometry: Geometry) -> list[str]:
    default = search_spaces.get(SPACE).default
    idle = idle_choices(geometry)
    rows = []
    for hp in search_spaces.get(SPACE).hyperparameters.values():
        mine, base = config[hp.name], default[hp.name]
        shown = f"{word(mine)} (no such layer)" if hp.name in idle else _changed(mine, base)
        rows.append((hp.name, word(base), shown, hp.meaning))
    layout = "pyramid" if geometry.pyramid else "Xception's"
    note = []
    if idle:
        note = [
            f"In a pyramid {' and '.join(idle)} do nothing: the layers between stages are ConvNeXt's.",
            "",
        ]
    return [
        "## Architecture",
        "",
        *table(("", "Xception", "this network", "meaning"), rows),
        *note,
        f"Layout: {layout}; widths {_list(geometry.widths)}, middle blocks {_list(geometry.depths)}"
        + (f", exit {_list(geometry.exit_chs)}" if geometry.exit_chs else "")
        + f"; made for {geometry.image_size}x{geometry.image_size} pixels.",
        "",
    ]


def costs_section(totals: Sequence[Total]) -> list[str]:
    """What the network costs, beside others."""
    rows = [
        (other.name, str(other.image_size), format_count(other.params), format_count(other.macs))
        for other in totals
    ]
    return ["## Cost", "", *table(("network", "pixels", "params", "MACs"), rows)]


def blocks_section(rows: Sequence[Row]) -> list[str]:
    """The network's blocks and what each costs."""
    cells = [
        (row.name, "x".join(map(str, row.shape)), format_count(row.params), format_count(row.macs))
        for row in rows
    ]
    return ["## Blocks", "", *table(("block", "output", "params", "MACs"), cells)]


def _loading(ours: bool) -> list[str]:
    first = (
        ["import search_spaces.nexception.timm_models  # makes the architecture known to timm"]
        if ours
        else []
    )
    return [
        "## Loading",
        "",
        "```python",
        "import timm",
        *first,
        "",
        'model = timm.create_model("local-dir:PATH_OF_THIS_FOLDER", pretrained=True).eval()',
        "```",
        "",
    ]


def table(head: Sequence[str], rows: Any) -> list[str]:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _changed(value: Value, default: Value) -> str:
    return word(value) if value == default else f"**{word(value)}**"


def word(value: Value) -> str:
    """A value as people write it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
