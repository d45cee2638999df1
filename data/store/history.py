"""One lead as the online side sees it, read from the operational store in one view."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from data.errors import NotFound
from data.people.consent import refusing_among
from data.people.merges import Subject, survivors
from data.records import AccountSummary, Attribute, LeadHistory, Sibling, StageChange, Touchpoint
from data.store.engine import select_all
from data.store.merges import related_merges, select_in
from data.store.operational import Store
from data.store.partition_rows import partition_touchpoints

Row = tuple[Any, ...]

_LEAD = "SELECT lead_id, occurred_at, recorded_at, account_id, source FROM leads WHERE"
_TOUCHPOINT = "kind, actor, occurred_at, recorded_at, channel, campaign_id, detail"
_ATTRIBUTE = 'name, occurred_at, recorded_at, "text", "number"'


def lead_creation(store: Store, lead_id: str) -> tuple[int, int]:
    """(occurred_at, recorded_at) of a lead's creation, by id or `source:external_id`. Raises NotFound."""
    with store.reading() as connection:
        _found, occurred_at, recorded_at, *_rest = _lead(connection, lead_id)
        return occurred_at, recorded_at


def stored_lead_id(store: Store, lead_id: str) -> str | None:
    """The id of the lead that an id or `source:external_id` names; None where the store has none."""
    with store.reading() as connection:
        found = _found(connection, lead_id)
    return None if found is None else str(found[0])


def lead_history(store: Store, lead_id: str, *, as_of: int) -> LeadHistory:
    """All that is stored of a lead, given its id or `source:external_id`; sequences in order of time.

    Ids are read as they stand at `as_of`: a lead merged into another is that
    other one, which brings its own creation, cycles and stages and everybody's
    touchpoints and attributes; merged accounts are one. Otherwise everything
    is in it, whenever it happened or was recorded: the reader of a LeadHistory
    filters by as-of time. Not in it is what a snapshot leaves out: other leads
    that refuse to be scored by all the store holds. Raises NotFound.
    """
    with store.reading() as connection:
        asked = _lead(connection, lead_id)
        leads = _Standing(connection, "lead", [asked[0]], as_of)
        found, occurred_at, recorded_at, account_id, source = _survivor(connection, asked, leads.read_as(asked[0]))
        alike = leads.read_alike(found)
        silent = refusing_among(connection, alike[1:])  # as in a snapshot; the lead itself is asked about elsewhere
        read_as = dict.fromkeys((one for one in alike if one not in silent), str(found))
        return LeadHistory(
            lead_id=found,
            occurred_at=occurred_at,
            recorded_at=recorded_at,
            cycles=_later_cycles(connection, found),
            stages=_stages(connection, found),
            touchpoints=_touchpoints(connection, store.partitions, read_as)[found],
            attributes=_attributes(connection, "lead", read_as)[found],
            account=_account(connection, store.partitions, account_id, found, as_of) if account_id else None,
            source=source,
        )


class _Standing:
    """Who some ids, and all they were merged with, are read as at one instant."""

    def __init__(self, connection: Connection, subject: Subject, ids: Iterable[str], as_of: int) -> None:
        self._read_as = survivors(related_merges(connection, subject, ids), as_of=as_of)

    def read_as(self, one: str) -> str:
        return self._read_as.get(one, one)

    def read_alike(self, survivor: str) -> list[str]:
        return [survivor, *(one for one, read_as in self._read_as.items() if read_as == survivor)]


def _lead(connection: Connection, lead_id: str) -> Row:
    found = _found(connection, lead_id)
    if found is None:
        raise NotFound(f"lead {lead_id}", "no such lead in the store", expected="a lead id or source:external_id")
    return found


def _found(connection: Connection, lead_id: str) -> Row | None:
    rows = select_all(connection, f"{_LEAD} lead_id = ?", (lead_id,))
    if not rows and ":" in lead_id:
        source, external = lead_id.split(":", 1)
        rows = select_all(connection, f"{_LEAD} source = ? AND source_id = ?", (source, external))
        rows = rows or select_all(connection, f"{_LEAD} lead_id = ? AND source = ?", (external, source))
    return rows[0] if rows else None


