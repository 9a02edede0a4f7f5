"""The model card of a network of any search space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.export import model_card as parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nas.export.source import Source
    from nas.export.summary import Row, Total
    from search_spaces.base import SearchSpace

_INACTIVE = "–"


def card(
    name: str,
    space: SearchSpace,
    found: Source,
    counted: tuple[Sequence[Row], Sequence[Total]],
    license_: str,
    *,
    trained: str,
    code: Mapping[str, str] | None,
) -> str:
    """The card of a network that ``nas.train`` has not trained.

    Args:
        name: Title.
        space: Its search space.
        found: Its configuration, and where that comes from.
        counted: Its blocks; and the network itself and others to compare with.
        license_: Of the weights, in Hugging Face's words.
        trained: How the search trained its weights, in words; "" if it did not.
        code: Of a space that is not ours: file, class and SHA-256.
    """
    rows, totals = counted
    return "\n".join(
        [
            *parts.front_matter(license_),
            f"# {name}",
            "",
            f"A network of the search space {space.name}: {space.title.rstrip('.')}. "
            + parts.weights_line(None, trained),
            "",
            *parts.source_section(found.facts, own=bool(trained)),
            *_architecture(space, found),
            *parts.costs_section(totals),
            *parts.blocks_section(rows),
            *_loading(code),
        ]
    )


def _architecture(space: SearchSpace, found: Source) -> list[str]:
    base, rows = space.default, []
    for name, hp in space.hyperparameters.items():
        mine, other = found.config.get(name), base.get(name)
        shown = _INACTIVE if mine is None else parts.word(mine)
        rows.append(
            (
                name,
                _INACTIVE if other is None else parts.word(other),
                shown if mine == other else f"**{shown}**",
                hp.meaning,
            )
        )
    return ["## Architecture", "", *parts.table(("", "base", "this network", "meaning"), rows)]


def _loading(code: Mapping[str, str] | None) -> list[str]:
    lines = ["## Loading", "", "```python", "import timm"]
    create = 'timm.create_model(f"local-dir:{folder}", pretrained=True).eval()'
    if code is None:
        lines += ["import search_spaces.timm_models  # makes the architecture known to timm"]
        lines += ["", 'folder = "PATH_OF_THIS_FOLDER"', f"model = {create}", "```", ""]
        return lines
    return [
        *lines,
        "from search_spaces.timm_models import trusting  # makes the architecture known to timm",
        "",
        'folder = "PATH_OF_THIS_FOLDER"',
        f'with trusting(f"{{folder}}/{code["file"]}"):  # read it first: this runs it',
        f"    model = {create}",
        "```",
        "",
        f"The network is built by `{code['class']}` in `{code['file']}` (SHA-256 `{code['sha256']}`), which "
        f"is run only where it is named. Commands want it named again, with the flag for the space.",
        "",
    ]
