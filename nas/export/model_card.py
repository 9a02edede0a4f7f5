"""The model card: what others need to know to assess and load the network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nas
from nas.export.published import TABLE_3
from nas.util.quantities import format_count
from nas.util.tables import markdown
from search_spaces.code import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nas.export.forms import Form
    from nas.export.source import Source
    from nas.export.summary import Row, Total
    from search_spaces.base import Config, SearchSpace, Value

_INACTIVE = "–"
_PLACE = "PATH_OF_THIS_FOLDER"
_TERMS = "## Licence and citation"
_LOADING = "## Loading"
_FORMS = "## Other forms"
_INSTALLING = (
    f"timm alone does not know this architecture: install smacnas {nas.__version__} beside it, by "
    "`pip install .` in a copy of its source."
)


@dataclass(frozen=True)
class Weights:
    """The origin and licence of an exported network's weights.

    Attributes:
        license: Licence, by Hugging Face's identifiers.
        trained: Sentence on how the search trained them; "" if it did not.
        released: Their origin, if the paper's authors released them.
    """

    license: str
    trained: str = ""
    released: Mapping[str, Any] | None = None


def exported(
    name: str,
    space: SearchSpace,
    source: Source,
    geometry: Any,
    counted: tuple[Sequence[Row], Sequence[Total]],
    weights: Weights,
    code: Mapping[str, str] | None = None,
    repo: str | None = None,
    other_forms: Sequence[str] = (),
) -> str:
    """Writes the card of a network that ``nas.train`` has not trained.

    Args:
        name: Title.
        space: The network's search space.
        source: Its configuration and where that comes from.
        geometry: Its widths and depths.
        counted: Its blocks; and total costs of the network and others to compare with.
        weights: Origin and licence of the weights.
        code: Code of a custom space: file, class and SHA-256.
        repo: Repository that it is pushed to, ``USER/NAME``; None if nowhere.
        other_forms: Lines of :func:`forms`.
    """
    rows, totals = counted
    module = space.exporting.timm_module
    loading = _loading(module, repo) if code is None else _loading_code(code, repo)
    return "\n".join(
        [
            *_front_matter(weights.license),
            f"# {name}",
            "",
            f"{space.exporting.introduction} {_weights_line(weights)}",
            "",
            *_source(source.facts, own=bool(weights.trained)),
            *_architecture(space, source.config, geometry),
            *_costs(totals),
            *_blocks(rows),
            *loading,
            *other_forms,
            *_citation(weights.license),
        ]
    )


def trained(
    name: str,
    timm_module: str | None,
    figures: Mapping[str, str],
    recipe: str,
    license_: str,
    earlier: str = "",
) -> str:
    """Writes the card of a trained network.

    Args:
        name: Title.
        timm_module: Module to import before loading it, None if timm knows it.
        figures: Measured figures, formatted, by their names.
        recipe: The recipe, YAML.
        license_: Licence of the weights, by Hugging Face's identifiers.
        earlier: The card of its export, whose tables still hold.
    """
    tables = earlier[earlier.find("\n## ") + 1 :] if "\n## " in earlier else ""
    for gone in (_TERMS, _FORMS):  # its licence may be another, and its other forms are
        tables = _replaced(tables, gone, "")
    tables = tables.rstrip()
    return "\n".join(
        [
            *_front_matter(license_),
            f"# {name}",
            "",
            *_table(("", "measured"), figures.items()),
            "## Training",
            "",
            "```yaml",
            recipe.rstrip(),
            "```",
            "",
            tables or "\n".join(_loading(timm_module)).rstrip(),
            "",
            *_citation(license_),
        ]
    )


def updated(
    card: str,
    timm_module: str | None,
    code: Mapping[str, str] | None,
    repo: str | None,
    other_forms: Sequence[str],
) -> str:
    """Updates the card of a folder that is exported again: how to load it, and its other formats.

    Args:
        card: The earlier card; what its owner wrote into it is kept.
        timm_module: See :func:`trained`.
        code: See :func:`exported`.
        repo: See :func:`exported`.
        other_forms: Lines of :func:`forms`.
    """
    loading = _loading(timm_module, repo) if code is None else _loading_code(code, repo)
    bare = _replaced(card, _FORMS, "")
    wanted = "\n".join([*loading, *other_forms, ""])
    if _section(bare, _LOADING) is None:
        return f"{bare.rstrip()}\n\n{wanted}"
    return _replaced(bare, _LOADING, wanted)


def licensed(card: str, license_: str | None) -> str:
    """Changes the licence of the weights in a card; None leaves it unchanged."""
    if license_ is None:
        return card
    card = re.sub(r"\A(---\n.*?^license: )\S+$", rf"\g<1>{license_}", card, count=1, flags=re.M | re.S)
    return re.sub(r"^Weights: [\w.-]+\. ", f"Weights: {license_}. ", card, count=1, flags=re.M)


def forms(written: Sequence[Form], normalisation: tuple[Sequence[float], Sequence[float]]) -> list[str]:
    """Writes the section on a network's other file formats; nothing if there are none.

    Args:
        written: The forms.
        normalisation: Mean and standard deviation of each channel.
    """
    if not written:
        return []
    rows = []
    for form in written:
        opset = "" if form.opset is None else f", opset {form.opset}"
        rows.append((f"`{form.file}`{opset}", form.images, form.checked))
    mean, std = (", ".join(f"{value:g}" for value in values) for values in normalisation)
    return [
        _FORMS,
        "",
        *_table(("file", "images", "checked"), rows),
        f"All take float32 `(B, C, H, W)` of pixels scaled to 0..1, less {mean} and divided by {std} for "
        "each channel, and give logits `(B, classes)`.",
        "",
    ]


def _section(card: str, title: str) -> tuple[int, int] | None:
    """Returns the begin and end of a section of a card, None without it."""
    begin = card.find(f"{title}\n")
    if begin < 0 or (begin and card[begin - 1] != "\n"):
        return None
    end = card.find("\n## ", begin)
    return begin, len(card) if end < 0 else end + 1


def _replaced(card: str, title: str, text: str) -> str:
    """Replaces a section of a card, if it exists."""
    place = _section(card, title)
    return card if place is None else f"{card[: place[0]]}{text}{card[place[1] :]}"


def _weights_line(weights: Weights) -> str:
    """Says where the weights come from, in a sentence."""
    if weights.trained:
        return f"**The weights are the search's: {weights.trained}.**"
    if weights.released is None:
        return "**The weights are the initial ones: it has not been trained.**"
    return (
        f"**The weights are those that {weights.released['by']} trained on ImageNet-1K and released**, under "
        f"other names (`{weights.released['file']}`, SHA-256 `{weights.released['sha256']}`). They came "
        "without a licence: nobody but their authors can allow their use."
    )


def _front_matter(license_: str) -> list[str]:
    """Writes the metadata that Hugging Face reads."""
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


def _source(source: Mapping[str, Any], *, own: bool) -> list[str]:
    """Describes where the configuration comes from."""
    rows = []
    for key, value in source.items():
        text = _percent(value) if key.endswith("top1") else str(value)
        rows.append((key.replace("_", " "), text))
    note = []
    if "validation_top1" in source and not own:
        note = ["The accuracies are the reduced network's in the search, not this one's.", ""]
    return ["## Source", "", *_table(("", ""), rows), *note]


def _architecture(space: SearchSpace, config: Config, geometry: Any) -> list[str]:
    said, base = space.exporting, space.default
    idle, rows = said.idle(geometry), []
    for name, hp in space.hyperparameters.items():
        mine, other = _word(config.get(name)), _word(base.get(name))
        shown = mine if mine == other else f"**{mine}**"
        rows.append((name, other, f"{mine} (no such layer)" if name in idle else shown, hp.meaning))
    return [
        "## Architecture",
        "",
        *_table(("", said.base, "this network", "meaning"), rows),
        *(line for paragraph in said.layout(geometry) for line in (paragraph, "")),
    ]


def _costs(totals: Sequence[Total]) -> list[str]:
    """Writes the table of the network's costs beside those of others, with their published accuracies."""
    rows = [
        (
            other.name,
            str(other.image_size),
            format_count(other.params),
            format_count(other.macs),
            _published(other) or _INACTIVE,
        )
        for other in totals
    ]
    known = any(_published(other) for other in totals)
    head = ("network", "pixels", "params", "MACs", "top-1 on ImageNet-1K")
    note = [
        "The accuracies are those in Table 3 of arXiv:2212.08448, not measured here; "
        f"{_INACTIVE} where it has none.",
        "",
    ]
    width = len(head) if known else len(head) - 1
    return ["## Cost", "", *_table(head[:width], [row[:width] for row in rows]), *(note if known else [])]


