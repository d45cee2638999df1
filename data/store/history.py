"""One lead as the online side sees it, read from the operational store in one view."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection

from data.errors import NotFound
from data.records import AccountSummary, Attribute, LeadHistory, Sibling, StageChange, Touchpoint
from data.store.engine import select_all
from data.store.operational import Store

Row = tuple[Any, ...]

_LEAD = "SELECT lead_id, occurred_at, recorded_at, account_id, source FROM leads WHERE"
_TOUCHPOINT = "t.kind, t.actor, t.occurred_at, t.recorded_at, t.channel, t.campaign_id, t.detail"
_ATTRIBUTE = 'a.name, a.occurred_at, a.recorded_at, a."text", a."number"'
# CROSS JOIN keeps SQLite from starting at the long table: leads come by their account's index.
_SIBLINGS = "FROM leads l CROSS JOIN {table} {alias} WHERE l.account_id = ? AND {alias}.lead_id = l.lead_id"


def lead_history(store: Store, lead_id: str) -> LeadHistory:
    """All that is stored of a lead, given its id or `source:external_id`; sequences in order of time.

    Everything is in it, whenever it happened or was recorded: the reader of a
    LeadHistory filters by as-of time. Raises NotFound.
    """
    with store.reading() as connection:
        found, occurred_at, recorded_at, account_id, source = _lead(connection, lead_id)
        return LeadHistory(
            lead_id=found,
            occurred_at=occurred_at,
            recorded_at=recorded_at,
            cycles=_later_cycles(connection, found),
            stages=_stages(connection, found),
            touchpoints=_touchpoints(connection, found),
            attributes=_attributes(connection, "lead", found),
            account=_account(connection, account_id, found) if account_id else None,
            source=source,
        )


def _lead(connection: Connection, lead_id: str) -> Row:
    rows = select_all(connection, f"{_LEAD} lead_id = ?", (lead_id,))
    if not rows and ":" in lead_id:
        source, external = lead_id.split(":", 1)
        rows = select_all(connection, f"{_LEAD} source = ? AND source_id = ?", (source, external))
        rows = rows or select_all(connection, f"{_LEAD} lead_id = ? AND source = ?", (external, source))
    if not rows:
        raise NotFound(f"lead {lead_id}", "no such lead in the store", expected="a lead id or source:external_id")
    return rows[0]


def _later_cycles(connection: Connection, lead_id: str) -> tuple[tuple[int, int], ...]:
    sql = "SELECT occurred_at, recorded_at FROM lead_cycles WHERE lead_id = ? AND opened_by = 'recycled'"
    return tuple(sorted((start, recorded) for start, recorded in select_all(connection, sql, (lead_id,))))


def _stages(connection: Connection, lead_id: str) -> tuple[StageChange, ...]:
    sql = (
        "SELECT stage, occurred_at, recorded_at, reason FROM stage_changes WHERE lead_id = ?"
        " ORDER BY occurred_at, recorded_at, seq"
    )
    return tuple(StageChange(*row) for row in select_all(connection, sql, (lead_id,)))


def _touchpoints(connection: Connection, lead_id: str) -> tuple[Touchpoint, ...]:
    sql = f"SELECT {_TOUCHPOINT} FROM touchpoints t WHERE lead_id = ? ORDER BY occurred_at, recorded_at, seq"
    return tuple(Touchpoint(*row) for row in select_all(connection, sql, (lead_id,)))


def _attributes(connection: Connection, subject: str, subject_id: str) -> tuple[Attribute, ...]:
    sql = (
        f"SELECT {_ATTRIBUTE} FROM {subject}_attributes a WHERE {subject}_id = ? ORDER BY occurred_at, recorded_at, seq"
    )
    return tuple(Attribute(*row) for row in select_all(connection, sql, (subject_id,)))


def _account(connection: Connection, account_id: str, lead_id: str) -> AccountSummary:
    return AccountSummary(
        account_id, _attributes(connection, "account", account_id), _siblings(connection, account_id, lead_id)
    )


def _siblings(connection: Connection, account_id: str, lead_id: str) -> tuple[Sibling, ...]:
    """All of the account's other leads: leaving some out would make online differ from batch."""
    leads = select_all(
        connection,
        "SELECT lead_id, occurred_at, recorded_at FROM leads WHERE account_id = ? AND lead_id <> ? ORDER BY seq",
        (account_id, lead_id),
    )
    if not leads:
        return ()
    attributes = _by_lead(connection, "lead_attributes", "a", _ATTRIBUTE, account_id)
    touchpoints = _by_lead(connection, "touchpoints", "t", _TOUCHPOINT, account_id)
    return tuple(
        Sibling(
            sibling,
            occurred_at,
            recorded_at,
            tuple(Attribute(*row) for row in attributes[sibling]),
            tuple(Touchpoint(*row) for row in touchpoints[sibling]),
        )
        for sibling, occurred_at, recorded_at in leads
    )


def _by_lead(connection: Connection, table: str, alias: str, columns: str, account_id: str) -> dict[str, list[Row]]:
    source = _SIBLINGS.format(table=table, alias=alias)
    grouped: dict[str, list[Row]] = defaultdict(list)
    sql = f"SELECT l.lead_id, {columns} {source} ORDER BY {alias}.occurred_at, {alias}.recorded_at, {alias}.seq"
    for lead_id, *rest in select_all(connection, sql, (account_id,)):
        grouped[lead_id].append(tuple(rest))
    return grouped
