"""Which records are visible from which row, and which attribute values hold there."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
from ibis.expr.types import Table, Value

from data.people.merges import FOREVER
from features.merged import span_of

KEYS = ("lead_id", "as_of")
"""What makes a row of the feature table unique."""


def visible(records: Table, rows: Table, key: str | Sequence[str]) -> Table:
    """`rows` × the records read as the same `key` that occurred and were recorded before the row's as_of."""
    pairs = rows.join(records, key)
    seen = (pairs.occurred_at < pairs.as_of) & (pairs.recorded_at < pairs.as_of)
    return pairs.filter(seen & (pairs.after < pairs.as_of) & (pairs.as_of <= pairs.until) if span_of(records) else seen)


def with_lead(rows: Table, leads: Table) -> Table:
    """`rows` with `account_id` and `created` of the lead; both null where its creation is not visible."""
    facts = leads.select("lead_id", "account_id", "occurred_at", "recorded_at", *span_of(leads))
    facts = visible(facts, rows.select(*KEYS), "lead_id")
    facts = facts.select(*KEYS, "account_id", created=facts.occurred_at)
    return rows.left_join(facts, list(KEYS)).drop(*(f"{key}_right" for key in KEYS))


def current_values(attributes: Table, key: str) -> Table:
    """Every attribute value with the time it holds: it is the newest of its name at t where `seen` < t ≤ `until`.

    Grain: one row a (key, name, moment), values of one moment (occurred_at,
    recorded_at) read as their greatest text and their greatest number. So a
    row of the feature table meets each name at most once, however long its
    history, and nothing need be compared there.
    """
    group = [key, "name", *span_of(attributes)]
    several = attributes.group_by(*group).having(attributes.count() > 1).aggregate(values=attributes.count())
    counted = attributes.left_join(several, group).drop(*(f"{name}_right" for name in group))
    moments = counted.filter(counted.values.notnull()).group_by(*group, "occurred_at", "recorded_at")
    moments = moments.aggregate(text=counted.text.max(), number=counted.number.max())
    newest_first = [ibis.desc("occurred_at"), ibis.desc("recorded_at")]
    newer = ibis.window(group_by=group, order_by=newest_first, rows=(None, -1))
    replaced = _seen(moments).min().over(newer).fill_null(FOREVER)
    only = counted.filter(counted.values.isnull())
    return ibis.union(_lasting(only, key, ibis.literal(FOREVER, "int64")), _lasting(moments, key, replaced))


def _lasting(values: Table, key: str, replaced: Value) -> Table:
    until = ibis.least(replaced, values.until) if span_of(values) else replaced
    return values.select(key, "name", "text", "number", seen=_seen(values), until=until)


def _seen(records: Table) -> Value:
    """A record is visible at every instant after this one."""
    moments = (records.occurred_at, records.recorded_at)
    return ibis.greatest(*moments, records.after) if span_of(records) else ibis.greatest(*moments)


def holding(values: Table, rows: Table, key: str) -> Table:
    """`rows` × the `current_values` of the same `key` that hold at the row's as_of."""
    pairs = rows.join(values, key)
    return pairs.filter((pairs.seen < pairs.as_of) & (pairs.as_of <= pairs.until))