def _survivor(connection: Connection, asked: Row, survivor: str) -> Row:
    if survivor == asked[0]:
        return asked
    rows = select_all(connection, f"{_LEAD} lead_id = ?", (survivor,))
    if not rows:
        received = f"merged into {survivor}, which is not in the store"
        raise NotFound(f"lead {asked[0]}", received, expected="a lead that goes on", remedy=f"import lead {survivor}")
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


def _touchpoints(
    connection: Connection, partitions: Path, read_as: Mapping[str, str]
) -> Mapping[str, tuple[Touchpoint, ...]]:
    """By lead as read, in order of time; `read_as` names every lead whose own are wanted."""
    in_bulk = [(lead, 0, *rest) for lead, *rest in partition_touchpoints(connection, partitions, list(read_as))]
    sql = f"SELECT lead_id, seq, {_TOUCHPOINT} FROM touchpoints WHERE lead_id IN"
    found = _in_order(connection, sql, read_as, 4, in_bulk)
    return defaultdict(tuple, {one: tuple(Touchpoint(*row) for row in rows) for one, rows in found.items()})


def _attributes(
    connection: Connection, subject: Subject, read_as: Mapping[str, str]
) -> Mapping[str, tuple[Attribute, ...]]:
    sql = f"SELECT {subject}_id, seq, {_ATTRIBUTE} FROM {subject}_attributes WHERE {subject}_id IN"
    found = _in_order(connection, sql, read_as, 3)
    return defaultdict(tuple, {one: tuple(Attribute(*row) for row in rows) for one, rows in found.items()})


def _in_order(
    connection: Connection, sql: str, read_as: Mapping[str, str], at: int, others: Iterable[Row] = ()
) -> Mapping[str, list[Row]]:
    """Rows without their id and seq, by who they are read as, in order of (occurred_at, recorded_at, seq).

    `at` is the place of occurred_at in a row; recorded_at comes behind it.
    """
    grouped: dict[str, list[Row]] = defaultdict(list)
    rows = [*others, *select_in(connection, sql, list(read_as))]
    rows.sort(key=lambda row: (row[at], row[at + 1], row[1]))
    for one, _seq, *rest in rows:
        grouped[read_as[one]].append(tuple(rest))
    return grouped


def _account(connection: Connection, partitions: Path, account_id: str, lead_id: str, as_of: int) -> AccountSummary:
    accounts = _Standing(connection, "account", [account_id], as_of)
    survivor = accounts.read_as(account_id)
    alike = accounts.read_alike(survivor)
    attributes = _attributes(connection, "account", dict.fromkeys(alike, survivor))[survivor]
    return AccountSummary(survivor, attributes, _siblings(connection, partitions, alike, lead_id, as_of))


def _siblings(
    connection: Connection, partitions: Path, accounts: Sequence[str], lead_id: str, as_of: int
) -> tuple[Sibling, ...]:
    """All of the account's other leads but those who refuse: leaving out others would make online differ from batch."""
    sql = "SELECT lead_id, occurred_at, recorded_at, seq FROM leads WHERE account_id IN"
    rows = sorted(select_in(connection, sql, accounts), key=lambda row: int(row[3]))
    standing = _Standing(connection, "lead", [row[0] for row in rows], as_of)
    others = [row for row in rows if standing.read_as(row[0]) == row[0] != lead_id]
    read_as = {one: row[0] for row in others for one in standing.read_alike(row[0])}
    silent = refusing_among(connection, read_as)
    others = [row for row in others if row[0] not in silent]
    read_as = {one: meant for one, meant in read_as.items() if one not in silent}
    attributes = _attributes(connection, "lead", read_as)
    touchpoints = _touchpoints(connection, partitions, read_as)
    return tuple(
        Sibling(sibling, occurred_at, recorded_at, attributes[sibling], touchpoints[sibling])
        for sibling, occurred_at, recorded_at, _seq in others
    )