def _published(network: Total) -> str:
    """Returns a network's accuracy at this image size in the paper, "" if it has none."""
    row = TABLE_3.get(network.name)
    return f"{row.top1:.1f}%" if row is not None and row.image_size == network.image_size else ""


def _blocks(rows: Sequence[Row]) -> list[str]:
    """Writes the table of the network's blocks and their costs."""
    cells = [
        (row.name, "x".join(map(str, row.shape)), format_count(row.params), format_count(row.macs))
        for row in rows
    ]
    return ["## Blocks", "", *_table(("block", "output", "params", "MACs"), cells)]


def _percent(share: float | list[float]) -> str:
    """Formats a share, or the two ends of an interval, in percent."""
    ends = share if isinstance(share, list) else [share]
    return " to ".join(f"{100 * end:.2f}%" for end in ends)


def _loading(timm_module: str | None, repo: str | None = None) -> list[str]:
    place = f"local-dir:{_PLACE}" if repo is None else f"hf-hub:{repo}"
    needs = "timm alone loads it." if timm_module is None else _INSTALLING
    known = [] if timm_module is None else [f"import {timm_module}  # makes the architecture known to timm"]
    return [
        _LOADING,
        "",
        needs,
        "",
        "```python",
        "import timm",
        *known,
        "",
        f'model = timm.create_model("{place}", pretrained=True).eval()',
        "```",
        "",
    ]


