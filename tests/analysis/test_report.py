"""The report: one safe file with everything in it, whatever state the run is in."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis import report
from analysis.importance import Settings
from analysis.load import load
from nas.errors import UserError

QUICK = Settings(engine="local", trees=8, bootstrap=2)
SECTIONS = (
    *("winner", "progress", "budgets", "importance", "choices", "space"),
    *("size", "curves", "crashes", "next", "made"),
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
    assert text.count("<svg") == len(FIGURES)
    for name in FIGURES:
        for suffix in (".png", ".svg"):
            assert (written / "analysis" / (name + suffix)).stat().st_size > 5_000
    assert (written / "analysis" / "importance.csv").exists()


def test_it_needs_no_network_and_runs_nothing(written: Path) -> None:
    text = (written / "analysis" / "report.html").read_text()
    page = Page(text)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed"})
    outside = [link for link in page.links if not link.startswith(("#", "data:image/"))]
    assert outside == []
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
        re.findall(r"url\(#([^)]+)\)", text)
    )
    assert used <= set(page.ids)


def test_it_reads_in_the_dark(written: Path) -> None:
    text = (written / "analysis" / "report.html").read_text()
    assert "prefers-color-scheme: dark" in text
    drawings = text[text.index("<svg") :]
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
    hostile = "<script>alert(1)</script>$x_$&\"'"
    path = write_run(
        tmp_path / "run <b>bold", 40, lambda c, e, r: 0.4 + 0.1 * r.random() if c["se"] else None
    )
    search = (path / "search.json").read_text()
    (path / "search.json").write_text(
        search.replace('"name": "simulated"', '"name": "<img src=x onerror=y>"')
    )
    run = load(path)
    run.trials.loc[run.trials["status"] == "crashed", "reason"] = hostile
    page = report.report(run, QUICK)
    text = page.read_text()
    assert Page(text).tags.isdisjoint({"script", "img", "b"} - {"b"})
    assert "&lt;script&gt;alert" in text
    assert "<img" not in text
    assert "bold" in text
    assert "<b>bold" not in text


@pytest.mark.parametrize(
    ("n_trials", "value", "said"),
    [
        (3, 0.4, "it is the base architecture itself"),
        (12, None, "all 12 finished trials crashed"),
        (0, 0.4, "none has finished"),
    ],
)
def test_small_and_unlucky_runs(n_trials, value, said: str, write_run, tmp_path: Path) -> None:
    text, page = make(write_run(tmp_path / "r", n_trials, lambda *_: value))
    assert said in text
    assert set(SECTIONS) <= set(page.ids)
    assert "No budget has 10 successful trials yet" in text


def test_a_run_that_goes_on(write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 9, lambda c, e, r: 0.4 + 0.1 * r.random())
    lines = (path / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (path / "trials.jsonl").write_bytes(b"".join(lines[:-10]) + lines[-10][:7])
    text, _ = make(path)
    assert "ended without notice" in text
    (path / "trials.jsonl").write_bytes(b"")
    assert "not begun" in make(path)[0]


def test_the_command(write_run, tmp_path: Path, capsys) -> None:
    path = write_run(tmp_path / "r", 3, lambda *_: 0.4)
    assert report.main([str(path), "--engine", "local"]) == 0
    assert capsys.readouterr().out.strip() == str(path / "analysis" / "report.html")
    with pytest.raises(UserError, match="not a run folder"):
        report.main([str(tmp_path)])
    shutil.rmtree(path / "analysis")
    (path / "analysis").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        report.main([str(path)])


def test_the_command_line_is_shown_as_typed() -> None:
    assert report._typed(["/x/nas/search.py", "--name", "a b"]) == "python -m nas.search --name 'a b'"
