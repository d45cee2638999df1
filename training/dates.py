"""Instants as people of the company read them: its time zone, or row numbers where there are no dates."""

from __future__ import annotations

from data.times import render_instant, row_number
from training.rows import History


def when(history: History, at: int) -> str:
    """An instant in the company's time zone; in row time the number of rows known then."""
    company = history.snapshot.company
    if company.time == "row":
        return f"row {min(row_number(at), len(history.rows))}"
    return render_instant(at, company.timezone)


def day(history: History, at: int) -> str:
    """As `when`, to the day: where slices begin and end."""
    return when(history, at) if history.snapshot.company.time == "row" else when(history, at)[:10]