def _loading_code(code: Mapping[str, str], repo: str | None = None) -> list[str]:
    own = named(code, "{folder}")
    download = [] if repo is None else ["from huggingface_hub import snapshot_download"]
    place = f'"{_PLACE}"' if repo is None else f'snapshot_download("{repo}")'
    return [
        _LOADING,
        "",
        _INSTALLING,
        "",
        "```python",
        "import timm",
        *download,
        "from search_spaces.timm_models import trusting  # makes the architecture known to timm",
        "",
        f"folder = {place}",
        f'with trusting(f"{own}"):  # read it first: this runs it',
        '    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()',
        "```",
        "",
        f"The network is built by `{code['class']}` in `{code['file']}` (SHA-256 `{code['sha256']}`), which "
        f"is run only where it is named. Commands want it named again, with the flag for the space.",
        "",
    ]


def _citation(license_: str) -> list[str]:
    """Writes the licence, and the citation of the paper that the search follows (as in CITATION.cff)."""
    return [
        _TERMS,
        "",
        f"Weights: {license_}. Built by smacnas {nas.__version__} (Apache-2.0), whose search follows:",
        "",
        "```bibtex",
        "@inproceedings{shavit2023nexception,",
        "  title     = {From {Xception} to {NEXcepTion}:",
        "               New Design Decisions and Neural Architecture Search},",
        "  author    = {Shavit, Hadar and Jatelnicki, Filip and",
        "               Mor-Puigvent{\\'o}s, Pol and Kowalczyk, Wojtek},",
        "  booktitle = {International Conference on Pattern Recognition Applications and Methods (ICPRAM)},",
        "  year      = {2023},",
        "  note      = {arXiv:2212.08448}",
        "}",
        "```",
        "",
    ]


def _table(head: Sequence[str], rows: Any) -> list[str]:
    """Writes a Markdown table."""
    return [*markdown(head, rows), ""]


def _word(value: Value | None) -> str:
    """Formats a value for readers."""
    if value is None:
        return _INACTIVE
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
