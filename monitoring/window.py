"""What is watched and what it is held against: instants, rows, features and probabilities.

A window ends at midnight of the company's time zone (so that a day has one
run) and is made of whole weeks counted back from there. Its rows stand at the
end of each of its weeks: one per open lead and week, cycles no older than the
training grid keeps them. The reference is the same kind of rows before the
champion was trained, on the same weekday; "earlier" is the window just before.

In row time a window is a number of rows, each looked at as of its creation,
and the reference is cut into blocks of that number in place of weeks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from data.company import Company
from data.errors import DataRefused, UsageError
from data.times import ROW_STEP, WEEK, parse_duration, render_duration, render_instant, row_number
from features.calendars import local

REFERENCE_WEEKS = 26
"""Weeks of the reference, at most."""
DEFAULT_WINDOW, DEFAULT_ROW_WINDOW = "7d", "row:2000"

_ROWS = re.compile(r"^row:(\d+)$")
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Window:
    """`weeks` steps of `step` microseconds that end at `end`; rows stand in (end − weeks × step, end]."""

    end: int
    weeks: int
    step: int
    row_time: bool

    @property
    def start(self) -> int:
        return self.end - self.weeks * self.step

    def instants(self) -> tuple[int, ...]:
        """Ends of its weeks, newest first."""
        return tuple(self.end - k * self.step for k in range(self.weeks))

    def earlier(self) -> Window:
        """The same window just before."""
        return Window(self.start, self.weeks, self.step, self.row_time)

    def reference_instants(self, trained_as_of: int, *, weeks: int = REFERENCE_WEEKS) -> tuple[int, ...]:
        """Ends of the reference's weeks, newest first: before the window and not after training."""
        first = max(self.weeks, -((trained_as_of - self.end) // self.step))
        return tuple(self.end - k * self.step for k in range(first, first + weeks))

    def text(self, timezone: str) -> str:
        if self.row_time:
            return f"rows {row_number(self.start) + 1}–{row_number(self.end)}"
        return f"{render_instant(self.start, timezone)[:10]} – {render_instant(self.end, timezone)[:10]}"


def window_at(text: str | None, *, as_of: int, trained_as_of: int, company: Company) -> Window:
    """The window asked for, ending at or just before `as_of`. Raises UsageError, DataRefused."""
    row_time = company.time == "row"
    window = _row_window(text, as_of) if row_time else _week_window(text, as_of, company)
    if as_of < trained_as_of:
        raise DataRefused(
            "monitor",
            f"as of {_said(as_of, company)}, before the champion was trained ({_said(trained_as_of, company)})",
            expected="a time at or after training: the clock or --as-of runs backwards",
            remedy="correct the clock, or give a later --as-of",
        )
    return window


def _week_window(text: str | None, as_of: int, company: Company) -> Window:
    length = parse_duration(text or DEFAULT_WINDOW)
    if length % WEEK or not length:
        raise UsageError("--window", repr(text), expected="whole weeks, such as 7d or 28d")
    into_the_day = local(as_of, company.timezone) % _DAY
    return Window(as_of - into_the_day, length // WEEK, WEEK, row_time=False)


def _row_window(text: str | None, as_of: int) -> Window:
    match = _ROWS.match(text or DEFAULT_ROW_WINDOW)
    if match is None or not int(match[1]):
        raise UsageError("--window", repr(text), expected="a number of rows such as row:2000: these data have no dates")
    return Window(as_of, 1, int(match[1]) * ROW_STEP, row_time=True)


def _said(at: int, company: Company) -> str:
    return f"row:{row_number(at)}" if company.time == "row" else render_instant(at, company.timezone)


def window_text(window: Window) -> str:
    """As `--window` takes it."""
    return f"row:{window.step // ROW_STEP}" if window.row_time else render_duration(window.weeks * window.step)
