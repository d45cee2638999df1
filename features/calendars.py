"""The company's calendar in whole numbers: local days, months and fiscal quarters from microseconds.

Batch may only use what every engine shares, so it joins tables that are
computed here: which offset a time zone had on a day, which month and which
distance to the quarter's end a local day has. Both cover 1970 to 2100.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from data.times import DAY, HOUR, SECOND, WEEK, instant

IntegerLike = TypeVar("IntegerLike", bound=Any)

FIRST_YEAR, LAST_YEAR = 1970, 2100

_LAST_DAY = (LAST_YEAR - FIRST_YEAR) * 1461 // 4

FIRST_MONDAY = 4 * DAY
"""1970-01-05."""


@cache
def offsets(timezone: str) -> tuple[tuple[int, int], ...]:
    """(from instant, microseconds east of UTC) by time, the first from the beginning of time."""
    zone = ZoneInfo(timezone)
    start, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST_YEAR, LAST_YEAR))
    changes = [(-(2**62), _offset(zone, start))]
    for day in range(start, end, 86_400):
        if _offset(zone, day + 86_400) != changes[-1][1]:
            moment = _change_between(zone, day, day + 86_400)
            changes.append((moment * SECOND, _offset(zone, moment)))
    return tuple(changes)


def _offset(zone: ZoneInfo, seconds: int) -> int:
    delta = datetime.fromtimestamp(seconds, tz=zone).utcoffset() or timedelta(0)
    return (delta.days * 86_400 + delta.seconds) * SECOND


def _change_between(zone: ZoneInfo, low: int, high: int) -> int:
    """The first second in (low, high] with another offset than at `low`."""
    before = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high


def offset_days(timezone: str) -> list[tuple[int, int, int, int]]:
    """(UTC day, instant of change, offset before it, offset from it on) for every day; most days change nothing."""
    changes = offsets(timezone)
    changing = {at // DAY: (at, changes[n][1], offset) for n, (at, offset) in enumerate(changes[1:])}
    rows, offset = [], changes[0][1]
    for day in range(_LAST_DAY):
        change, before, after = changing.get(day, (0, offset, offset))
        rows.append((day, change, before, after))
        offset = after
    return rows


def local_days(fiscal_year_start: int) -> list[tuple[int, int, int]]:
    """(local day, its month, whole days to the end of its fiscal quarter)."""
    return [(day, _month(day), _days_to_quarter_end(day, fiscal_year_start)) for day in range(_LAST_DAY)]


def local(at: int, timezone: str) -> int:
    """Microseconds on the company's wall clock, counted as if it were UTC."""
    changes = offsets(timezone)
    return at + changes[bisect_right(changes, (at, 2**62)) - 1][1]


def hour(local_at: IntegerLike) -> IntegerLike:
    return local_at // HOUR % 24


def weekday(local_at: IntegerLike) -> IntegerLike:
    """Monday is 0; 1970-01-01 was a Thursday."""
    return (local_at // DAY + 3) % 7


def week(local_at: IntegerLike) -> IntegerLike:
    """The number of the local week, Monday to Sunday; a whole number or a column of them."""
    return (local_at - FIRST_MONDAY) // WEEK


def month(local_at: int) -> int:
    return _month(local_at // DAY)


@lru_cache(maxsize=4096)
def _month(day: int) -> int:
    return _date(day).month


def days_to_quarter_end(local_at: int, fiscal_year_start: int) -> int:
    """Whole days from the local date to the first day of the next fiscal quarter (1–92)."""
    return _days_to_quarter_end(local_at // DAY, fiscal_year_start)


@lru_cache(maxsize=4096)
def _days_to_quarter_end(day: int, fiscal_year_start: int) -> int:
    today = _date(day)
    ahead = 3 - (today.month - fiscal_year_start) % 3
    months = today.year * 12 + today.month - 1 + ahead
    return (date(months // 12, months % 12 + 1, 1) - today).days


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)


@lru_cache(maxsize=64)
def mondays(timezone: str, until: int) -> tuple[tuple[int, int], ...]:
    """(week number, instant of Monday 00:00 in the company's time zone) from 1970 to just after `until`.

    The week number is that of the Monday's UTC-less date, so it differs from
    `instant // WEEK` by at most one.
    """
    zone = ZoneInfo(timezone)
    day = date(1970, 1, 5)
    grid: list[tuple[int, int]] = []
    while not grid or grid[-1][1] <= until:
        at = instant(datetime(day.year, day.month, day.day, tzinfo=zone))
        grid.append((week_number(at), at))
        day += timedelta(days=7)
    return tuple(grid)


def week_number(at: IntegerLike) -> IntegerLike:
    """The number of the Monday (counted from FIRST_MONDAY) nearest to `at`, a whole number or a column of them."""
    return (at - FIRST_MONDAY + WEEK // 2) // WEEK
