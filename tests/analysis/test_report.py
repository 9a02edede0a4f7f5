"""The report: one safe file with everything in it, whatever state the run is in."""

from __future__ import annotations

import contextlib
import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest
import vl_convert

from analysis.figures import search as figures_search
from analysis.figures import style as figures
from analysis.frames import load
from analysis.importance import Settings
from analysis.levels import shown
from analysis.report import page as report
from analysis.report.__main__ import main
from nas.confirm import candidates, session
from nas.confirm.loop import Task
from nas.confirm.view import verdict
from nas.execution.simulated import SimulatedClock, SimulatedExecutor, SimulatedResult
from nas.run import journal
from nas.run.confirmed_file import ConfirmedFile
from nas.run.events import SessionStarted
from nas.run.folder import Run as Folder
from nas.run.state import SearchState
from nas.util.errors import UserError
from nas.view.logfile import SilentListener

QUICK = Settings(engine="local", trees=8, bootstrap=2)
SECTIONS = (
    *("winner", "progress", "budgets", "importance", "choices", "space"),
    *("size", "curves", "seeds", "trials", "crashes", "next", "made"),
)
FIGURES = (
    *("network", "progress", "budgets", "parallel", "size", "learning-curves", "marginals"),
    *("importance-lpi", "importance-fanova", "importance-fanova-pairs", "importance-ablation"),
)


class Page(HTMLParser):
    """Collects ids, links and tags, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in {"meta", "link", "img", "br", "hr", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("href", "xlink:href", "src"):
                self.links.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)


def charts(text: str) -> dict[str, Any]:
    """The specifications of the page's interactive charts, read as the page reads them."""
    return {
        match["attributes"].split('id="chart-')[1].rstrip('"'): json.loads(match["text"])
        for match in SCRIPT.finditer(text)
        if 'id="chart-' in match["attributes"]
    }


def table(text: str) -> list[dict[str, Any]]:
    """The columns of the table of all trials, read as the page reads them."""
    found = next(m for m in SCRIPT.finditer(text) if 'id="trials-data"' in m["attributes"])
    return list(json.loads(found["text"]))


def filled(spec: Any) -> Any:
    """A specification with what the page fills in."""
    if isinstance(spec, dict):
        return {key: filled(value) for key, value in spec.items()}
    if isinstance(spec, list):
        return [filled(value) for value in spec]
    if isinstance(spec, str) and spec.startswith("page:"):
        return "#123456" if "colour" in spec or spec in ("page:ink", "page:paper") else 2
    return spec


