"""Headless Chromium and one dashboard for all pages."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.deepcave import environment
from nas.run.folder import Run
from nas.run.state import SearchState

GRAPHS = """
return [...document.querySelectorAll('.js-plotly-plot')].map(graph => graph.data.map(trace => {
  const plain = value => value && value.length !== undefined ? Array.from(value) : value;
  return {
    type: trace.type, name: trace.name, x: plain(trace.x), y: plain(trace.y), z: plain(trace.z),
    dimensions: (trace.dimensions || []).map(d => ({label: d.label, values: plain(d.values)})),
  };
}))
"""


class Page:
    """DeepCAVE in a browser."""

    pictures = "deepcave"

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, plugin: str) -> None:
        self.driver.get(f"{self.address}/plugins/{plugin}")
        self.wait(lambda: self.driver.find_elements("css selector", "main h1"), f"{plugin} has a heading")

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 150.0) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.2)
        raise AssertionError(f"{what}: not within {seconds:.0f} s; the page says:\n{self.text}")

    @property
    def text(self) -> str:
        return str(self.driver.find_element("tag name", "main").text)

    @property
    def graphs(self) -> list[list[dict[str, Any]]]:
        """The traces of each figure."""
        return list(self.driver.execute_script(GRAPHS))

    def traces(self, figure: int = 0) -> list[dict[str, Any]]:
        """The traces of a figure, as soon as it has any."""
        self.wait(lambda: len(self.graphs) > figure and self.graphs[figure], "a figure with data")
        time.sleep(0.5)  # a page may draw once more when its inputs have settled
        return self.graphs[figure]

    def process(self) -> None:
        """Presses the button that hands work to a worker, and waits for the figure.

        DeepCAVE may overlook a click that falls together with its own half-second refresh.
        """

        def done() -> bool:
            button = self.driver.find_element("xpath", "//main//button[contains(., 'Process')]")
            if button.is_enabled() and not self.graphs[0]:
                self.driver.execute_script("arguments[0].click()", button)
                time.sleep(3.0)
            return bool(self.graphs[0])

        time.sleep(1.0)  # inputs settle
        self.wait(done, "the figure once Process was pressed")

    def choose(self, select: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.driver.find_element("id", select)).select_by_value(value)

    def picture(self, name: str) -> None:
        """Saves the page where the environment variable SCREENSHOTS says, if it does."""
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            time.sleep(1.0)
            size = "return [window.innerWidth, document.documentElement.scrollHeight]"
            width, height = self.driver.execute_script(size)
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            shot = self.driver.execute_cdp_cmd(
                "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
            )
            (Path(folder) / f"{self.pictures}-{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def check(self) -> None:
        """Checks that nothing failed, in the page or behind it, and nothing came from elsewhere."""
        assert "failed" not in self.text
        assert not self.driver.find_elements("css selector", ".alert-danger, ._dash-error-card")
        severe = [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert severe == []
        loaded = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        elsewhere = [name for name in self.driver.execute_script(loaded) if not name.startswith(self.address)]
        assert elsewhere == []


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found or not shutil.which("chromedriver") or not shutil.which("redis-server"):
        pytest.fail("needs redis-server, Chromium and its driver")
    return found


@pytest.fixture(scope="module")
def driver(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"),
        *("disable-background-networking", "disable-component-update", "window-size=1280,1100"),
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def shown(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on the page: at first half of its journal, as of a search that goes on.

    The environment variable SHOWN_RUN takes another run instead, for pictures of it.
    """
    source = Path(os.environ.get("SHOWN_RUN", finished_run))
    run = tmp_path_factory.mktemp("runs") / source.name
    shutil.copytree(source, run)
    journal = run / "trials.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    (run / "rest").write_bytes(b"".join(lines[len(lines) // 2 :]))
    return run


def finished(run: Path) -> int:
    return SearchState.of(Run.open(run).read_journal().events).finished


@pytest.fixture(scope="module")
def page(shown: Path, driver: Any) -> Iterator[Page]:
    """The dashboard, its run complete in the end."""
    environment.ensure()
    process = subprocess.Popen(
        [sys.executable, "-m", "analysis.dashboard", str(shown), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        # What it is doing until then is said as well.
        ready = next(line for line in process.stdout if line.startswith("DeepCAVE shows"))
        page = Page(driver, ready.split()[-1])
        page.open("overview")
        half = finished(shown)
        page.wait(lambda: f"Total trials: {half}\n" in page.text, f"{half} trials are shown")
        rest = shown / "rest"
        with (shown / "trials.jsonl").open("ab") as journal:
            journal.write(rest.read_bytes())
        rest.unlink()
        whole = finished(shown)
        assert whole > half

        def grown() -> bool:
            page.open("overview")
            time.sleep(2)
            return f"Total trials: {whole}\n" in page.text

        page.wait(grown, f"{whole} trials are shown once the journal has them")
        yield page
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def state(page: Page, shown: Path) -> SearchState:
    return SearchState.of(Run.open(shown).read_journal().events)


@pytest.fixture(scope="module")
def space(shown: Path) -> dict[str, int]:
    """How many choices each hyperparameter has."""
    listed = json.loads((shown / "configspace.json").read_text())["hyperparameters"]
    return {hp["name"]: len(hp.get("choices", hp.get("sequence", ()))) for hp in listed}
