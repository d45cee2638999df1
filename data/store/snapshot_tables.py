"""Writing a snapshot: what is shared with the one before, what is new, what consent takes out or brings back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import Connection

from data.store.engine import last_seq
from data.store.files import file_sha256
from data.store.gate import GATED, Gate, holds_any, values
from data.store.partition_rows import rows_of_leads
from data.store.partitions import Partition, registered
from data.store.parts import filtered_part, linked, time_ranges, write_part
from data.store.rows import batches
from data.tables import TOUCHPOINTS, Table

if TYPE_CHECKING:
    import duckdb

_MOST_PARTS = 16
"""A table in more parts than this is written anew as one; parts that are partitions are not counted."""
_IDS_A_STATEMENT = 500

Entry = dict[str, Any]
"""The manifest's words on one table or one part."""


@dataclass(frozen=True)
class Built:
    """The snapshot that is built upon: its folder, its parts by table, and how far they go."""

    path: Path
    tables: dict[str, Entry]
    newest_seq: dict[str, int]


@dataclass(frozen=True)
class Writer:
    """One snapshot being written in `folder` from one view of the store."""

    connection: Connection
    engine: duckdb.DuckDBPyConnection
    folder: Path
    partitions: Path
    gate: Gate
    base: Built | None

    def entry(self, table: Table) -> Entry:
        """Writes one table's parts; returns its entry in the manifest."""
        (self.folder / table.name).mkdir()
        newest = last_seq(self.connection, table.name)
        base = None if self._is_scattered(table, newest) else self.base
        parts = [self._kept(table, base.path, part) for part in base.tables[table.name]["parts"]] if base else []
        if table == TOUCHPOINTS:
            parts += [self._from_partition(p) for p in self._partitions(after=_seq(base, "partitions"))]
        again = self._again(table, base)
        if newest > _seq(base, table.name) or again is not None or not parts:
            rows = self.gate.passed(table, self._rows(table, "seq > ?", (_seq(base, table.name),)))
            name = f"{table.name}/part-{_next_number(parts):03d}.parquet"
            parts.append(write_part(self.engine, chain(rows, again or ()), table, self.folder, name))
        return {"rows": sum(part["rows"] for part in parts), **time_ranges(parts), "parts": parts}

    def _is_scattered(self, table: Table, newest: int) -> bool:
        if not self.base or newest <= self.base.newest_seq[table.name]:
            return False
        return sum("partition" not in part for part in self.base.tables[table.name]["parts"]) >= _MOST_PARTS

    def _kept(self, table: Table, path: Path, part: Entry) -> Entry:
        """A part of the snapshot before: shared, or without the rows of leads that refuse by now."""
        if table.name in GATED and holds_any(path / part["file"], self.gate.newly):
            source, leads = path / part["file"], values(self.gate.newly)
            return filtered_part(self.engine, source, part, table, self.folder, leads)
        return linked(path / part["file"], self.folder, part)

    def _from_partition(self, partition: Partition) -> Entry:
        """A partition's file under the snapshot's name, or what of it may be used."""
        source = partition.rows_file(self.partitions)
        if file_sha256(source) != partition.sha256:
            raise partition.damaged(f"changed bytes in {source}")
        part = {"file": f"{TOUCHPOINTS.name}/partition-{partition.name}.parquet", **_described(partition)}
        if holds_any(source, self.gate.refusing):
            return filtered_part(self.engine, source, part, TOUCHPOINTS, self.folder, values(self.gate.refusing))
        return linked(source, self.folder, part)

    def _again(self, table: Table, base: Built | None) -> Iterator[pa.RecordBatch] | None:
        """Rows of leads that may be used again, as far as the snapshot before went; None where there is none."""
        if base is None or not self.gate.again or table.name not in GATED:
            return None
        leads = sorted(self.gate.again)
        found = list(self._again_from_store(table, leads, _seq(base, table.name)))
        if table == TOUCHPOINTS:
            earlier = (p for p in self._partitions() if p.seq <= _seq(base, "partitions"))
            schema = table.snapshot_schema()
            for partition in earlier:
                found += rows_of_leads(partition, self.partitions, leads).cast(schema).to_batches()
        return iter(found) if any(batch.num_rows for batch in found) else None

    def _again_from_store(self, table: Table, leads: Sequence[str], until: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(leads), _IDS_A_STATEMENT):
            some = tuple(leads[start : start + _IDS_A_STATEMENT])
            marks = ", ".join("?" * len(some))
            yield from self._rows(table, f"seq <= ? AND lead_id IN ({marks})", (until, *some))

    def _rows(self, table: Table, where: str, parameters: tuple[Any, ...]) -> Iterator[pa.RecordBatch]:
        schema = table.snapshot_schema()
        columns = ", ".join(f'"{name}"' for name in schema.names)
        sql = f"SELECT {columns} FROM {table.name} WHERE {where} ORDER BY seq"
        return batches(self.connection, schema, sql, parameters)

    def _partitions(self, after: int = 0) -> list[Partition]:
        return registered(self.connection, after=after)


def _seq(base: Built | None, table: str) -> int:
    return base.newest_seq[table] if base else 0


def _next_number(parts: list[Entry]) -> int:
    numbers = [int(Path(part["file"]).stem.removeprefix("part-")) for part in parts if "partition" not in part]
    return max(numbers, default=-1) + 1


def _described(partition: Partition) -> Entry:
    return {
        "rows": partition.rows,
        "row_hash": partition.row_hash.split("-"),
        "occurred_at": [partition.first_occurred_at, partition.last_occurred_at],
        "recorded_at": [partition.first_recorded_at, partition.last_recorded_at],
        "bytes": partition.bytes,
        "sha256": partition.sha256,
        "partition": partition.name,
    }
