"""Figures: no label is cut, diagrams show the network that is built, fronts and correlations are right."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

import search_spaces
from analysis import agreement, curves, pareto
from analysis.compare import figures as figures_compare
from analysis.compare import groups
from analysis.figures import network as figures_network
from analysis.figures import search as figures_search
from analysis.figures import style as figures
from analysis.frames import Run, load
from analysis.importance import by_budget, marginals
from analysis.importance import figures as figures_importance
from analysis.report import findings
from search_spaces.diagram import Part
from tests.descriptions import described


def all_figures(run: Run):
    found = by_budget.importances(run, by_budget.ImportanceSettings(engine="local", trees=8, bootstrap=2))
    yield from figures_importance.all_figures(run, found, marginals.marginals(run, trees=8)).items()
    yield "network", figures_network.network(run)
    for draw in ("progress", "budgets", "learning_curves", "size", "parallel"):
        yield draw, getattr(figures_search, draw)(run)


def cut_labels(figure) -> list[str]:
    with figures.style():
        FigureCanvasAgg(figure)  # its measures of text
        figure.draw_without_rendering()
        page = figure.bbox
        beyond = {id(label) for axes in figure.axes for label in _beyond_the_axis(axes)}
        found = []
        for text in figure.findobj(Text):
            if text.get_text().strip() and text.get_visible() and id(text) not in beyond:
                box = text.get_window_extent()
                if box.x0 < -1 or box.y0 < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1:
                    found.append(text.get_text())
    return found


def _beyond_the_axis(axes):
    """Labels of ticks outside of the limits exist, but are not drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not axes.axison or not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                yield from (tick.label1, tick.label2)


@pytest.mark.parametrize("rungs", [(5, 15, 45, 135), (27,)])
def test_no_label_is_cut(rungs, write_run, tmp_path: Path) -> None:
    def error(config, epochs, rng):
        return 0.3 + 0.2 * (not config["bottleneck"]) + 0.5 / epochs + 0.01 * rng.random()

    path = write_run(tmp_path / "r", 150, error, rungs=rungs)
    search = (path / "search.json").read_text()
    (path / "search.json").write_text(
        search.replace('"rungs": [\n    1,\n    3,\n    9\n  ]', f'"rungs": {list(rungs)}')
    )
    run = load(path)
    assert run.rungs == list(rungs)
    for name, figure in all_figures(run):
        assert cut_labels(figure) == [], name


def test_a_cut_label_would_be_noticed() -> None:
    with figures.drawing(3, 2) as (figure, axes):
        axes[0, 0].text(
            0.9, 0.5, "far too long for the place it is in", transform=axes[0, 0].transAxes
        ).set_in_layout(False)
    assert cut_labels(figure)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_diagram_has_the_layers_of_the_network(
    seed: int,
) -> None:
    """Convolutions, norms, activations and SE modules, counted in words and in the built module."""
    from timm.layers import SeparableConv2d, SqueezeExcite
    from torch import nn

    space = search_spaces.get("nexception")
    (config,) = space.sample(1, seed)
    module = space.build(config, space.reduced(16), 10)
    squeezed = [m for m in module.modules() if isinstance(m, SqueezeExcite)]
    inside = {id(child) for se in squeezed for child in se.modules()}
    kinds = (nn.BatchNorm2d, nn.LayerNorm)
    layers = [m for m in module.modules() if id(m) not in inside]
    run = type("R", (), {"search": described()})()
    words = [line for part in figures_network.parts(run, config) for line in part.lines * part.repeats]
    shortcuts = [p.residual for p in figures_network.parts(run, config) if p.residual]
    text = "\n".join([*words, *shortcuts])
    assert text.count("sep conv") == sum(isinstance(m, SeparableConv2d) for m in layers)
    assert text.count(" norm") == sum(isinstance(m, kinds) for m in layers)
    names = {"relu": nn.ReLU, "elu": nn.ELU, "celu": nn.CELU}
    acts = [m for m in layers if isinstance(m, names.get(config["activation"], nn.Module))]
    if config["activation"] in names:
        assert text.count(f"{config['activation']}") == len(acts)
    assert text.count("squeeze") == len(squeezed)


@pytest.mark.parametrize("name", search_spaces.names())
def test_the_diagrams_words_stay_in_their_boxes(name: str) -> None:
    space = search_spaces.get(name)
    width = space.usual_width(gpu=True)
    for config in [*space.points.values(), *space.sample(3, 2)]:
        search = SimpleNamespace(named_space=name, data=SimpleNamespace(image_size=32), width=width)
        run = SimpleNamespace(
            search=search, incumbent={"trial": 1}, default=space.default, config=lambda _, found=config: found
        )
        figure = figures_network.network(run)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        (ax,) = figure.axes
        boxes = [patch.get_window_extent() for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
        for text in ax.texts:
            place = text.get_window_extent()
            if text.get_text() and not text.get_rotation():
                for box in boxes:
                    inside = box.x0 <= place.x0 <= box.x1 and box.y0 <= place.y0 <= box.y1
                    assert not inside or place.x1 <= box.x1, text.get_text()


def test_networks_of_unequal_length_stand_side_by_side() -> None:
    """A part that only one of them has is marked; the parts behind it still have their twins."""
    short = [Part("stem", ("conv",), 16), Part("stage", ("conv",), 8), Part("head", ("linear",), 0)]
    long = [*short[:2], Part("downsampling", ("conv 2x2",), 4), Part("stage", ("conv",), 4), short[2]]
    assert figures_network.counterparts(long, short) == [short[0], short[1], None, None, short[2]]
    assert figures_network.counterparts(short, long) == [long[0], long[1], long[4]]
    space = search_spaces.get("resnet")
    separate = {**space.default, "downsampling": "separate"}
    run = SimpleNamespace(
        search=SimpleNamespace(named_space="resnet", data=SimpleNamespace(image_size=32), width=8),
        incumbent={"trial": 1},
        default=space.default,
        config=lambda _: separate,
    )
    assert len(figures_network.network(run).axes[0].patches) > 0  # type: ignore[arg-type]


def test_a_space_without_a_drawing_lists_its_choices(write_run, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "r", 5, lambda *_: 0.5))
    space = replace(run.search.space, name="other")
    run = replace(run, search=replace(run.search, space=space))
    assert cut_labels(figures_network.network(run)) == []


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
def test_the_front_is_what_no_other_dominates(points) -> None:
    trials = pd.DataFrame(points, columns=["macs", "error"])
    found = {tuple(row) for row in pareto.front(trials, "macs").to_numpy()}
    beaten = {(a, b) for a, b in points if any((x, y) != (a, b) and x <= a and y <= b for x, y in points)}
    assert found == set(points) - beaten


