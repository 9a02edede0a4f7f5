"""How figures look: one style, one palette, and SVG that reads on light and dark pages."""

from __future__ import annotations

import contextlib
import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes

INK = "#1b1e23"  # becomes the page's own text colour where a figure is part of a page
PAPER = "#fefefe"  # fills that hide what is behind; becomes the page's background

# Okabe and Ito's colours ("Color Universal Design", 2008), told apart by colour-blind readers; the
# order keeps neighbours apart in lightness too.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900", "#8a8f98")
GOOD, BASE = PALETTE[0], PALETTE[5]  # the winner, the base architecture
FAINT = PALETTE[7]  # grid and minor marks: readable on white and on black
SERIES = tuple(paint for paint in PALETTE if paint not in (BASE, FAINT))  # whatever is told apart by colour

_STYLE: Any = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",
    "svg.hashsalt": "smacnas",
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # names from a file may hold dollar signs
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Our look, for figures made and saved inside."""
    with mpl.rc_context(_STYLE):
        yield


@contextlib.contextmanager
def drawing(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> Iterator[Any]:
    """Gives a figure and its axes, an array as ``matplotlib.pyplot.subplots`` gives; sizes in inches."""
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **grid)
        yield figure, axes
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # once is enough; saving would lay it out each time


def budget_label(epochs: int | str) -> str:
    """``9`` becomes ``9 epochs``; other words stay."""
    text = str(epochs)
    return counted(int(text), "epoch") if text.isdigit() else text


def colour(place: int) -> str:
    """The colour of a rung, a group or a network by its place, round and round; never the base's."""
    return SERIES[place % len(SERIES)]


def wrap(name: str, width: int = 12) -> str:
    """Breaks a hyperparameter's name at underscores, for narrow places."""
    lines = [""]
    for part in name.split("_"):
        joined = f"{lines[-1]}_{part}" if lines[-1] else part
        if len(joined) > width and lines[-1]:
            lines[-1] += "_"
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)


def name_axis(axes: Axes, names: Sequence[str]) -> None:
    """Names under the places 0, 1, ... that do not touch: in lines where they are short, else slanted."""
    lines = [wrap(name, 10) for name in names]
    slant: Any = {}
    if max((len(line) for name in lines for line in name.split("\n")), default=0) > 11:
        lines, slant = list(names), {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(names)), lines, fontsize=9, **slant)


def percent_axis(axis: Any) -> None:
    """Shows shares as percent."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")


def learning_panels(axes: Any, title: str) -> Iterator[tuple[Any, str]]:
    """Prepares two plots over epochs, of top-1 and of the loss; gives each with the name of its column."""
    percent_axis(axes[0].yaxis)
    axes[0].set_title(title)
    labels = {"top1": "validation top-1", "val_loss": "validation loss"}
    for ax, (column, label) in zip(axes, labels.items(), strict=True):
        ax.set_xlabel("epochs")
        ax.set_ylabel(label)
        ax.xaxis.get_major_locator().set_params(integer=True)
        yield ax, column


def say(axes: Axes, text: str) -> None:
    """Says in an empty plot why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=axes.transAxes)


def svg(figure: Figure) -> str:
    """A figure as the text of an SVG file, on white."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="svg", dpi=110, metadata={"Date": None, "Creator": None})
    return buffer.getvalue().decode()


def inline(text: str, name: str, label: str, titles: Mapping[str, Sequence[str]] | None = None) -> str:
    """Makes an SVG file's text an element for a page.

    Its background goes, its ink becomes the page's text colour and its palette the page's
    ``--colour-0`` and so on, so that light and dark pages both read well. Names inside get a prefix,
    as one page holds many figures.

    Args:
        text: From :func:`svg`.
        name: Unique on the page: letters, digits and hyphens.
        label: What it shows, for readers who cannot see it; escaped here.
        titles: What to show when the pointer is over a mark: by the artist's gid, a text for each of
            its marks in order; escaped here.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="patch_1">.*?</g>', "", text, count=1, flags=re.DOTALL)  # the background
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = text.replace(INK, "currentColor").replace(PAPER, "var(--paper, #fff)")
    for place, paint in enumerate(PALETTE):  # a dark page may lighten them
        text = text.replace(paint, f"var(--colour-{place}, {paint})")
    for gid, marks in (titles or {}).items():
        text = _with_titles(text, f'id="{name}-{gid}"', marks)
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]+)"[^>]*>',
        f'<svg viewBox="\\1" role="img" aria-label="{escape(label, quote=True)}" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">',
        text,
        count=1,
    )


def _with_titles(text: str, group: str, titles: Sequence[str]) -> str:
    start = text.index(group)
    left = iter(titles)

    def add(match: re.Match[str]) -> str:
        title = None if match[0].startswith("<defs") else next(left, None)
        return match[0] if title is None else f"<g>{match[0]}<title>{escape(title)}</title></g>"

    # Marks of one size are drawn by <use>, others by a <path> each.
    return text[:start] + re.sub(
        r"<defs>.*?</defs>|<(?:use|path) [^>]*/>", add, text[start:], flags=re.DOTALL
    )
