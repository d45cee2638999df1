"""Tables in a form that belongs to no engine: Parquet out of one database, into another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy import Connection

from data.errors import DataRefused
from data.store.engine import execute, raw_cursor, select_all, statement
from data.store.ledger_versions import TABLES
from data.store.rows import BATCH, batches
from data.store.schema import METADATA

_TYPES: dict[type[Any], pa.DataType] = {
    sa.Text: pa.string(),
    sa.Double: pa.float64(),
    sa.BigInteger: pa.int64(),
    sa.Integer: pa.int64(),
    sa.Boolean: pa.bool_(),
}


def store_schemas() -> dict[str, pa.Schema]:
    """Every table of the operational store, its key first."""
    return {
        name: pa.schema([pa.field(c.name, _TYPES[type(c.type)], nullable=bool(c.nullable)) for c in table.columns])
        for name, table in METADATA.tables.items()
    }


def ledger_schemas() -> dict[str, pa.Schema]:
    """Both tables of the ledger, their key first."""
    seq = pa.field("seq", pa.int64(), nullable=False)
    return {name: pa.schema([seq, *schema]) for name, schema in TABLES.items()}


def write_table(connection: Connection, name: str, schema: pa.Schema, path: Path) -> int:
    """Writes a table as Parquet, in the order of its key; returns its rows. Memory does not grow with it."""
    columns = ", ".join(f'"{column}"' for column in schema.names)
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches(connection, schema, f'SELECT {columns} FROM {name} ORDER BY "{schema.names[0]}"'):
            writer.write_batch(batch)
            rows += len(batch)
    return rows


def load_table(connection: Connection, name: str, path: Path) -> int:
    """Replaces a table's rows by those of a Parquet file, inside the caller's write; returns their number.

    Raises DataRefused where the table does not have the file's columns.
    """
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        _refuse_other_columns(connection, name, names)
        execute(connection, f"DELETE FROM {name}")
        columns = ", ".join(f'"{column}"' for column in names)
        insert = _copy_rows if connection.dialect.name == "postgresql" else _insert_rows
        insert(connection, name, columns, len(names), _rows(file))
        rows: int = file.metadata.num_rows
    _go_on_counting(connection, name, names[0])
    return rows


def _rows(file: pq.ParquetFile) -> Iterator[tuple[Any, ...]]:
    for batch in file.iter_batches(BATCH):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _refuse_other_columns(connection: Connection, name: str, given: list[str]) -> None:
    there = {column["name"] for column in sa.inspect(connection).get_columns(name)}
    if there != set(given):
        raise DataRefused(
            f"table {name} of the backup",
            f"columns {', '.join(given)}",
            expected=", ".join(sorted(there)),
            remedy="install the leadscore that wrote it, or a newer one",
        )


def _insert_rows(connection: Connection, name: str, columns: str, width: int, rows: Iterator[tuple[Any, ...]]) -> None:
    cursor = raw_cursor(connection)
    marks = ", ".join("?" * width)
    cursor.executemany(statement(connection, f"INSERT INTO {name} ({columns}) VALUES ({marks})"), rows)
    cursor.close()


def _copy_rows(connection: Connection, name: str, columns: str, _width: int, rows: Iterator[tuple[Any, ...]]) -> None:
    cursor = raw_cursor(connection)
    with cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    cursor.close()


def _go_on_counting(connection: Connection, name: str, key: str) -> None:
    # SQLite counts on from the greatest key by itself.
    if connection.dialect.name == "postgresql":
        sequence = select_all(connection, "SELECT pg_get_serial_sequence(?, ?)", (name, key))[0][0]
        if sequence:
            sql = f'SELECT setval(?, coalesce(max("{key}"), 1), max("{key}") IS NOT NULL) FROM {name}'
            select_all(connection, sql, (sequence,))
        execute(connection, f"ANALYZE {name}")
