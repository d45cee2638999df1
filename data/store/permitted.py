"""An older history without whom the store says no for by now: a withdrawal stops what is done with old copies too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.home import Home
from data.people.consent import refusing_leads
from data.store.files import file_refusals
from data.store.gate import GATED, PURPOSE, holds_any, refusing, values
from data.store.operational import Store
from data.store.parts import filtered_part, linked, time_ranges
from data.store.snapshots import Snapshot, one_at_a_time, write_snapshot
from data.tables import CONSENTS, LEADS, MERGES, TABLES, Table

if TYPE_CHECKING:
    import duckdb


def permitted(store: Store, home: Home, snapshot: Snapshot) -> Snapshot:
    """The snapshot itself where nobody in it refuses by all the store holds now.

    Else one of this home like it, without the rows of those leads;
    `withdrawn_since` says how many they are. Parts without them are shared.
    """
    refused = _refused_by_now(store, snapshot)
    if not refused:
        return snapshot

    def tables(engine: duckdb.DuckDBPyConnection, unfinished: Path) -> dict[str, Any]:
        return {t.name: _entry(snapshot, t, refused, engine, unfinished) for t in TABLES if t.in_snapshot}

    before = snapshot.manifest["consent"]
    consent = {
        **before,
        "leads_left_out": before["leads_left_out"] + len(refused),
        "withdrawn_since": {"snapshot": snapshot.hash, "leads": len(refused)},
    }
    company = json.loads(snapshot.company.to_json())
    with file_refusals(f"snapshots {home.snapshots}"), one_at_a_time(home.snapshots):
        taken_at = snapshot.manifest["taken_at"]  # what it shows is of then
        written = write_snapshot(home.snapshots, tables, company, consent, now=taken_at)
    return replace(written, withdrawn_since=len(refused))


def _refused_by_now(store: Store, snapshot: Snapshot) -> frozenset[str]:
    """Leads of the snapshot whom somebody the store knows of speaks against, by lead or by person."""
    consents, merges = (_both(snapshot, store.read(table), table) for table in (CONSENTS, MERGES))
    if not pc.any(pc.and_(pc.equal(consents["purpose"], PURPOSE), pc.invert(consents["granted"]))).as_py():
        return frozenset()
    with store.reading() as connection:
        by_store = refusing(connection)
    there = _rows(snapshot, LEADS)
    by_person = refusing_leads(there, consents, merges, purpose=PURPOSE)
    return (by_store | by_person) & frozenset(there["lead_id"].to_pylist())


def _rows(snapshot: Snapshot, table: Table) -> pa.Table:
    schema = table.snapshot_schema()
    return pa.concat_tables(
        [schema.empty_table(), *(pq.read_table(f).cast(schema) for f in snapshot.files(table.name))]
    )


def _both(snapshot: Snapshot, of_store: pa.Table, table: Table) -> pa.Table:
    """Each record once, though both know it."""
    schema = table.snapshot_schema()
    rows = pa.concat_tables([_rows(snapshot, table), of_store.select(schema.names).cast(schema)])
    again = rows.select(["source", "source_id"]).to_pandas().duplicated()
    return rows.filter(pa.array(~again.to_numpy()))


def _entry(
    snapshot: Snapshot, table: Table, refused: frozenset[str], engine: duckdb.DuckDBPyConnection, folder: Path
) -> dict[str, Any]:
    (folder / table.name).mkdir()
    parts = []
    for part in snapshot.manifest["tables"][table.name]["parts"]:
        source = snapshot.path / part["file"]
        if table.name in GATED and holds_any(source, refused):
            parts.append(filtered_part(engine, source, part, table, folder, values(refused)))
        else:
            parts.append(linked(source, folder, part))
    return {"rows": sum(part["rows"] for part in parts), **time_ranges(parts), "parts": parts}
