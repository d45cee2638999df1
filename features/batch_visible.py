"""Which records are visible from which row, and the newest among them."""

from __future__ import annotations

import ibis
from ibis.common.deferred import Deferred
from ibis.expr.types import BooleanValue, Table, Value

from features.merged import span_of

KEYS = ("lead_id", "as_of")
"""What makes a row of the feature table unique."""


def visible(records: Table, rows: Table, key: str) -> Table:
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


def newest(pairs: Table, value: Value, where: BooleanValue) -> Value:
    """The newest record's value as a struct (occurred, recorded, has, value); `value_of` takes it out.

    Engines disagree on where null sorts inside a struct, so a null is said by `has` = 0.
    """
    blank = ibis.literal("") if value.type().is_string() else ibis.literal(0.0)
    return ibis.struct(
        {
            "occurred": pairs.occurred_at,
            "recorded": pairs.recorded_at,
            "has": value.notnull().cast("int64"),
            "value": value.fill_null(blank),
        }
    ).max(where=where)


def value_of(struct: Value | Deferred) -> Value:
    """What `newest` found, null where there was nothing or a null."""
    return ibis.cases((struct["has"] == 1, struct["value"]), else_=None)
