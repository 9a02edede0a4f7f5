"""The table, as printed and as files, and the bubble plots of NEXcepTion's Figures 2 and 3."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nas.run.folder import write_json
from nas.util import tables
from nas.util.errors import setting
from nas.util.files import overwrite, written
from nas.util.quantities import format_count, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nas.profile.measure import Profile, Times

_INK, _OTHERS, _OURS = "#1b1e23", "#56b4e9", "#d55e00"  # Okabe and Ito, for the colour-blind
_LARGEST, _SMALLEST = 900.0, 15.0  # areas of bubbles, square points
_PLOTS: dict[str, tuple[str, Callable[[Profile], float]]] = {
    # The paper's axis says FLOPs; its figures are multiply-accumulates.
    "accuracy-flops.png": ("multiply-accumulates, G (the paper's FLOPs)", lambda p: p.macs / 1e9),
    "accuracy-throughput.png": ("throughput, images / s", lambda p: p.throughput.mean),
}


def columns(profile: Profile) -> dict[str, str]:
    """Formats one row of the table, which includes the columns of Table 3."""
    return {
        "model": profile.model,
        "input": f"{profile.image_size}²",
        "params": format_count(profile.params),
        "MACs": format_count(profile.macs),
        "FLOPs": format_count(profile.flops),
        "activations": format_count(profile.activations),
        f"memory, batch {profile.batch_size}": format_size(profile.memory),
        "latency, ms": _spread(profile.latency),
        "images / s": _spread(profile.throughput),
        "top-1": "–" if profile.top1 is None else f"{profile.top1:.1f}%",
    }


def show(profiles: Sequence[Profile]) -> None:
    """Prints the table."""
    names = [name for name in columns(profiles[0]) if name != "FLOPs"]  # twice the MACs
    table = tables.table(None, *names, words=("model",), fold=True)
    for profile in profiles:
        table.add_row(*(columns(profile)[name] for name in names))
    tables.show(table)


def markdown(profiles: Sequence[Profile]) -> str:
    """Formats the table as Markdown."""
    rows = [columns(profile) for profile in profiles]
    lines = tables.markdown(list(rows[0]), (row.values() for row in rows), figures=True)
    return "\n".join(lines) + "\n"


def write(target: Path, profiles: Sequence[Profile], facts: Mapping[str, Any]) -> list[str]:
    """Writes profile.csv, profile.md, profile.json and the plots.

    Returns:
        Names of the files.

    Raises:
        UserError: If the folder cannot be written.
    """
    with written(setting("output", target), "must be a folder"):
        target.mkdir(parents=True, exist_ok=True)
        rows = [asdict(profile) for profile in profiles]
        write_json(target / "profile.json", {**facts, "models": rows})
        overwrite(target / "profile.csv", _csv(rows))
        overwrite(target / "profile.md", markdown(profiles))
        names = ["profile.csv", "profile.md", "profile.json"]
        known = [profile for profile in profiles if profile.top1 is not None]
        for name, (label, cost) in _PLOTS.items() if known else ():
            overwrite(target / name, _bubbles(known, label, cost))
            names.append(name)
    return names


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    flat = []
    for row in rows:
        values = dict(row)
        for key, unit in (("latency", "ms"), ("throughput", "images_per_second")):
            times = values.pop(key)
            values |= {
                f"{key}_{unit}": times["mean"],
                f"{key}_{unit}_sd": times["sd"],
                f"{key}_repeats": times["repeats"],
            }
        flat.append(values)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(flat[0]))
    writer.writeheader()
    writer.writerows(flat)
    return buffer.getvalue()


def _bubbles(profiles: Sequence[Profile], label: str, cost: Callable[[Profile], float]) -> bytes:
    """Plots accuracy over a cost; the area of a bubble shows the number of parameters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    most = max(profile.params for profile in profiles)
    for profile in profiles:
        ours = not _is_timms(profile.model)
        place = (cost(profile), profile.top1 or 0.0)
        area = max(_LARGEST * profile.params / most, _SMALLEST)
        axes.scatter(*place, s=area, color=_OURS if ours else _OTHERS, alpha=0.6, edgecolors=_INK)
        axes.annotate(
            profile.model,
            place,
            xytext=(0, area**0.5 / 2 + 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            fontweight="bold" if ours else "normal",
        )
    axes.margins(0.18)
    axes.set_xlabel(label)
    axes.set_ylabel("top-1, %")
    axes.set_title("area of a bubble: parameters", fontsize=9, loc="left")
    axes.grid(alpha=0.25)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _is_timms(name: str) -> bool:
    import timm

    return timm.is_model(name) and timm.model_entrypoint(name).__module__.startswith("timm.")


def _spread(times: Times) -> str:
    digits = 0 if times.mean >= 100 else 1
    return f"{times.mean:.{digits}f} ± {times.sd:.{digits}f}"
