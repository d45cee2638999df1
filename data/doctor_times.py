"""Examines times: zones, records out of order, histories that begin late."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from data.doctor import Finding, Ward, percent
from data.times import DAY, HOUR, render_instant

NIGHT = 0.6
"""Share of the leads' own touchpoints between 22 and 6 o'clock from which the zone is doubted."""


def findings(ward: Ward, now: int) -> list[Finding]:
    if ward.leads.empty:
        step = "import some, or choose a later --as-of"
        return [Finding("refuse", "leads", "there are none at this as-of time", "", step)]
    facts = Finding("ok", "leads", "are there", _span(ward))
    return (
        [facts] if ward.by_row else [facts, *_zones(ward), *_order(ward), *_late_touchpoints(ward), *_future(ward, now)]
    )


def _span(ward: Ward) -> str:
    if ward.by_row:
        return f"{len(ward.leads):,} leads in file order"
    created = ward.leads["occurred_at"]
    return f"{len(ward.leads):,} leads created from {_day(ward, created.min())} to {_day(ward, created.max())}"


def _local_hours(ward: Ward, at: pd.Series) -> np.ndarray:
    stamps = pd.to_datetime(at, unit="us", utc=True).dt.tz_convert(ward.company.timezone)
    return stamps.dt.hour.to_numpy()


def _zones(ward: Ward) -> Iterator[Finding]:
    zone = ward.company.timezone
    created = ward.leads["occurred_at"]
    hours = _local_hours(ward, created)
    only_days = bool((created % HOUR == 0).all()) and len(np.unique(hours)) <= 2
    if only_days and len(created) > 20 and hours.max() > 1:
        what = f"all leads were created at {hours[0]}:00 in {zone}: dates of another time zone?"
        yield Finding("warn", "time zone", what, "", "correct timezone for these files in the mapping")
    elif only_days and len(created) > 20:
        yield Finding(
            "ok", "time zone", "creation times are whole days", "features of the hour of creation say nothing"
        )
    own = ward.touchpoints[ward.touchpoints["actor"] == "lead"]["occurred_at"]
    if len(own) >= 200:
        at_night = float(np.isin(_local_hours(ward, own), [22, 23, 0, 1, 2, 3, 4, 5]).mean())
        if at_night > NIGHT:
            what = f"{percent(at_night)} of the leads' own touchpoints lie between 22 and 6 o'clock in {zone}"
            yield Finding("warn", "time zone", what, "", "is it the zone of the files? correct timezone in the mapping")


def _order(ward: Ward) -> Iterator[Finding]:
    """Records known before they happened, and touchpoints before their lead."""
    early = int((ward.touchpoints["recorded_at"] < ward.touchpoints["occurred_at"]).sum())
    if early:
        what = f"{early:,} touchpoints were recorded before they happened (planned, or clocks that differ)"
        yield Finding("ok", "touchpoints", what, "they count only once both times have passed")
    created = ward.leads.set_index("lead_id")["occurred_at"]
    before = ward.touchpoints["occurred_at"] < ward.touchpoints["lead_id"].map(created) - DAY
    if len(before) and before.mean() > 0.2:
        what = f"{percent(float(before.mean()))} of touchpoints lie more than a day before their lead's creation"
        yield Finding("warn", "touchpoints", what, "", "is created really the first time the lead was known?")


def _late_touchpoints(ward: Ward) -> Iterator[Finding]:
    """A history of touchpoints that begins long after the leads: silence there means nothing."""
    if ward.touchpoints.empty or "touchpoints" in ward.company.history_from:
        return
    first, lead = ward.touchpoints["occurred_at"].min(), ward.leads["occurred_at"].min()
    if first - lead > 30 * DAY:
        evidence = f"first touchpoint {_day(ward, first)}, first lead {_day(ward, lead)}"
        step = f'declare company.history_from = {{ touchpoints = "{_day(ward, first)}" }}'
        yield Finding("warn", "touchpoints", "begin long after the first leads (left truncation)", evidence, step)


def _future(ward: Ward, now: int) -> Iterator[Finding]:
    if ward.as_of > now + DAY:
        evidence = f"as of {_day(ward, ward.as_of)}, today is {_day(ward, now)}"
        yield Finding("warn", "as-of time", "lies in the future: labels will look matured that are not", evidence)


def _day(ward: Ward, at: float) -> str:
    return render_instant(int(at), ward.company.timezone)[:10]
