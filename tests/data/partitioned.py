"""Touchpoints added in bulk without files and mapping, for tests of those who read them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from data.store.bulk import FILE, POSITION, ROW, SOUND_SCHEMA, Outcome, intake
from data.store.operational import Store
from data.tables import Table


def add_in_bulk(
    store: Store, touchpoints: pa.Table, *, now: int, others: dict[Table, pa.Table] | None = None
) -> Outcome:
    """Adds touchpoints as a partition, and other tables' rows in the same transaction."""
    count = len(touchpoints)
    placed = {FILE: ["test"] * count, ROW: list(range(1, count + 1)), POSITION: list(range(count))}
    columns = {name: touchpoints[name] for name in touchpoints.column_names} | placed
    rows = pa.table(
        [columns.get(f.name, pa.nulls(count, f.type)) for f in SOUND_SCHEMA], names=SOUND_SCHEMA.names
    ).cast(SOUND_SCHEMA)
    with intake(store) as into:
        pq.write_table(rows, into.sound_file)
        outcome = into.prepare(count)
        store.append_all(others or {}, now=now, prepared=outcome.prepared)
        into.keep()
    return outcome
