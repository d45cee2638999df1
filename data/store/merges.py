"""Merges of some ids, read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from data.people.merges import Merge, Subject
from data.store.engine import select_all

_IDS_A_STATEMENT = 500


def related_merges(connection: Connection, subject: Subject, ids: Iterable[str]) -> list[Merge]:
    """Every merge, undone or not, that links one of `ids` with another, directly or through others."""
    found: dict[Merge, None] = {}
    asked: set[str] = set()
    waiting = set(ids)
    while waiting and _any_merge(connection):
        asked |= waiting
        for column in ("from_id", "into_id"):
            sql = (
                "SELECT from_id, into_id, undone, occurred_at, recorded_at FROM merges"
                f" WHERE subject = ? AND {column} IN"
            )
            for from_id, into_id, undone, *times in select_in(connection, sql, sorted(waiting), (subject,)):
                found[Merge(from_id, into_id, bool(undone), *times)] = None
        waiting = {one for merge in found for one in (merge.from_id, merge.into_id)} - asked
    return list(found)


def select_in(
    connection: Connection, sql: str, ids: Sequence[str], parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """All rows of a statement that ends in IN, for any number of ids."""
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        some = ids[start : start + _IDS_A_STATEMENT]
        rows += select_all(connection, f"{sql} ({', '.join('?' * len(some))})", (*parameters, *some))
    return rows


def _any_merge(connection: Connection) -> bool:
    # Most companies have none: one look then, not two for every subject.
    return bool(select_all(connection, "SELECT 1 FROM merges LIMIT 1"))
