from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.util.errors import UserError
from nas.util.quantities import (
    counted,
    format_count,
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("72h", 259_200),
        ("90m", 5_400),
        ("1h30m", 5_400),
        ("3d", 259_200),
        ("45s", 45),
        ("1.5h", 5_400),
        (" 2H ", 7_200),
    ],
)
def test_durations_people_write(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "72", "h", "-1h", "0h", "0s", "1h1h", "30m1h", "1e3h", "nan", "inf", "1h foo", "99999999d", "１h"],
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="^budget="):
        parse_duration(text)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(UserError):  # anything else is a bug
            assert parse(text) >= 0


@given(st.integers(1, 10**9))
def test_what_is_written_reads_back_nearly(seconds: int) -> None:
    written = format_duration(seconds).replace(" ", "")
    assert parse_duration(written) == pytest.approx(seconds, rel=0.05, abs=0.5)  # one hour in 24


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (0.03, "30ms"),
        (4.21, "4.2s"),
        (59.7, "1m 00s"),
        (125, "2m 05s"),
        (5_400, "1h 30m"),
        (270_000, "3d 03h"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 2 * 10**10), ("500MB", 5 * 10**8), ("1.5 TB", 15 * 10**11), ("7", 7), ("2k", 2000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_counts_and_sizes_are_written_for_people() -> None:
    assert [format_count(n) for n in (0, 60_100, 9_850_000, 424e6, 8.39e9)] == [
        "0",
        "60.1 k",
        "9.85 M",
        "424 M",
        "8.39 G",
    ]
    assert [format_size(n) for n in (12, 1_400_000_000)] == ["12 B", "1.4 GB"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("4.5G", 4.5e9), ("600m", 6e8), ("1000", 1000), ("2 K", 2000), ("1E9", 1e9), ("1.5e+3k", 1.5e6)],
)
def test_counts_people_write(text: str, value: float) -> None:
    assert parse_count(text, "match_macs") == value


@pytest.mark.parametrize(
    "text", ["", "G", "-1G", "0", "0E9", "4,5G", "4.5GB", "nan", "1E-3", "1E999", "\u0663"]
)
def test_what_is_no_count_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="match_macs.*not a number above 0; write for example 600M or 4.5G"):
        parse_count(text, "match_macs")


@pytest.mark.parametrize(
    ("number", "noun", "plural", "text"),
    [
        (0, "epoch", "", "0 epochs"),
        (1, "epoch", "", "1 epoch"),
        (3000, "epoch", "", "3,000 epochs"),
        (1, "class", "classes", "1 class"),
        (2, "class", "classes", "2 classes"),
    ],
)
def test_a_number_agrees_with_its_noun(number: int, noun: str, plural: str, text: str) -> None:
    assert counted(number, noun, plural) == text
