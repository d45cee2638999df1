"""Features over the calendar, and local time for the others, by joins with tables computed beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from data.company import Company
from data.times import DAY
from features.as_of import Tables
from features.batch_visible import KEYS
from features.calendars import hour, local_days, offset_days, offsets, weekday
from features.declaration import Declaration


def calendar_part(
    tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company
) -> tuple[Table | None, dict[str, Value]]:
    """Local time of creation and of as_of by row, and each feature over them."""
    wanted = [d for d in declarations if d.kind == "calendar"]
    if not wanted:
        return None, {}
    columns = with_local_time(rows.select(*KEYS, "created"), "created", "created_local", company.timezone)
    columns = with_local_time(columns, "as_of", "as_of_local", company.timezone)
    columns = columns.mutate(created_day=columns.created_local // DAY, as_of_day=columns.as_of_local // DAY)
    days = _local_days(company.fiscal_year_start)
    columns = columns.left_join(days.select(created_day="day", created_month="month"), "created_day")
    columns = columns.drop("created_day_right").left_join(
        days.select(as_of_day="day", to_quarter_end="left"), "as_of_day"
    )
    columns = columns.select(*KEYS, "created_local", "created_month", "to_quarter_end")
    values: dict[str, Value] = {
        "creation_hour": hour(_.created_local),
        "creation_weekday": weekday(_.created_local),
        "creation_month": _.created_month,
        "days_to_quarter_end": _.to_quarter_end,
    }
    return columns, {d.name: values[d.of].cast("float64") for d in wanted}


def with_local_time(table: Table, column: str, name: str, timezone: str) -> Table:
    """`table` with `name`: the instants of `column` on the company's wall clock, counted as if they were UTC.

    A time zone that never changed its offset since 1970 costs an addition, any other one join by day.
    """
    changes = offsets(timezone)
    if len(changes) == 1:
        return table.mutate(**{name: table[column] + changes[0][1]})
    joined = table.mutate(utc_day=table[column] // DAY).left_join(_offset_days(timezone), "utc_day")
    offset = ibis.ifelse(joined[column] < joined.clock_change, joined.clock_before, joined.clock_after)
    joined = joined.mutate(**{name: joined[column] + offset})
    return joined.select(*table.columns, name)


@cache
def _offset_days(timezone: str) -> Table:
    return _constant(offset_days(timezone), ("utc_day", "clock_change", "clock_before", "clock_after"))


@cache
def _local_days(fiscal_year_start: int) -> Table:
    return _constant(local_days(fiscal_year_start), ("day", "month", "left"))


def _constant(rows: Sequence[tuple[int, ...]], names: tuple[str, ...]) -> Table:
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return ibis.memtable(columns, schema=dict.fromkeys(names, "int64"))