def test_curves_join_the_trials_of_a_promoted_configuration(finished_run: Path) -> None:
    run = load(finished_run)
    best = curves.ranking(run).iloc[0]
    assert best["trial"] == run.incumbent["trial"]
    assert curves.curve(run, best["config_id"])["epoch"].tolist() == list(range(1, 10))


@pytest.mark.parametrize(
    ("noise", "said"),
    [(0.0, "honest proxy"), (0.6, "rough proxy"), (30.0, "nothing shows")],
)
def test_the_verdict_on_the_proxy(noise: float, said: str, write_run, tmp_path: Path) -> None:
    level = {}

    def error(config, epochs, rng):
        base = level.setdefault(tuple(config.values()), rng.random())
        return base + (noise * rng.random() if epochs == 9 else 0.0)

    run = load(write_run(tmp_path / "r", 150, error))
    row = agreement.correlations(run).query("low == 1 and high == 9").iloc[0]
    assert row["configs"] >= 10
    assert said in agreement.verdict(row)


def test_few_shared_configurations_are_too_few(write_run, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "r", 12, lambda c, e, r: r.random()))
    row = agreement.correlations(run).query("high == 9").iloc[0]
    assert "too few to tell" in agreement.verdict(row)


def test_chance_shrinks_with_the_validation_set(finished_run: Path) -> None:
    run = load(finished_run)
    p = run.incumbent["error"]
    expected = 1.96 * np.sqrt(2 * p * (1 - p) / run.search.data.val_images)
    assert findings.chance(run) == pytest.approx(expected)
    data = replace(run.search.data, val_images=4 * run.search.data.val_images)
    run = replace(run, search=replace(run.search, data=data))
    assert findings.chance(run) == pytest.approx(expected / 2)


def test_what_next_fits_the_run(write_run, tmp_path: Path) -> None:
    unlucky = load(write_run(tmp_path / "a", 30, lambda c, e, r: None if r.random() < 0.5 else r.random()))
    words = " ".join(step.why for step in findings.next_steps(unlucky, confirmed=False))
    assert "trials crashed" in words
    assert "Search for longer" in words
    long = load(write_run(tmp_path / "b", 300, lambda c, e, r: 0.2 if c["se"] else 0.9))
    commands = " ".join(step.command for step in findings.next_steps(long, confirmed=False))
    assert "analysis.dashboard" in commands
    assert "--resume" not in commands
    beaten = load(write_run(tmp_path / "c", 3, lambda *_: 0.5))
    steps = findings.next_steps(beaten, confirmed=False)
    assert "--trials 300" in steps[0].command  # or the resumed search would stop at once
    assert not any("flatters" in step.why for step in steps)


@pytest.mark.parametrize(
    "names",
    [
        ("activation_positions", "kernel_down", "bottleneck", "norm_positions", "kernel_mid", "pool") * 2,
        ("kernel_down",) * 17,
        ("averylongnamewithoutbreaks", "another_quite_unbreakablelongname", "se") * 4,
        ("one",),
    ],
)
def test_names_under_compared_bars_do_not_touch(names) -> None:
    names = [f"{name}_{place}" if len(set(names)) < len(names) else name for place, name in enumerate(names)]
    rows = [
        {"group": "a", "run": "r", "method": method, "hyperparameter": name, "importance": 0.5 / (1 + place)}
        for method in ("lpi", "fanova")
        for place, name in enumerate(names)
    ]
    figure = figures_compare.importances([groups.Group("a", ())], pd.DataFrame(rows))
    assert cut_labels(figure) == []
    for axes in figure.axes:
        labels = axes.get_xticklabels()
        boxes = [label.get_window_extent() for label in labels]
        if labels[0].get_rotation() == 0:
            assert all(b.x0 - a.x1 >= 2 for a, b in itertools.pairwise(boxes))
        else:  # slanted labels lie side by side if they are further apart than a line is high
            gap = (boxes[1].x1 - boxes[0].x1) * np.sin(np.radians(labels[0].get_rotation()))
            assert gap > labels[0].get_fontsize() * figure.dpi / 72


def test_wrapping_keeps_every_letter() -> None:
    assert figures.wrap("activation_positions").replace("\n", "") == "activation_positions"
    assert figures.wrap("se") == "se"
