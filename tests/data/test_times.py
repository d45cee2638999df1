"""Instants, durations and row time, each way and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import times
from data.errors import UsageError


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("1970-01-01T00:00:00+00:00", "UTC", 0),
        ("1970-01-01", "UTC", 0),
        ("1970-01-02", "Asia/Tokyo", 86_400_000_000 - 9 * 3_600_000_000),
        ("1970-01-01T09:00:00+09:00", "UTC", 0),
        ("2026-04-01T00:00:00.000001Z", "UTC", 1_775_001_600_000_001),
        ("1969-12-31T23:59:59.999999Z", "UTC", -1),
    ],
)
def test_parse_instant(text: str, zone: str, expected: int) -> None:
    assert times.parse_instant(text, zone) == expected


@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(-timedelta(hours=3, minutes=30))])
    )
)
def test_render_is_the_inverse_of_parse(moment: datetime) -> None:
    at = times.instant(moment)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at) == moment
    if datetime(2, 1, 1, tzinfo=UTC) < moment < datetime(9998, 1, 1, tzinfo=UTC):
        assert times.parse_instant(times.render_instant(at, "Asia/Tokyo")) == at


@pytest.mark.parametrize("text", ["", "soon", "32.13.2026", "2026-02-30", "row:", "row:-1", "row:x"])
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="time"):
        times.parse_instant(text)


def test_an_instant_needs_a_zone() -> None:
    with pytest.raises(UsageError, match="zone"):
        times.instant(datetime(2026, 1, 1))  # noqa: DTZ001 - the missing zone is what is tested


@pytest.mark.parametrize(
    ("text", "expected"), [("1h", times.HOUR), ("30d", 30 * times.DAY), ("8w", 56 * times.DAY), ("0d", 0)]
)
def test_parse_duration(text: str, expected: int) -> None:
    assert times.parse_duration(text) == expected
    assert times.parse_duration(times.render_duration(expected)) == expected


@pytest.mark.parametrize("text", ["", "d", "-1d", "1.5d", "90", "90 days", "1m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        times.parse_duration(text)


@given(st.integers(min_value=0, max_value=10_000_000))
def test_row_time_knows_exactly_the_first_rows(known: int) -> None:
    as_of = times.parse_instant(f"row:{known}")
    last, following = known * times.ROW_STEP, (known + 1) * times.ROW_STEP
    assert last + times.ROW_OUTCOME_DELAY < as_of <= following
    assert times.row_number(as_of) == known


def test_in_row_time_an_outcome_falls_in_the_window_of_its_own_row_only() -> None:
    created = 5 * times.ROW_STEP
    as_of, outcome = created + 1, created + times.ROW_OUTCOME_DELAY
    assert as_of <= outcome < as_of + times.ROW_HORIZON < created + times.ROW_STEP


@given(st.integers(min_value=1, max_value=10_000_000))
def test_a_row_time_is_told_by_the_last_row_seen(known: int) -> None:
    """As asked for, it reads back; right after a row's creation it is that row, whose outcome is not out yet."""
    asked = times.parse_instant(f"row:{known}")
    assert times.parse_instant(times.render_row(asked)) == asked
    assert times.render_row(known * times.ROW_STEP + 1) == f"row:{known}"
    assert times.render_row(known * times.ROW_STEP) == f"row:{known - 1}", "its own instant does not see it yet"
