"""At which instants a lead is looked at: rows of (lead_id, cycle_id, cycle_start, as_of).

The cycle of a lead at *t* is its visible cycle (`occurred_at < t` and
`recorded_at < t`) with the greatest (occurred_at, cycle_id); it is open while
no terminal stage change of it is visible. So every row stands in exactly one
cycle, and rows are unique by (lead_id, as_of).

Instants never depend on the target. Weekly instants lie on Mondays 00:00 in
the company's time zone rather than on weeks since the cycle's start: all
leads of an account share them, account features are computed once for all of
them, and a Monday is when the list is read. The creation row covers the days
before a cycle's first Monday.
"""

from __future__ import annotations

import ibis
from ibis.expr.types import IntegerValue, Table

from data.company import Company
from data.people.merges import FOREVER
from data.tables import TERMINAL_STAGES
from data.times import WEEK
from features.calendars import mondays, week_number
from features.merged import LEAD_STANDING, Tables, through_merges

GRID_WEEKS = 52
"""A cycle stays on the weekly grid for this long after its start."""

ROW_COLUMNS = ("lead_id", "cycle_id", "cycle_start", "as_of")


def training_rows(tables: Tables, company: Company, *, as_of: int, grid_weeks: int = GRID_WEEKS) -> Table:
    """Every (cycle, instant) before `as_of` at which an open cycle is looked at.

    Instants: one microsecond after the cycle's opening or any non-terminal
    stage change was recorded, and the Mondays up to `grid_weeks` weeks after
    the cycle's start. In row time: one row a lead, right after its creation.
    """
    if company.time == "row":
        return creation_rows(tables, as_of=as_of - 1)
    spans = cycle_spans(tables)
    rows = ibis.union(_rows_after_changes(tables, spans), _rows_on_grid(spans, company, as_of, grid_weeks))
    return rows.filter(rows.as_of < as_of).distinct()


def open_rows(tables: Tables, *, as_of: int) -> Table:
    """One row a lead whose current cycle is open at `as_of`."""
    spans = cycle_spans(tables)
    return _stand(spans.filter((spans.seen < as_of) & (spans.open_until >= as_of)), as_of)


def known_rows(tables: Tables, *, as_of: int) -> Table:
    """One row a lead known at `as_of`, its current cycle open or not."""
    spans = cycle_spans(tables)
    return _stand(spans.filter((spans.seen < as_of) & (spans.current_until >= as_of)), as_of)


def creation_rows(tables: Tables, *, created_from: int | None = None, as_of: int | None = None) -> Table:
    """Each lead as it was known one microsecond after its creation was recorded.

    Leads created (`occurred_at`) at or after `created_from`; rows standing at
    or before `as_of`, that is leads whose creation is visible then.
    """
    leads = tables["leads"]
    born = leads.select("lead_id", created=leads.occurred_at, as_of=_seen(leads) + 1)
    if created_from is not None:
        born = born.filter(born.created >= created_from)
    if as_of is not None:
        born = born.filter(born.as_of <= as_of)
    spans = cycle_spans(tables)
    at = spans.join(born, "lead_id").filter(lambda t: (t.seen < t.as_of) & (t.current_until >= t.as_of))
    return at.select(*ROW_COLUMNS).distinct()


def cycle_spans(tables: Tables) -> Table:
    """When each cycle is what is known of its lead.

    One row a cycle: lead_id, cycle_id, cycle_start, `seen` (visible from seen
    + 1 on), `current_until` (the last instant at which no later cycle is
    visible) and `open_until` (likewise, nor a terminal stage change). A lead
    that is merged into another is not looked at any more: where that is taken
    back, its cycles have one row for each time it stands.
    """
    cycles = tables["lead_cycles"]
    cycles = cycles.select("lead_id", "cycle_id", "opened_by", cycle_start=cycles.occurred_at, seen=_seen(cycles))
    spans = cycles.left_join(_superseded(cycles), "cycle_id").drop("cycle_id_right")
    spans = spans.left_join(_closed(cycles, tables["stage_changes"]), "cycle_id").drop("cycle_id_right")
    current = spans.superseded_at.fill_null(FOREVER)
    spans = spans.select(
        "lead_id",
        "cycle_id",
        "cycle_start",
        "seen",
        current_until=current,
        open_until=ibis.least(current, spans.closed_at.fill_null(FOREVER)),
    )
    return _while_standing(spans, through_merges(tables).get(LEAD_STANDING))


