"""Touchpoints lie in two places, the store's table and partitions: what a write and a read of them must mind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from data.store.appending import Appended, append_rows
from data.store.partition_rows import batches_of, compared, rows_of_leads
from data.store.partitions import registered
from data.store.rows import slices
from data.tables import TOUCHPOINTS


def append_touchpoints(connection: Connection, rows: pa.Table, loaded_at: int, folder: Path) -> Appended:
    """As `append_rows`, also against what partitions hold."""
    partitions = registered(connection)
    if not partitions or not rows.num_rows:
        return append_rows(connection, TOUCHPOINTS, rows, loaded_at)
    fresh, unchanged, conflicts = [], 0, []
    for some in slices(rows):
        same, other = compared(TOUCHPOINTS, some, partitions, folder)
        unchanged += pc.sum(same).as_py()
        conflicts.append(some.filter(other))
        fresh.append(some.filter(pc.invert(pc.or_(same, other))))
    done = append_rows(connection, TOUCHPOINTS, pa.concat_tables(fresh).combine_chunks(), loaded_at)
    refused = pa.concat_tables([*conflicts, done.conflicts]).combine_chunks()
    return Appended(done.accepted, done.unchanged + unchanged, refused)


def partition_batches(connection: Connection, folder: Path, lead_ids: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Rows of all partitions in the order of registration, `TOUCHPOINTS.arrow_schema()`; of some leads where given."""
    schema = TOUCHPOINTS.arrow_schema()
    for partition in registered(connection):
        if lead_ids is None:
            found = batches_of(partition, folder)
        else:
            found = iter(rows_of_leads(partition, folder, lead_ids).to_batches())
        yield from (batch.select(schema.names).cast(schema) for batch in found)
