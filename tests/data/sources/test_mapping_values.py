"""Times, figures and words as sources write them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sources.figures import numbers
from data.sources.instants import instants
from data.sources.sections import FileSection
from data.sources.values import Frame
from data.times import instant

TOKYO = ZoneInfo("Asia/Tokyo")
FIRST_OF_APRIL = instant(datetime(2026, 4, 1, tzinfo=TOKYO))
NINE_OH_FIVE = instant(datetime(2026, 4, 1, 9, 5, tzinfo=TOKYO))


@pytest.mark.parametrize(
    "text",
    ["2026-04-01", "2026/4/1", "2026/04/01", "2026.4.1", "2026年4月1日", "令和8年4月1日", "R8.4.1", "R8/4/1",
     "２０２６年４月１日", "2026年 4月 1日", "2026年4月1日(水)", "20260401", "2026-04-01 00:00", 
     "2026-03-31T15:00:00Z"],
)  # fmt: skip
def test_one_day_in_many_spellings(at, text: str) -> None:
    assert at(text) == [FIRST_OF_APRIL]


@pytest.mark.parametrize(
    "text",
    ["2026-04-01 09:05", "2026-04-01T09:05:00", "2026-04-01 09:05:00.000", "2026/4/1 9:05", "2026年4月1日 9時5分",
     "2026年4月1日 午前9時5分", "2026-04-01T00:05:00+00:00", "2026-04-01 00:05:00 UTC", "2026-04-01T09:05:00+0900"],
)  # fmt: skip
def test_one_moment_in_many_spellings(at, text: str) -> None:
    assert at(text) == [NINE_OH_FIVE]


@pytest.mark.parametrize("text", ["1/4/2026", "01-04-2026", "2026-13-01", "2026年2月30日", "soon", "45000", "2026"])
def test_what_could_mean_two_things_or_none_is_not_guessed(at, text: str) -> None:
    assert at(text) == [None]


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("01/04/2026", "%d/%m/%Y", FIRST_OF_APRIL),
        ("04/01/2026", "%m/%d/%Y", FIRST_OF_APRIL),
        ("01/04/2026 09:05", "%d/%m/%Y %H:%M", NINE_OH_FIVE),
        ("2026-04-01T09:05+0900", "%Y-%m-%dT%H:%M%z", NINE_OH_FIVE),
        (str(NINE_OH_FIVE // 1_000_000), "epoch_s", NINE_OH_FIVE),
        (str(NINE_OH_FIVE // 1_000), "epoch_ms", NINE_OH_FIVE),
        ("2026-04-01", "%d/%m/%Y", None),
        ("4/1 or so", "epoch_s", None),
    ],
)
def test_a_declared_form_is_read_and_nothing_else(at, text: str, form: str, expected: int | None) -> None:
    assert at(text, form=form) == [expected]


@given(st.integers(7_000, 32_000), st.integers(0, 86_399), st.sampled_from(["UTC", "Asia/Tokyo", "Asia/Kolkata"]))
def test_iso_times_agree_with_the_standard_library(day: int, second: int, zone: str) -> None:
    moment = datetime.fromtimestamp(day * 86_400 + second, tz=ZoneInfo(zone))
    written = moment.replace(tzinfo=None).isoformat(" ")
    assert instants(pa.array([written]), timezone=zone).to_pylist() == [instant(moment)]


def test_a_repeated_hour_is_its_first_and_a_column_may_mix_forms(at) -> None:
    first = instant(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert at("2026-10-25 02:30", zone="Europe/Berlin") == [first]
    assert at("2026-04-01", None, "2026年4月1日", "x", "2026-03-31T15:00:00Z") == [
        FIRST_OF_APRIL, None, FIRST_OF_APRIL, None, FIRST_OF_APRIL,
    ]  # fmt: skip


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_times_keep_their_meaning(unit: str) -> None:
    naive = pa.array(["2026-04-01 09:05:00"]).cast(pa.timestamp(unit))
    zoned = pa.array(["2026-04-01 00:05:00Z"]).cast(pa.timestamp(unit, "UTC"))
    assert instants(naive, timezone="Asia/Tokyo").to_pylist() == [NINE_OH_FIVE]
    assert instants(zoned, timezone="Asia/Tokyo").to_pylist() == [NINE_OH_FIVE]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12), ("-1.5", -1.5), ("+3", 3), (".5", 0.5), ("1e3", 1000), ("1,234", 1234), ("1,234,567.5", 1234567.5),
        ("¥1,200,000", 1_200_000), ("￥1200", 1200), ("1200円", 1200), ("120万円", 1_200_000),
        ("1億2,000万円", 120_000_000),
        ("1.5億", 150_000_000), ("3万5千", 35_000), ("１２３", 123), ("△5", -5), ("▲1,000円", -1000), ("(3)", -3),
        ("12.5%", 12.5), ("500名", 500), ("$1,000", 1000),
        ("1,5", None), ("12,34", None), ("1,23,456", None), ("abc", None), ("nan", None), ("inf", None), ("0x10", None),
        ("千万", None), ("1-2", None), ("10万億", None),
    ],
)  # fmt: skip
def test_figures(text: str, expected: float | None) -> None:
    assert numbers(pa.array([text])).to_pylist() == [expected]


def test_a_decimal_comma_is_declared() -> None:
    assert numbers(pa.array(["1.234,5", "7"]), decimal=",").to_pylist() == [1234.5, 7]


@given(st.integers(-(10**12), 10**12))
def test_grouped_integers_read_back(figure: int) -> None:
    assert numbers(pa.array([f"{figure:,}", f"¥{figure:,}", f"{figure}"])).to_pylist() == [figure] * 3


def frame(values: list[object], missing: tuple[str, ...] = (), file: dict[str, object] | None = None) -> Frame:
    rows = pa.table({"x": pa.array(values)})
    section = FileSection.model_validate({"path": "x.csv", **(file or {})})
    return Frame(rows, pa.array(range(1, len(values) + 1)), section, "UTC", missing)


@pytest.mark.parametrize(
    ("everywhere", "in_file", "in_column", "expected"),
    [
        ((), None, None, ["a", "unknown", "Select", None, None]),
        (("unknown",), None, None, ["a", None, "Select", None, None]),
        (("unknown",), ["Select"], None, ["a", "unknown", None, None, None]),
        (("unknown",), ["Select"], ("a",), [None, "unknown", "Select", None, None]),
        (("unknown",), None, (), ["a", "unknown", "Select", None, None]),
    ],
)
def test_the_nearest_list_says_what_is_missing_and_empty_always_is(everywhere, in_file, in_column, expected) -> None:
    read = frame([" a ", "unknown", "Select", "", None], everywhere, {"missing": in_file} if in_file else {})
    assert read.present("x", in_column).to_pylist() == expected


def test_a_missing_figure_is_one_however_it_is_written() -> None:
    assert frame(["999", "999.0", "99"]).number_in("x", ("999",), None).to_pylist() == [None, None, 99]
    assert frame([999, 3]).number_in("x", ("999",), None).to_pylist() == [None, 3]


def test_typed_columns_become_plain_text() -> None:
    assert frame([1.0, 2.5, None]).present("x").to_pylist() == [1.0, 2.5, None]
    from data.sources.values import as_text

    assert as_text(pa.array([1.0, 2.5, None, float("inf")])).to_pylist() == ["1", "2.5", None, "inf"]
    assert as_text(pa.array([True, None])).to_pylist() == ["true", None]
