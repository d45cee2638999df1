"""The consent gate between store and snapshot: whose records batch work never sees.

A lead whose person's newest word for the purpose is a withdrawal or an
objection is left out of a snapshot whole: every table with a `lead_id`. What
was said (`consents`) stays, as evidence under a pseudonym. It is decided by
what the store holds, not by the clock: the same content leaves out the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection

from data.people.consent import SCORING, anybody_refuses, refusing_leads
from data.store.rows import batches
from data.tables import CONSENTS, LEADS, MERGES, TABLES, Table

PURPOSE = SCORING
GATED = frozenset(t.name for t in TABLES if t.in_snapshot and "lead_id" in t.column_names())
RULE = 1
"""Rises when the rule changes, so that snapshots taken under another are not built upon."""


@dataclass(frozen=True)
class Gate:
    """The leads left out, and how they differ from those an earlier snapshot left out."""

    refusing: frozenset[str]
    before: frozenset[str] = frozenset()

    @property
    def newly(self) -> frozenset[str]:
        """Their rows are in the earlier snapshot and must not be in this one."""
        return self.refusing - self.before

    @property
    def again(self) -> frozenset[str]:
        """Their rows are not in the earlier snapshot and must be in this one."""
        return self.before - self.refusing

    def told(self) -> dict[str, Any]:
        """For the manifest."""
        return {"purpose": PURPOSE, "leads_left_out": len(self.refusing)}

    def passed(self, table: Table, rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows but those of refusing leads."""
        if not self.refusing or table.name not in GATED:
            yield from rows
            return
        leads = values(self.refusing)
        for batch in rows:
            yield batch.filter(pc.invert(pc.is_in(batch.column("lead_id"), value_set=leads)))


def refusing(connection: Connection) -> frozenset[str]:
    """The leads whose persons refuse, by everything the store holds now."""
    if not anybody_refuses(connection, purpose=PURPOSE):
        return frozenset()
    leads, consents, merges = (_whole(connection, table) for table in (LEADS, CONSENTS, MERGES))
    return refusing_leads(leads, consents, merges, purpose=PURPOSE)


def holds_any(path: Path, leads: frozenset[str]) -> bool:
    """Whether a Parquet file sorted by `lead_id` has a row of one of them."""
    if not leads:
        return False
    found = pq.read_table(path, columns=["lead_id"], filters=pc.field("lead_id").isin(values(leads)))
    return bool(found.num_rows)


def values(leads: Iterable[str]) -> pa.Array:
    return pa.array(sorted(leads), pa.string())


def _whole(connection: Connection, table: Table) -> pa.Table:
    schema = table.snapshot_schema()
    columns = ", ".join(f'"{name}"' for name in schema.names)
    return pa.Table.from_batches(batches(connection, schema, f"SELECT {columns} FROM {table.name}"), schema)
