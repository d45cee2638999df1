"""One Parquet file of a snapshot: written sorted, hashed row by row, shared by links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.store.files import file_sha256
from data.tables import Table

if TYPE_CHECKING:
    import duckdb

_ROW_GROUP = 131_072
_MEMORY = "1GB"
_RANGE_COLUMNS = ("occurred_at", "recorded_at")


@contextmanager
def sorting_engine(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that sorts more than fits into memory, by way of `folder`."""
    import duckdb

    config: dict[str, Any] = {"memory_limit": _MEMORY, "threads": 2, "temp_directory": str(folder / "sorting")}
    with duckdb.connect(config=config) as connection:
        yield connection
    shutil.rmtree(folder / "sorting", ignore_errors=True)


def write_part(
    engine: duckdb.DuckDBPyConnection, rows: Iterator[pa.RecordBatch], table: Table, folder: Path, name: str
) -> dict[str, Any]:
    """Writes rows as `folder/name`, sorted by subject, time and name; returns the manifest's words on it."""
    schema = table.snapshot_schema()
    # Unsorted to the disk first, so that a refusal of the store is not mistaken for one of the engine.
    unsorted, final = folder / "unsorted.parquet", folder / name
    _write(pa.RecordBatchReader.from_batches(schema, rows), unsorted, compression="lz4")
    order = ", ".join(_sort_key(table))
    ordered = engine.sql(f"SELECT * FROM read_parquet(?) ORDER BY {order}", params=[str(unsorted)])
    _write(ordered.to_arrow_reader(_ROW_GROUP).cast(schema), final, compression="zstd")
    _sync(final)
    unsorted.unlink()
    return _described(final, name, engine.execute(_measuring_statement(table), [str(final)]).fetchall()[0])


def linked(from_folder: Path, to_folder: Path, part: dict[str, Any]) -> dict[str, Any]:
    """The same part in another snapshot: one file with two names, or a copy where that cannot be."""
    source, target = from_folder / part["file"], to_folder / part["file"]
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return part


def time_ranges(parts: list[dict[str, Any]]) -> dict[str, list[int | None]]:
    """[earliest, latest] of each time over all parts; [None, None] where there is no row."""
    ranges: dict[str, list[int | None]] = {}
    for column in _RANGE_COLUMNS:
        times = [time for part in parts for time in part[column] if time is not None]
        ranges[column] = [min(times), max(times)] if times else [None, None]
    return ranges


def _write(rows: pa.RecordBatchReader, path: Path, compression: str) -> None:
    with pq.ParquetWriter(path, rows.schema, compression=compression) as writer:
        for batch in rows:
            writer.write_batch(batch, row_group_size=_ROW_GROUP)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sort_key(table: Table) -> tuple[str, ...]:
    names = table.snapshot_schema().names
    subject = "lead_id" if "lead_id" in names else names[0]
    return (f'"{subject}"', "occurred_at", '"source"', "source_id")


def _measuring_statement(table: Table) -> str:
    """Rows, the two halves of the sum of their MD5 numbers, and their range of times."""
    text = [
        f'coalesce("{field.name}"{"" if pa.types.is_string(field.type) else "::VARCHAR"}, chr(30))'
        for field in table.snapshot_schema()
    ]
    ranges = ", ".join(f"min({name}), max({name})" for name in _RANGE_COLUMNS)
    return (
        "SELECT count(*), coalesce(sum((m >> 64)::UBIGINT), 0), coalesce(sum((m & 18446744073709551615)::UBIGINT), 0),"
        f" {ranges} FROM (SELECT {', '.join(_RANGE_COLUMNS)}, md5_number(concat_ws(chr(31), {', '.join(text)})) AS m"
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
