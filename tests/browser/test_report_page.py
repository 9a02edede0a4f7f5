"""The report in a browser: charts in place of figures, and figures where scripts are off."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.frames import load
from analysis.importance import Settings
from analysis.report import page

pytestmark = pytest.mark.acceptance

CHARTS = ("progress", "parallel", "size", "learning-curves")
VISIBLE = "return [...document.querySelectorAll('{}')].filter(e => e.getClientRects().length).length"


@pytest.fixture(scope="module")
def address(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = shutil.copytree(finished_run, tmp_path_factory.mktemp("report") / "run")
    return page.report(load(path), Settings(engine="local", trees=4, bootstrap=0)).as_uri()


@pytest.fixture
def opened(driver: Any, address: str) -> Any:
    """The page with its charts drawn."""
    driver.get(address)
    wait(lambda: driver.execute_script(VISIBLE.format(".live svg")) == len(CHARTS), "every chart is drawn")
    return driver


def wait(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def drag(driver: Any, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drags over an element, from and to shares of its size."""
    from selenium.webdriver.common.action_chains import ActionChains

    element = driver.find_element("css selector", selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    box = element.rect
    centre = [(share - 0.5) * box[side] for share, side in zip(start, ("width", "height"), strict=True)]
    by = [(b - a) * box[side] for a, b, side in zip(start, end, ("width", "height"), strict=True)]
    chain = ActionChains(driver).move_to_element_with_offset(element, *map(round, centre)).click_and_hold()
    chain.move_by_offset(*map(round, by)).release().perform()


def test_charts_take_the_place_of_figures_and_nothing_complains(opened: Any) -> None:
    assert opened.execute_script(VISIBLE.format(".replaced")) == 0
    assert opened.execute_script(VISIBLE.format("figure .scroll:not(.live)")) > len(CHARTS)
    assert [entry for entry in opened.get_log("browser") if entry["level"] != "INFO"] == []
    loaded = opened.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []


def test_the_brush_keeps_the_lines_inside_it(opened: Any) -> None:
    strong = (
        "return [...document.querySelectorAll('[data-chart=chart-parallel] .mark-line path')]"
        ".filter(e => e.getAttribute('opacity') > 0.5).length"
    )
    before = opened.execute_script(strong)
    drag(opened, "[data-chart=chart-parallel] svg", (0.9, 0.15), (0.97, 0.35))  # the best third
    wait(lambda: 0 < opened.execute_script(strong) < before / 2, "fewer lines are strong")


def test_the_legend_picks_a_curve(opened: Any) -> None:
    faint = (
        "return [...document.querySelectorAll('[data-chart=chart-learning-curves] .mark-line path')]"
        ".filter(e => e.getAttribute('opacity') < 0.2).length"
    )
    assert opened.execute_script(faint) == 0
    label = opened.find_element("css selector", "[data-chart=chart-learning-curves] .role-legend-label text")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", label)
    label.click()
    wait(lambda: opened.execute_script(faint) >= 20, "all but one are faint, in both pictures")


def test_a_part_of_the_search_can_be_looked_at_closely(opened: Any) -> None:
    ticks = (
        "const upper = document.querySelector('[data-chart=chart-progress] .concat_0_group');"
        "return [...upper.querySelectorAll('.role-axis-label text')].map(e => e.textContent)"
    )
    before = opened.execute_script(ticks)
    drag(opened, "[data-chart=chart-progress] .concat_1_group .background", (0.2, 0.5), (0.4, 0.5))
    wait(lambda: opened.execute_script(ticks) != before, "the time axis shows a part")


def test_without_scripts_the_figures_stay(driver: Any, address: str) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(address)
        # With scripts off, the driver cannot tell when a page has loaded.
        wait(lambda: driver.find_elements("css selector", "#made ~ details"), "the page's last part is there")
        shown = driver.find_elements("css selector", "figure .scroll:not(.live) > svg")
        assert len(shown) > len(CHARTS)
        assert all(figure.is_displayed() for figure in shown)
        assert not any(live.is_displayed() for live in driver.find_elements("css selector", ".live"))
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_phone_scrolls_down_only(opened: Any) -> None:
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        width = "return document.documentElement.scrollWidth"
        wait(lambda: opened.execute_script(width) <= 390, "nothing lies beyond the right edge")
        assert opened.execute_script(VISIBLE.format(".live svg")) == len(CHARTS)
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_no_chart_is_cut_at_its_edge(driver: Any, finished_run: Path, tmp_path: Path) -> None:
    """Accuracies that lie close together have long labels, which take the charts' room."""
    path = shutil.copytree(finished_run, tmp_path / "run")
    run = load(path)
    top = run.trials["epochs"] == 9
    run.trials.loc[top, "error"] = 0.012345 + 1e-5 * run.trials.loc[top, "error"]
    driver.get(page.report(run, Settings(engine="local", trees=4, bootstrap=0)).as_uri())
    wait(lambda: driver.execute_script(VISIBLE.format(".live svg")) == len(CHARTS), "every chart is drawn")
    beyond = (
        "return Object.fromEntries([...document.querySelectorAll('.live')]"
        ".map(e => [e.dataset.chart, e.scrollWidth - e.clientWidth]))"
    )
    none = {f"chart-{name}": 0 for name in CHARTS}
    wait(lambda: driver.execute_script(beyond) == none, "every chart has the room it needs")


@pytest.fixture
def phone(driver: Any, address: str) -> Iterator[Any]:
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get(address)
    yield driver
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def shades(driver: Any, selector: str) -> tuple[int, int]:
    """How much darker than its middle the left and the right edge of an element are, of 255."""
    from PIL import Image

    element = driver.find_element("css selector", selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    image = Image.open(io.BytesIO(element.screenshot_as_png)).convert("L")
    columns = [
        max(image.getpixel((x, y)) for y in range(image.height))  # paper between the words
        for x in (1, image.width // 2, image.width - 2)
    ]
    return int(columns[1] - columns[0]), int(columns[1] - columns[2])


def test_an_edge_with_more_beyond_it_is_shaded(phone: Any) -> None:
    place = ".scroll:has(#trials-table)"
    wait(lambda: phone.find_element("id", "trials-find").is_displayed(), "the table can be searched")
    left, right = shades(phone, place)
    assert left < 5
    assert right > 20
    phone.execute_script(f"document.querySelector('{place}').scrollLeft = 1e6")
    left, right = shades(phone, place)
    assert left > 20
    assert right < 5


ROWS = (
    "return [...document.querySelectorAll('#trials-table tbody tr')]"
    ".map(r => [...r.cells].map(c => c.textContent))"
)


def rows(driver: Any) -> list[list[str]]:
    return list(driver.execute_script(ROWS))


def said(driver: Any) -> str:
    return str(driver.find_element("css selector", "#trials-find [role=status]").text)


def test_trials_can_be_sorted_searched_and_paged(opened: Any, finished_run: Path) -> None:
    run = load(finished_run)
    total = len(run.trials)
    heads = [head.text.split()[0] for head in opened.find_elements("css selector", "#trials-table th")]
    assert len(rows(opened)) == min(50, total)
    assert said(opened) == f"1 to {min(50, total)} of {total}"
    sort = opened.find_elements("css selector", "#trials-table th button")[heads.index("trial")]
    opened.execute_script("arguments[0].click()", sort)
    assert [int(row[0]) for row in rows(opened)] == sorted(run.trials["trial"])[:50]
    opened.execute_script("arguments[0].click()", sort)
    assert [int(row[0]) for row in rows(opened)] == sorted(run.trials["trial"], reverse=True)[:50]
    opened.execute_script("arguments[0].click()", opened.find_element("css selector", "[data-step='1']"))
    assert [int(row[0]) for row in rows(opened)] == sorted(run.trials["trial"], reverse=True)[50:100]
    search = opened.find_element("css selector", "#trials-find input")
    for words, expected in (
        ("kernel_mid=5", run.trials["kernel_mid"] == 5),
        ("top-1>60 gelu", (run.trials["error"] < 0.4) & (run.trials["activation"] == "gelu")),
        ("<b>nothing", run.trials["trial"] < 0),
    ):
        search.clear()
        search.send_keys(words)
        shown = f" {expected.sum()} ({total} in all)" if expected.any() else f"none ({total} in all)"
        wait(lambda shown=shown: said(opened).endswith(shown), f"{words}: {said(opened)}")
        at = heads.index("trial")
        assert {int(row[at]) for row in rows(opened)} <= set(run.trials["trial"][expected])
    from selenium.webdriver.support.ui import Select

    search.clear()
    search.send_keys(" ")
    choose = Select(opened.find_element("css selector", "#trials-find select[aria-label=rung]"))
    choose.select_by_value("9")
    expected_rows = int((run.trials["epochs"] == 9).sum())
    wait(lambda: f"of {expected_rows} (" in said(opened), "those of nine epochs")
