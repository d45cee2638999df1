"""One Parquet file of a snapshot: written sorted, hashed row by row, shared by links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.store.files import file_sha256, sync
from data.store.keys import row_sql
from data.tables import Table

if TYPE_CHECKING:
    import duckdb

_ROW_GROUP = 131_072
ROWS_ONLINE = 16_384
"""Rows of a group in a partition, which the online side reads one lead from."""
_MEMORY = "1GB"
_RANGE_COLUMNS = ("occurred_at", "recorded_at")


@contextmanager
def sorting_engine(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that sorts more than fits into memory, by way of `folder`."""
    import duckdb

    config: dict[str, Any] = {"memory_limit": _MEMORY, "threads": 2, "temp_directory": str(folder / "sorting")}
    with duckdb.connect(config=config) as connection:
        connection.execute("SET enable_progress_bar = false")  # it would write to standard output
        yield connection
    shutil.rmtree(folder / "sorting", ignore_errors=True)


def write_part(
    engine: duckdb.DuckDBPyConnection, rows: Iterator[pa.RecordBatch], table: Table, folder: Path, name: str
) -> dict[str, Any]:
    """Writes rows as `folder/name`, sorted by subject, time and name; returns the manifest's words on it."""
    # Unsorted to the disk first, so that a refusal of the store is not mistaken for one of the engine.
    unsorted = folder / "unsorted.parquet"
    _write(pa.RecordBatchReader.from_batches(table.snapshot_schema(), rows), unsorted, compression="lz4")
    part = sorted_part(engine, unsorted, table, folder, name)
    unsorted.unlink()
    return part


def sorted_part(
    engine: duckdb.DuckDBPyConnection,
    unsorted: Path,
    table: Table,
    folder: Path,
    name: str,
    *,
    row_group: int = _ROW_GROUP,
) -> dict[str, Any]:
    """Writes the rows of a Parquet file as `folder/name`, sorted, durably; returns the manifest's words on it."""
    final, order = folder / name, ", ".join(_sort_key(table))
    ordered = engine.sql(f"SELECT * FROM read_parquet(?) ORDER BY {order}", params=[str(unsorted)])
    rows = ordered.to_arrow_reader(_ROW_GROUP).cast(table.snapshot_schema())
    _write(rows, final, compression="zstd", row_group=row_group)
    return part_there(engine, table, folder, name)


def filtered_part(
    engine: duckdb.DuckDBPyConnection, source: Path, part: dict[str, Any], table: Table, folder: Path, leads: pa.Array
) -> dict[str, Any]:
    """The file of a part in another snapshot, without the rows of some leads, in the same order."""
    schema, name = table.snapshot_schema(), part["file"]
    kept = (
        batch.filter(pc.invert(pc.is_in(batch.column("lead_id"), value_set=leads))).cast(schema)
        for batch in pq.ParquetFile(source).iter_batches(_ROW_GROUP)
    )
    _write(pa.RecordBatchReader.from_batches(schema, kept), folder / name, compression="zstd")
    return {**part, **part_there(engine, table, folder, name)}


def part_there(engine: duckdb.DuckDBPyConnection, table: Table, folder: Path, name: str) -> dict[str, Any]:
    """The manifest's words on a part that is written, made durable first."""
    sync(folder / name)
    measured = engine.execute(_measuring_statement(table), [str(folder / name)]).fetchall()[0]
    return _described(folder / name, name, measured)


def linked(source: Path, folder: Path, part: dict[str, Any]) -> dict[str, Any]:
    """The file of a part in another snapshot: one file with two names, or a copy where that cannot be."""
    target = folder / part["file"]
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        sync(target)
    return part


def time_ranges(parts: list[dict[str, Any]]) -> dict[str, list[int | None]]:
    """[earliest, latest] of each time over all parts; [None, None] where there is no row."""
    ranges: dict[str, list[int | None]] = {}
    for column in _RANGE_COLUMNS:
        times = [time for part in parts for time in part[column] if time is not None]
        ranges[column] = [min(times), max(times)] if times else [None, None]
    return ranges


def _write(rows: pa.RecordBatchReader, path: Path, compression: str, row_group: int = _ROW_GROUP) -> None:
    with pq.ParquetWriter(path, rows.schema, compression=compression) as writer:
        for batch in rows:
            writer.write_batch(batch, row_group_size=row_group)


def _sort_key(table: Table) -> tuple[str, ...]:
    names = table.snapshot_schema().names
    subject = "lead_id" if "lead_id" in names else names[0]
    return (f'"{subject}"', "occurred_at", '"source"', "source_id")


def _measuring_statement(table: Table) -> str:
    """Rows, the two halves of the sum of their MD5 numbers, and their range of times."""
    ranges = ", ".join(f"min({name}), max({name})" for name in _RANGE_COLUMNS)
    return (
        "SELECT count(*), coalesce(sum((m >> 64)::UBIGINT), 0), coalesce(sum((m & 18446744073709551615)::UBIGINT), 0),"
        f" {ranges} FROM (SELECT {', '.join(_RANGE_COLUMNS)}, {row_sql(table)} AS m"
        " FROM read_parquet(?))"
    )


def _described(file: Path, name: str, measured: tuple[Any, ...]) -> dict[str, Any]:
    rows, high, low, *times = measured
    ranges = {column: list(times[2 * i : 2 * i + 2]) for i, column in enumerate(_RANGE_COLUMNS)}
    return {
        "file": name,
        "rows": rows,
        "row_hash": [f"{int(half) % 2**64:016x}" for half in (high, low)],
        **ranges,
        "bytes": file.stat().st_size,
        "sha256": file_sha256(file),
    }
