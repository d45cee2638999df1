"""Whether records still arrive: each kind of touchpoint, and new leads, by week."""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from data.times import DAY, HOUR, render_instant
from features.as_of import Tables
from monitoring.evidence import Feed, Freshness
from monitoring.window import Window

BACK = 26
"""Weeks before the window that say what is usual."""
LEAST = 20
"""Records a week below which a feed is too thin to be watched."""


def feeds_of(tables: Tables, window: Window) -> tuple[Feed, ...]:
    """New leads and each touchpoint kind in the window against the weeks before; none in row time.

    A record counts in the week it happened in when it was known by that
    week's end: late records are late in every week alike.
    """
    if window.row_time:
        return ()
    touchpoints = tables["touchpoints"]
    counted = ibis.union(
        _by_week(touchpoints.mutate(name=touchpoints.kind), window),
        _by_week(tables["leads"].mutate(name=ibis.literal("new leads")), window),
    ).to_pandas()
    return tuple(feed for name, weeks in counted.groupby("name") if (feed := _feed(str(name), weeks, window)))


def freshness_of(tables: Tables, window: Window, timezone: str) -> Freshness | None:
    """How long no touchpoint and no new lead has been known at the window's end; None in row time or without any."""
    if window.row_time:
        return None
    since = window.end - (window.weeks + BACK) * window.step
    known = [_instants(tables[name], since, window.end) for name in ("touchpoints", "leads")]
    instants = np.unique(np.concatenate(known))
    if not len(instants):
        return None
    silences = np.diff(instants)
    return Freshness(
        silent_days=float(window.end - instants[-1]) / DAY,
        usual=float(silences.max()) / DAY if len(silences) else 0.0,
        newest=render_instant(int(instants[-1]), timezone),
    )


def _instants(records: Table, since: int, until: int) -> np.ndarray:
    """The last instant of each hour in which something happened, by what was known at `until`."""
    known = records.filter((records.occurred_at >= since) & (records.occurred_at < until))
    known = known.filter(known.recorded_at < until)
    hours = known.group_by(hour=(known.occurred_at // HOUR)).aggregate(last=known.occurred_at.max())
    return hours.to_pandas()["last"].to_numpy(dtype=np.int64)


def _by_week(records: Table, window: Window) -> Table:
    age = window.end - 1 - records.occurred_at
    week = (age // window.step).cast("int64")
    known = records.mutate(week=week).filter(
        (records.occurred_at < window.end) & (records.recorded_at < window.end - week * window.step)
    )
    recent = known.filter(known.week < window.weeks + BACK)
    return recent.group_by("name", "week").aggregate(records=recent.count())


def _feed(name: str, counted: pd.DataFrame, window: Window) -> Feed | None:
    """None where the feed began inside the weeks before, or was always thin."""
    weeks = counted.set_index("week")["records"].reindex(range(window.weeks + BACK), fill_value=0)
    before = weeks.iloc[window.weeks :]
    begun = before[before.index <= before[before > 0].index.max()] if before.any() else before.iloc[:0]
    if len(begun) < 4 or begun.median() < LEAST:
        return None
    return Feed(name, float(weeks.iloc[: window.weeks].mean()), float(begun.min()), float(begun.max()))