def make(path: Path) -> tuple[str, Page]:
    page = report.report(load(path), QUICK)
    text = page.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def written(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = shutil.copytree(finished_run, tmp_path_factory.mktemp("report") / "finished")
    report.report(load(path), QUICK)
    return path


def test_it_is_one_file_with_every_section_and_figure(written: Path) -> None:
    text = (written / "analysis" / "report.html").read_text()
    page = Page(text)
    assert len(text) < 5_000_000
    assert set(SECTIONS) <= set(page.ids)
    assert SCRIPT.sub("", text).count("<svg") == len(FIGURES)
    for name in FIGURES:
        for suffix in (".png", ".svg"):
            assert (written / "analysis" / (name + suffix)).stat().st_size > 5_000
    assert (written / "analysis" / "importance.csv").exists()


def test_it_needs_no_network_and_runs_only_what_is_inside(written: Path) -> None:
    text = (written / "analysis" / "report.html").read_text()
    page = Page(text)
    assert page.tags.isdisjoint({"link", "iframe", "object", "embed"})
    outside = [link for link in page.links if not link.startswith(("#", "data:image/"))]
    assert outside == []  # a script from elsewhere would be one, too
    rules = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert rules is not None
    assert rules[1].startswith("default-src 'none'")
    assert "unsafe-eval" not in rules[1]
    text = SCRIPT.sub("", text)  # Vega's names of formats; nothing may be loaded by the rules above
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not re.search(r"@import|url\((?!#)", text)


def test_names_inside_are_unique_and_found(written: Path) -> None:
    text = (written / "analysis" / "report.html").read_text()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    used = {link[1:] for link in page.links if link.startswith("#")} | set(
        re.findall(r"url\(#([^)]+)\)", SCRIPT.sub("", text))
    )
    assert used <= set(page.ids)


def test_every_chart_takes_the_place_of_a_figure_and_compiles(written: Path) -> None:
    text = (written / "analysis" / "report.html").read_text()
    found = charts(text)
    assert list(found) == ["progress", "parallel", "size", "learning-curves"]
    for name, spec in found.items():
        assert f'data-chart="chart-{name}"' in text
        vega = vl_convert.vegalite_to_vega(filled(spec))
        assert vega["marks"], name
    run = load(written)
    top = run.measured[run.measured["epochs"] == 9]
    assert {row["trial"] for row in found["size"]["data"]["values"]} == set(top["trial"])
    dots = found["progress"]["vconcat"][0]["layer"][0]["data"]["values"]
    assert len(dots) == len(run.measured)
    lines = found["parallel"]["layer"][0]["data"]["values"]
    assert all(len(line["at"]) == len(line["axis"]) == 1 + len(run.hyperparameters) for line in lines)


def test_page_and_pictures_paint_a_budget_alike(written: Path) -> None:
    run = load(written)
    still = {line.get_label(): line.get_color() for line in figures_search.progress(run).axes[0].get_lines()}
    layers = charts((written / "analysis/report.html").read_text())["progress"]["vconcat"][0]
    scale = layers["encoding"]["color"]["scale"]
    live = dict(zip(scale["domain"], scale["range"], strict=True))
    for epochs in run.rungs:
        name = f"trials, {figures.budget_label(epochs)}"
        assert live[name] == f"page:colour-{figures.PALETTE.index(still[name])}"
    assert live["base architecture"] == f"page:colour-{figures.PALETTE.index(figures.BASE)}"


def test_no_budget_or_network_has_the_colour_of_the_base() -> None:
    assert {figures.BASE, figures.FAINT}.isdisjoint(figures.colour(place) for place in range(20))


def test_the_table_has_every_trial(written: Path) -> None:
    run = load(written)
    text = (written / "analysis/report.html").read_text()
    columns = {column["title"]: column for column in table(text)}
    assert {"trial", "epochs", "status", "top-1", *run.hyperparameters} <= set(columns)
    assert sorted(columns["trial"]["sort"]) == run.trials["trial"].tolist()
    best = columns["trial"]["sort"][0]
    assert best == run.incumbent["trial"]
    for name in run.hyperparameters:
        column = columns[name]
        cells = [column["words"][at] for at in column["at"]]
        assert cells == [shown(run.trials.loc[number, name]) for number in columns["trial"]["sort"]]
    rows = text.split('id="trials-table"')[1].split("</table>")[0]
    assert rows.count("<tr>") - 1 == min(len(run.trials), 200), "they can be read without scripts"
    assert len((written / "analysis/trials.csv").read_text().splitlines()) > len(run.trials)


def test_seeds_are_shown_or_how_to_get_them(written: Path, write_run, tmp_path: Path) -> None:
    assert (
        f"python -m nas.confirm {written} --top 3 --seeds 3" in (written / "analysis/report.html").read_text()
    )
    path = write_run(tmp_path / "confirmed", 9, lambda c, e, r: 0.4 + 0.1 * r.random())
    found = confirm(path)
    text, _ = make(path)
    assert verdict(found)[1:] in html.unescape(text)
    lead = html.unescape(text.split('<p class="lead">')[1].split("</p>")[0])
    assert lead.startswith(f"Over 2 seeds: {verdict(found)}."), "the confirmed figure leads"
    assert "best of many single measurements and flatters" in lead
    assert "<small>best top-1, confirmed</small>" in text
    shown = charts(text)["seeds"]
    vl_convert.vegalite_to_vega(filled(shown))
    rows = shown["data"]["values"]
    best = next(row for row in found.configurations if not row.baseline)
    last = next(row for row in rows if row["label"] == f"trial {best.searched_trial}" and row["epoch"] == 9)
    assert best.mean_error is not None
    assert last["seeds"] == 2
    assert last["top1"] == pytest.approx(1 - best.mean_error, abs=1e-4)
    assert last["sd_top1"] == pytest.approx(best.sd_error, abs=1e-4)
    assert (path / "analysis" / "seeds.svg").exists()
    assert "was it the network, or luck?" not in text


def confirm(path: Path) -> ConfirmedFile:
    """Confirms the run's best two with two seeds, in simulated time."""
    run = Folder.open(path)
    search = run.read_search()
    searched = SearchState.of(run.read_journal().events)
    chosen = candidates.choose(searched, search.space.default, 9, 2, path)
    clock = SimulatedClock()

    def problem(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        return SimulatedResult(
            tuple(0.3 + 0.1 / (1 + epoch) + (seed % 7) / 100 for epoch in range(epochs)), 10.0
        )

    with journal.Journal(run.confirm_journal, 0) as file:
        found, _ = session.carry_out(
            run,
            Task(chosen, 2, 9, 0),
            journal=file,
            contents=journal.Contents([], 0, 0),
            searched=searched,
            executor=SimulatedExecutor(problem, clock),
            clock=clock,
            view=lambda *_: contextlib.nullcontext(SilentListener()),
            session=SessionStarted("", 0.0, command=["simulated"]),
        )
    return found


def test_it_reads_in_the_dark(written: Path) -> None:
    text = (written / "analysis" / "report.html").read_text()
    assert "prefers-color-scheme: dark" in text
    drawings = SCRIPT.sub("", text[text.index("<svg") :])
    assert "currentColor" in drawings
    assert "#1b1e23" not in drawings  # ink that would be dark on dark
    assert "#000000" not in drawings
    assert 'name="viewport"' in text


def test_it_says_what_the_run_found(written: Path) -> None:
    text = (written / "analysis" / "report.html").read_text()
    run = load(written)
    winner = run.incumbent
    assert winner is not None
    assert f"{100 * (1 - winner['error']):.2f}% validation top-1" in text
    for name in run.hyperparameters:
        if winner[name] != run.default[name]:
            assert f"<td>{name}</td><td>{run.default[name]}</td><td><b>{winner[name]}</b></td>" in text
    assert "simulated crash in epoch N" in text
    assert "rank correlation" in text
    assert f"<title>trial {winner['trial']}: top-1" in text


def test_whatever_stands_in_the_files_is_text(write_run, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--$x_$&\u2028\"'"
    path = write_run(
        tmp_path / "run <b>bold", 40, lambda c, e, r: 0.4 + 0.1 * r.random() if c["se"] else None
    )
    search = (path / "search.json").read_text()
    (path / "search.json").write_text(
        search.replace('"name": "simulated"', '"name": "<img src=x onerror=y>"').replace(
            '"name": "nexception"', '"name": "<img src=space>"'
        )
    )
    space = (path / "configspace.json").read_text()
    (path / "configspace.json").write_text(space.replace('"pool"', json.dumps(hostile)))
    journaled = (path / "trials.jsonl").read_bytes().splitlines()
    with (path / "trials.jsonl").open("wb") as file:
        for line in journaled:
            event = orjson.loads(line)
            del event["crc"]
            if "config" in event:
                event["config"][hostile] = event["config"].pop("pool")
            file.write(journal.sealed(event))
    run = load(path)
    run.trials.loc[run.trials["status"] == "crashed", "reason"] = hostile
    page = report.report(run, QUICK)
    text = page.read_text()
    scripts = list(SCRIPT.finditer(text))
    assert all("alert(1)</script>" not in script["text"] for script in scripts)
    assert (
        sum("alert" in script["text"] for script in scripts) == 4
    )  # data of three charts and the table, no code
    tips = charts(text)["size"]["data"]["values"]
    assert any(hostile in tip["changes"] for tip in tips), "it is data, and whole"
    assert "alert" in json.dumps(charts(text)["parallel"]["layer"][3])
    assert hostile in {column["title"] for column in table(text)}
    assert Page(text).tags.isdisjoint({"img"})
    assert "&lt;script&gt;alert" in text
    assert "<img" not in SCRIPT.sub("", text)
    assert "bold" in text
    assert "<b>bold" not in text


@pytest.mark.parametrize(
    ("n_trials", "value", "said"),
    [
        (3, 0.4, "it is the base architecture itself"),
        (12, None, "12 finished trials crashed"),
        (0, 0.4, "none has finished"),
    ],
)
def test_small_and_unlucky_runs(n_trials, value, said: str, write_run, tmp_path: Path) -> None:
    text, page = make(write_run(tmp_path / "r", n_trials, lambda *_: value))
    assert said in text
    assert set(SECTIONS) <= set(page.ids)
    assert "No rung has 10 successful trials yet" in text


def test_a_run_that_goes_on(write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 9, lambda c, e, r: 0.4 + 0.1 * r.random())
    lines = (path / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (path / "trials.jsonl").write_bytes(b"".join(lines[:-10]) + lines[-10][:7])
    text, _ = make(path)
    assert "ended without notice" in text
    (path / "trials.jsonl").write_bytes(b"")
    assert "not begun" in make(path)[0]


@pytest.mark.slow
def test_the_page_of_ten_thousand_trials_is_small(write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 10_000, lambda c, e, r: 0.3 + 0.3 / e + 0.01 * r.random())
    text, _ = make(path)
    assert len(text) < 5_000_000
    dots = charts(text)["progress"]["vconcat"][0]["layer"][0]["data"]["values"]
    assert len(table(text)[0]["at"]) == 10_000
    assert "Without scripts, 200 of 10,000 are shown." in text
    assert {"trials, 9 epochs", "trials, 3 epochs"} <= {dot["kind"] for dot in dots}


def test_the_command(write_run, tmp_path: Path, capsys) -> None:
    path = write_run(tmp_path / "r", 3, lambda *_: 0.4)
    assert main([str(path), "--engine", "local"]) == 0
    assert capsys.readouterr().out.strip() == str(path / "analysis" / "report.html")
    with pytest.raises(UserError, match="not a run folder"):
        main([str(tmp_path)])
    shutil.rmtree(path / "analysis")
    (path / "analysis").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        main([str(path)])


def test_the_command_line_is_shown_as_typed() -> None:
    for file in ("/x/nas/search.py", "/x/nas/search/__main__.py"):  # of old runs and new ones
        assert report._typed([file, "--name", "a b"]) == "python -m nas.search --name 'a b'"
