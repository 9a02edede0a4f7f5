"""What the speed benchmarks compute from what they measured."""

from math import isnan

import pytest
from torch import nn

from benchmarks import performance, soak, train_throughput
from benchmarks.contest import Speed
from benchmarks.search_utilisation import shares
from benchmarks.workload import SIDE, floors, replaced
from nas.run.journal import sealed


def test_floors_of_a_network_counted_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU())
    pixels = SIDE * SIDE
    flops, moved = floors(model, batch_size=2, bytes_a_number=4)
    assert flops == 3 * 2 * (2 * pixels * 3 * 8 * 9)
    numbers = pixels * (3 + 8 + 8 + 8)  # the convolution's input and output, the activation's
    assert moved == 3 * 2 * 4 * numbers + 9 * 4 * (3 * 8 * 9)


def test_growth_is_the_slope_of_the_second_half():
    samples = [{"trials": n, "who": 500_000 * min(n, 50) + 1000 * n} for n in range(1, 201)]
    slope, low, high = soak.growth(samples, "who")
    assert slope == low == high == pytest.approx(1_000_000)


def test_shares_of_a_journal(tmp_path):
    def event(clock, name, **fields):
        return {"time": "2026-01-01T00:00:00.000Z", "clock": clock, "event": name, **fields}

    def trial(number, start, end, steps):
        config = {"id": number}
        return [
            event(
                0.0, "asked", trial=number, config_id=f"{number}", config=config, epochs=1, origin="random"
            ),
            event(start, "started", trial=number),
            event(
                end,
                "epoch",
                trial=number,
                epoch=1,
                metrics={"train_seconds": steps - 1.0, "val_seconds": 1.0},
            ),
            event(
                end,
                "ended",
                trial=number,
                status="success",
                error=0.5,
                metrics={},
                reason="",
                seconds=end - start,
            ),
        ]

    path = tmp_path / "trials.jsonl"
    events = [*trial(1, 10.0, 30.0, 18.0), *trial(2, 31.0, 50.0, 18.0)]
    path.write_bytes(b"".join(sealed(one) for one in events))
    (tmp_path / "search.json").write_text('{"data": {"train_images": 800}}')
    found = shares(tmp_path)
    assert found["validation"] == pytest.approx(2 / 36)
    assert found["images_a_second"] == pytest.approx(2 * 800 / 40)
    assert found["ended"] - found["began"] == 0.0
    assert found["steps"] == pytest.approx(36 / 40)
    assert found["trial"] == pytest.approx(39 / 40)
    assert found["fixed_seconds"] == pytest.approx(1.5)
    assert found["gap_seconds"] == pytest.approx(0.5)
    assert found["trials_an_hour"] == pytest.approx(180)


def test_the_page_gets_its_part_and_keeps_the_rest():
    page = "before\n<!-- cpu -->\nold\n<!-- /cpu -->\nbetween\n<!-- cuda -->\n<!-- /cuda -->\n"
    new = replaced(page, "cuda", "figures")
    assert new == page.replace("<!-- cuda -->\n", "<!-- cuda -->\n\nfigures\n")
    with pytest.raises(ValueError, match="rocm"):
        replaced(page, "rocm", "")


def turns(*rates, validation=0.0):
    return [Speed(rate, 2 * rate, validation) for rate in rates]


def test_the_fastest_of_our_ways_is_judged_turn_by_turn_against_the_fastest_plain_ones():
    found = train_throughput.judged(
        {
            "ours": turns(4.0, 8.0, 4.0),
            "ours, 2 at once": turns(6.0, 9.0, 6.0, validation=0.25),
            "ours, reference": turns(90.0, 90.0, 90.0),
            "plain": turns(1.0, 1.0, 1.0),
            "plain fp16": turns(2.0, 1.0, 3.0),
            "plain, no data": turns(3.0, 3.0, 3.0),
        },
        most=12.0,
    )
    del found["rates"], found["frugality"]
    assert found == {
        "best": "ours, 2 at once",
        "against_plain": 3.0,
        "against_no_data": 2.0,
        "cpu_against_plain": 3.0,
        "share": 0.5,
        "validation": 0.25,
    }


def test_what_was_not_measured_is_an_empty_cell_and_no_number():
    found = train_throughput.judged({"ours": turns(4.0)}, most=12.0)
    assert found["share"] == pytest.approx(1 / 3)
    assert isnan(found["against_plain"])
    assert isnan(found["against_no_data"])
    bounds = {"operations_seconds": 1.0, "bytes_seconds": 2.0}
    result = {"width": 16, "point": "x", "batch_size": 8, **bounds, **found}
    row = train_throughput.row(result, ["ours", "plain"])
    assert row == "| 16 | x | 8 | 4 |  |  |  |  | 0 % | 33 % | bytes |"
    assert isnan(train_throughput.judged({}, most=12.0)["share"])


def test_figures_of_a_width_go_from_the_worst_network_to_the_best():
    def result(point, width, ratio, share):
        figures = {"against_plain": ratio, "against_no_data": ratio - 1, "share": share}
        return {"point": point, "width": width, "batch_size": 128, **figures}

    found = performance.speeds([result("nexception", 64, 2.5, 0.34), result("xception", 64, 2.04, 0.4)])
    assert found == {
        "against the plain loop (a), `small` width, batch 128": "2.0 to 2.5 times",
        "against the plain loop (b), `small` width, batch 128": "1.0 to 1.5 times",
        "share of the tighter roofline, NEXcepTion, `small` width, batch 128": "34 %",
    }


def test_every_width_is_trained():
    parts = performance.trainings().values()
    assert {width for part in parts for width in part.widths} == {16, 64, 512}
