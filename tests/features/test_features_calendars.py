"""Local time in whole numbers, against the standard library."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from features import calendars

ZONES = ("Asia/Tokyo", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
FROM, UNTIL = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1990, 2040))


def wall_clock(at: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at // 1_000_000, tz=ZoneInfo(zone)).replace(microsecond=at % 1_000_000)


@pytest.mark.parametrize("zone", ZONES)
def test_local_time_is_the_wall_clock(zone: str) -> None:
    rng = random.Random(zone)
    edges = [at + step for at, _offset in calendars.offsets(zone)[1:] for step in (-1, 0, 1)]
    instants = [rng.randrange(FROM * 1_000_000, UNTIL * 1_000_000) for _ in range(300)] + edges[:150]
    days = {day: (change, before, after) for day, change, before, after in calendars.offset_days(zone)}
    for at in instants:
        moment = wall_clock(at, zone)
        local_at = calendars.local(at, zone)
        assert datetime(1970, 1, 1) + timedelta(microseconds=local_at) == moment.replace(tzinfo=None)  # noqa: DTZ001
        assert calendars.hour(local_at) == moment.hour
        assert calendars.weekday(local_at) == moment.weekday()
        assert calendars.month(local_at) == moment.month
        change, before, after = days[at // 86_400_000_000]
        assert at + (before if at < change else after) == local_at


@pytest.mark.parametrize("fiscal_year_start", range(1, 13))
def test_days_to_the_end_of_the_fiscal_quarter(fiscal_year_start: int) -> None:
    table = {day: left for day, _month, left in calendars.local_days(fiscal_year_start)}
    starts = {(fiscal_year_start - 1 + 3 * quarter) % 12 + 1 for quarter in range(4)}
    day = date(2023, 12, 1)
    while day < date(2025, 3, 1):
        following = day + timedelta(days=1)
        while not (following.day == 1 and following.month in starts):
            following += timedelta(days=1)
        number = (day - date(1970, 1, 1)).days
        assert calendars.days_to_quarter_end(number * 86_400_000_000, fiscal_year_start) == (following - day).days
        assert table[number] == (following - day).days
        day += timedelta(days=1)


def test_mondays_are_numbered_by_week() -> None:
    for zone in ZONES:
        grid = calendars.mondays(zone, FROM * 1_000_000)
        assert [week for week, _at in grid] == list(range(len(grid)))
        assert all(wall_clock(at, zone).weekday() == 0 and wall_clock(at, zone).hour == 0 for _week, at in grid[-60:])
