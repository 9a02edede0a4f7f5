"""The winner drawn as blocks beside the base architecture, what differs in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import FancyBboxPatch

from analysis import spaces
from analysis.figures.style import BASE, FAINT, GOOD, INK, PAPER, drawing
from analysis.levels import shown
from nas.util.errors import UserError
from search_spaces.diagram import Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.frames import Run
    from search_spaces.base import SearchSpace

_WIDTH, _LINE, _PAD, _GAP = 8.2, 0.2, 0.24, 0.4  # inches


def network(run: Run) -> Figure:
    """The base architecture and the winner side by side, as the search trained them."""
    winner = run.config(int(run.incumbent["trial"])) if run.incumbent is not None else None
    columns = [parts(run, run.default)] + ([] if winner is None else [parts(run, winner)])
    height = max(sum(_height(part) + _GAP for part in column) for column in columns) + 0.5
    with drawing(_WIDTH, height) as (figure, axes):
        ax = axes[0, 0]
        ax.set_axis_off()
        ax.set_xlim(0, _WIDTH)
        ax.set_ylim(0, height)
        titles = ("base architecture", "winner")
        for place, column in enumerate(columns):
            other = columns[1 - place] if len(columns) == 2 else column
            _draw(ax, column, other, 0.35 + 4.1 * place, height, titles[place], (BASE, GOOD)[place])
    return figure


def parts(run: Run, config: Mapping[str, Any]) -> list[Part]:
    """The network as its space draws it; for a space that does not, its choices, one a line.

    So it is for a configuration that the space does not have: another version of it may have begun the run.
    """
    space = spaces.registered(run.search)
    if space is not None and _belongs(config, space):
        drawn = space.diagram(config, run.search.width, run.search.data.image_size or 32)
        if drawn:
            return drawn
    return [Part("choices", tuple(f"{name}: {shown(config[name])}" for name in run.hyperparameters), 0)]


def _belongs(config: Mapping[str, Any], space: SearchSpace) -> bool:
    try:
        space.validate(config)
    except UserError:
        return False
    return True


def _height(part: Part) -> float:
    return _LINE * (len(part.lines) + 1) + _PAD


def counterparts(column: Sequence[Part], other: Sequence[Part]) -> list[Part | None]:
    """For each part of one network the other's of the same title and number, None if it has none."""
    found = dict(zip(_named(other), other, strict=True))
    return [found.get(name) for name in _named(column)]


def _named(column: Sequence[Part]) -> list[tuple[str, int]]:
    titles = [part.title for part in column]
    return [(title, titles[:place].count(title)) for place, title in enumerate(titles)]


def _draw(
    ax: Axes, column: Sequence[Part], other: Sequence[Part], left: float, top: float, title: str, paint: str
) -> None:
    width = 3.25
    ax.text(left + width / 2, top - 0.18, title, ha="center", va="center", fontweight="bold", color=paint)
    y = top - 0.5
    for part, twin in zip(column, counterparts(column, other), strict=True):
        height = _height(part)
        middle = left + width / 2
        if y < top - 0.5:
            ax.annotate(
                "",
                (middle, y),
                (middle, y + _GAP),
                arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0},
            )
        _box(ax, part, twin, left, y, width, height, paint)
        if part.residual is not None:
            _shortcut(ax, part.residual, left + width, y, height)
        y -= height + _GAP


def _box(
    ax: Axes, part: Part, twin: Part | None, left: float, y: float, width: float, height: float, paint: str
) -> None:
    changed = part != twin
    ax.add_patch(
        FancyBboxPatch(
            (left + 0.05, y - height + 0.05),
            width - 0.1,
            height - 0.1,
            boxstyle="round,pad=0.04",
            facecolor=PAPER,
            edgecolor=paint if changed else FAINT,
            linewidth=1.6 if changed else 1.0,
        )
    )
    text = part.title + (f"  × {part.repeats}" if part.repeats > 1 else "")
    at = y - _PAD / 2 - _LINE / 2
    ax.text(left + 0.16, at, text, fontsize=9, fontweight="bold", va="center")
    size = f"{part.size}×{part.size}" if part.size else ""
    ax.text(left + width - 0.16, at, size, fontsize=8.5, color=FAINT, va="center", ha="right")
    for number, line in enumerate(part.lines, start=1):
        new = twin is None or line not in twin.lines
        ax.text(
            left + 0.16,
            at - number * _LINE,
            line,
            fontsize=8.5,
            va="center",
            color=paint if new else INK,
            fontweight="bold" if new else "normal",
        )


def _shortcut(ax: Axes, on_it: str, right: float, y: float, height: float) -> None:
    top, bottom = y + 0.3 * _GAP, y - height - 0.3 * _GAP
    middle, out = right - 1.625, right + 0.16
    ax.plot([middle, out, out, middle], [top, top, bottom, bottom], color=FAINT, linewidth=1.1, zorder=0)
    ax.plot([middle], [bottom], "o", color=PAPER, markeredgecolor=INK, markersize=8, zorder=5)
    ax.plot([middle], [bottom], "+", color=INK, markersize=6, zorder=6)
    if on_it:
        ax.text(out + 0.05, y - height / 2, on_it, fontsize=7.5, rotation=90, va="center", color=FAINT)
