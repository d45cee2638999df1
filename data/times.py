"""Instants as the project stores them: whole microseconds since 1970-01-01 UTC.

Integers compare, subtract and hash the same in Python, DuckDB, Spark, SQLite
and PostgreSQL; floating seconds and local timestamps do not. Text is read and
written only at the doors, by the two functions here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from data.errors import UsageError

MICROSECOND = 1
SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
WEEK = 7 * DAY

ROW_STEP = SECOND
"""In row time, row N (counted from 1) stands at the instant N × ROW_STEP."""
ROW_OUTCOME_DELAY = 2
"""In row time an outcome is known this many microseconds after its row, so it
lies after the as-of time of creation (+1) and before the next row."""
ROW_HORIZON = ROW_STEP // 2
"""In row time a target has no horizon of its own: this one ends before the next row."""

_DURATION = re.compile(r"^(\d+)\s*(h|d|w)$")
_ROW = re.compile(r"^row:(\d+)$")


def parse_duration(text: str) -> int:
    """Microseconds in "12h", "30d" or "8w"."""
    match = _DURATION.match(text.strip())
    if not match:
        raise UsageError("duration", repr(text), expected='a number and h, d or w, such as "90d"')
    return int(match[1]) * {"h": HOUR, "d": DAY, "w": WEEK}[match[2]]


def render_duration(duration: int) -> str:
    """The shortest of "…d" and "…h" that says a duration exactly."""
    return f"{duration // DAY}d" if duration % DAY == 0 else f"{duration / HOUR:g}h"


def parse_instant(text: str, timezone: str = "UTC") -> int:
    """Microseconds of an ISO date or time; one without an offset is in `timezone`.

    "row:N" is the instant at which exactly the first N rows are known.
    """
    if match := _ROW.match(text.strip()):
        return (int(match[1]) + 1) * ROW_STEP
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            "time", repr(text), expected='an ISO date or time such as 2026-04-01 or 2026-04-01T09:00+09:00, or "row:N"'
        ) from None
    return instant(moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone)))


def instant(moment: datetime) -> int:
    """Microseconds of an aware datetime."""
    if moment.tzinfo is None:
        raise UsageError("time", moment.isoformat(), expected="a time with its zone")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def render_instant(at: int, timezone: str = "UTC") -> str:
    """ISO 8601 with offset; the exact inverse of `parse_instant`."""
    seconds, micros = divmod(at, SECOND)
    return datetime.fromtimestamp(seconds, tz=ZoneInfo(timezone)).replace(microsecond=micros).isoformat()


def render_row(at: int) -> str:
    """In row time, which rows are seen as of `at`: "row:N", the N-th perhaps without its outcome yet."""
    return f"row:{max((at - 1) // ROW_STEP, 0)}"


def row_number(at: int) -> int:
    """In row time, how many rows are wholly known at `at`."""
    return max(at // ROW_STEP - 1, 0)