def _while_standing(spans: Table, standing: Table | None) -> Table:
    if standing is None:
        return spans
    never_merged = spans.anti_join(standing, "lead_id")
    merged = spans.join(standing, "lead_id")
    merged = merged.mutate(
        seen=ibis.greatest(merged.seen, merged.after),
        current_until=ibis.least(merged.current_until, merged.until),
        open_until=ibis.least(merged.open_until, merged.until),
    )
    return ibis.union(never_merged, merged.filter(merged.seen < merged.until).select(*spans.columns))


def _superseded(cycles: Table) -> Table:
    later = cycles.select("lead_id", later_id="cycle_id", later_start="cycle_start", later_seen="seen")
    pairs = cycles.join(later, "lead_id").filter(
        lambda t: (t.later_start > t.cycle_start) | ((t.later_start == t.cycle_start) & (t.later_id > t.cycle_id))
    )
    return pairs.group_by("cycle_id").aggregate(superseded_at=pairs.later_seen.min())


def _closed(cycles: Table, stages: Table) -> Table:
    """When the first terminal stage change of each cycle becomes visible."""
    ends = stages.filter(stages.stage.isin(TERMINAL_STAGES))
    ends = ends.select("lead_id", ended=ends.occurred_at, end_seen=_seen(ends))
    pairs = cycles.join(ends, "lead_id").filter(lambda t: belongs(t.ended, t.cycle_start, t.opened_by == "recycled"))
    return pairs.group_by("cycle_id").aggregate(closed_at=pairs.end_seen.min())


def belongs(
    ended: IntegerValue, cycle_start: IntegerValue, recycled: ibis.expr.types.BooleanValue
) -> ibis.expr.types.BooleanValue:
    """Whether a terminal stage change belongs to a cycle (or a later one).

    At the very instant of recycling it ends the cycle before: sources that
    know only days date "lost" and "back to nurture" alike.
    """
    return (ended > cycle_start) | ((ended == cycle_start) & ~recycled)


def _rows_after_changes(tables: Tables, spans: Table) -> Table:
    cycles, stages = tables["lead_cycles"], tables["stage_changes"]
    stages = stages.filter(stages.stage.notin(TERMINAL_STAGES))
    instants = ibis.union(
        cycles.select("lead_id", as_of=_seen(cycles) + 1),
        stages.select("lead_id", as_of=_seen(stages) + 1),
    ).distinct()
    at = spans.join(instants, "lead_id").filter(lambda t: (t.seen < t.as_of) & (t.open_until >= t.as_of))
    return at.select(*ROW_COLUMNS)


def _rows_on_grid(spans: Table, company: Company, as_of: int, grid_weeks: int) -> Table:
    until = ibis.least(spans.open_until, spans.cycle_start + grid_weeks * WEEK, ibis.literal(as_of, "int64"))
    spans = spans.filter(spans.seen < as_of).mutate(until=until)
    weeks = ibis.range(week_number(spans.cycle_start), week_number(spans.until) + 1)
    steps = spans.select("lead_id", "cycle_id", "cycle_start", "seen", "until", week=weeks.unnest())
    grid = ibis.memtable(
        [{"week": week, "as_of": at} for week, at in mondays(company.timezone, as_of)],
        schema={"week": "int64", "as_of": "int64"},
    )
    at = steps.join(grid, "week").filter(lambda t: (t.as_of > t.seen) & (t.as_of <= t.until))
    return at.select(*ROW_COLUMNS)


def _stand(spans: Table, as_of: int) -> Table:
    return spans.select("lead_id", "cycle_id", "cycle_start", as_of=ibis.literal(as_of, "int64"))


def _seen(records: Table) -> IntegerValue:
    """A record is visible at every instant after this one."""
    return ibis.greatest(records.occurred_at, records.recorded_at)
