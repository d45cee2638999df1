"""Features over the account's other leads.

Computed once for each (account, as_of) over all its leads; a lead's own share,
which its own features know, is then taken away. So rows of one account at one
instant cost one pass, where rows × leads × touchpoints would grow with the
square of the account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from data.company import Company
from features.as_of import Tables
from features.batch_profile import values_of
from features.batch_touchpoints import flagged, taken
from features.batch_visible import KEYS, holding, visible
from features.declaration import ACCOUNT_KINDS, Declaration
from features.merged import span_of
from features.selection import selection, selections, window

MOMENT = ("account_id", "as_of")
MEMBER = (*MOMENT, "lead_id")


def account_part(
    tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company
) -> tuple[Table | None, dict[str, Value]]:
    """Sums over all leads of the account by row, and each feature over them; counts still hold the lead's own share."""
    wanted = [d for d in declarations if d.kind in ACCOUNT_KINDS]
    if not wanted:
        return None, {}
    accounted = rows.filter(rows.account_id.notnull()).select(*KEYS, "account_id")
    members, values = _members(tables, accounted.select(*MOMENT).distinct(), wanted, company.timezone)
    sums: dict[str, Value] = {"leads": members.count()}
    sums |= {f"sum{n}": _over_members(d, values[d.name]) for n, d in enumerate(wanted) if d.name in values}
    totals = members.group_by(*MOMENT).aggregate(**sums)
    columns = accounted.inner_join(totals, list(MOMENT)).select(*KEYS, *sums)
    return columns, {d.name: _value(d, number) for number, d in enumerate(wanted)}


def own_shares(declarations: Sequence[Declaration]) -> dict[str, Declaration]:
    """The feature of the lead alone that is to be taken from each count over the account, by the count's name."""
    return {
        d.name: replace(d, name=f"{d.name} of its own", kind="count") for d in declarations if d.kind == "account_count"
    }


def _members(
    tables: Tables, moments: Table, wanted: Sequence[Declaration], timezone: str
) -> tuple[Table, dict[str, Value]]:
    """One row a (account, as_of, lead of the account then known), and what each feature reads of it.

    A lead has one account at a time: (lead_id, as_of) names a member.
    """
    leads = tables["leads"]
    leads = leads.select("lead_id", "account_id", "occurred_at", "recorded_at", *span_of(leads))
    members = visible(leads.filter(leads.account_id.notnull()), moments, "account_id").select(*MEMBER)
    touches, counts = _touches(tables["touchpoints"], members, wanted, timezone)
    attributes, newest_values = _attributes(tables["lead_attributes"], members, wanted)
    joined = members
    for columns in (touches, attributes):
        if columns is not None:
            joined = joined.left_join(columns, list(KEYS)).drop(*(f"{key}_right" for key in KEYS))
    return joined, {d.name: _of_member(d, joined, counts, newest_values) for d in wanted if d.kind != "account_leads"}


def _of_member(d: Declaration, members: Table, counts: dict[str, str], newest_values: dict[str, str]) -> Value:
    if d.kind == "account_count":
        return members[counts[d.name]].fill_null(0)
    text = members[newest_values[d.attribute]]
    if d.kind == "account_seen":
        return text.isin(d.values).fill_null(False).cast("int64")
    active = members[counts[d.name]].fill_null(0) > 0
    return ibis.cases((active, text), else_=ibis.null("string"))


def _touches(
    touchpoints: Table, members: Table, wanted: Sequence[Declaration], timezone: str
) -> tuple[Table | None, dict[str, str]]:
    counting = [d for d in wanted if d.kind in ("account_count", "account_distinct")]
    if not counting:
        return None, {}
    flags = {chosen: f"s{number}" for number, chosen in enumerate(selections(counting))}
    pairs = visible(taken(flagged(touchpoints, flags, timezone), flags.values()), members, "lead_id")
    pairs = pairs.mutate(age=pairs.as_of - pairs.occurred_at)
    windows = [greatest_age for d in counting if (greatest_age := window(d)) is not None]
    if len(windows) == len(counting):
        pairs = pairs.filter(pairs.age <= max(windows))
    aggregates, names = {}, {}
    for d in counting:
        names[d.name] = f"c{sorted(flags.values()).index(flags[selection(d)])}_{d.window_days or 'ever'}"
        greatest_age = window(d)
        where = pairs[flags[selection(d)]]
        where = where if greatest_age is None else where & (pairs.age <= greatest_age)
        aggregates[names[d.name]] = pairs.count(where=where)
    return pairs.group_by(*KEYS).aggregate(**aggregates), names


def _attributes(
    attributes: Table, members: Table, wanted: Sequence[Declaration]
) -> tuple[Table | None, dict[str, str]]:
    names = {attribute: f"v{n}" for n, attribute in enumerate(sorted({d.attribute for d in wanted if d.attribute}))}
    if not names:
        return None, {}
    pairs = holding(values_of(attributes, "lead_id", names.keys()), members, "lead_id")
    found = {column: pairs.text.max(where=pairs.name == attribute) for attribute, column in names.items()}
    return pairs.group_by(*KEYS).aggregate(**found), names


def _over_members(d: Declaration, value: Value) -> Value:
    if d.kind == "account_distinct":
        return value.nunique()
    return value.sum().cast("int64") if d.kind == "account_count" else value.max()


def _value(d: Declaration, number: int) -> Value:
    """Null where no account is known, for then there is no row in the part."""
    if d.kind == "account_leads":
        return (_.leads - 1).cast("float64")
    return _[f"sum{number}"].cast("float64")
