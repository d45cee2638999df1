"""Reads Parquet files in batches, and refuses in words those that are damaged, nested, or far larger than they look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.errors import DataRefused

ROWS = 1 << 17
"""Rows decoded at once."""
ROWS_A_BYTE = 10
"""Rows for each byte of the file, at most: rows that differ in their id take a byte each, or nearly."""
FEW_ROWS = 1_000_000
TIMES_LARGER = 1_000
"""What the file says it unpacks to, at most, as a multiple of its size."""
HARMLESS = 64 << 20
"""Files that unpack to no more than this are never too large."""
LARGEST_BATCH = 1 << 30
"""Bytes of text in ROWS rows, at most."""
PLAIN = "columns of plain values"


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file, its footer read. Raises DataRefused where it is none, is cut off, or would expand enormously."""
    try:
        file = pq.ParquetFile(path, read_dictionary=_texts(path))
    except (pa.ArrowException, OSError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "export it again; a file cut off in transfer ends like this. CSV is named *.csv"
        raise DataRefused(path.name, told, expected="a whole Parquet file", remedy=remedy) from None
    _refuse_bomb(path, file.metadata)
    return file


def _texts(path: Path) -> list[str]:
    """Text columns, which are read as dictionaries: a text repeated a million times is held once."""
    schema = pq.read_schema(path)
    return [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]


def _refuse_bomb(path: Path, about: pq.FileMetaData) -> None:
    size = path.stat().st_size
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    if unpacked > max(HARMLESS, TIMES_LARGER * size):
        told = f"{size:,} bytes that unpack to {unpacked:,}"
    elif about.num_rows > max(FEW_ROWS, ROWS_A_BYTE * size):
        told = f"{about.num_rows:,} rows in {size:,} bytes"
    else:
        return
    expected = f"at most {TIMES_LARGER:,} times its size, and {ROWS_A_BYTE} rows a byte"
    raise DataRefused(path.name, told, expected=expected, remedy="look at what wrote the file; split it if it is right")


def parquet_batches(path: Path, wanted: list[str]) -> Iterator[tuple[pa.Table, pa.Array]]:
    """(rows, their numbers from 1) of the columns `wanted`, text plain, in file order."""
    file = open_parquet(path)
    _refuse_nested(path, file.schema_arrow, wanted)
    seen = 0
    try:
        for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
            rows = _decoded(path, batch, seen)
            yield rows, pa.array(range(seen + 1, seen + batch.num_rows + 1), pa.int64())
            seen += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        remedy = "export it again"
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataRefused(
            f"{path.name}, after row {seen}", told, expected="a whole Parquet file", remedy=remedy
        ) from None


def _refuse_nested(path: Path, schema: pa.Schema, wanted: list[str]) -> None:
    nested = [f"{name} ({schema.field(name).type})" for name in wanted if pa.types.is_nested(schema.field(name).type)]
    if nested:
        remedy = "export its parts as columns of their own, or take it out of the mapping"
        raise DataRefused(f"{path.name}, column {nested[0]}", "nested values", expected=PLAIN, remedy=remedy)


def _decoded(path: Path, batch: pa.RecordBatch, seen: int) -> pa.Table:
    """Dictionary and large strings as plain text, so that one code path reads all files."""
    arrays = [_plain(path, name, batch.column(i), seen) for i, name in enumerate(batch.schema.names)]
    return pa.Table.from_batches([pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)])


def _plain(path: Path, name: str, values: pa.Array, seen: int) -> pa.Array:
    kind = values.type
    if pa.types.is_dictionary(kind):
        _refuse_enormous(path, name, values, seen)
        values = values.dictionary_decode()
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type) or pa.types.is_null(values.type):
        values = values.cast(pa.string())
    return values


def _refuse_enormous(path: Path, name: str, values: pa.DictionaryArray, seen: int) -> None:
    """A long text repeated in every row is a few bytes in the file and more than the memory here."""
    if not pa.types.is_string(values.dictionary.type) and not pa.types.is_large_string(values.dictionary.type):
        return
    lengths = pc.cast(pc.binary_length(values.dictionary), pa.int64())
    size = pc.sum(lengths.take(values.indices)).as_py() or 0
    if size > LARGEST_BATCH:
        told = f"{size:,} bytes of text in {len(values):,} rows"
        expected = f"at most {LARGEST_BATCH:,}"
        raise DataRefused(f"{path.name}, column {name}, after row {seen}", told, expected=expected)
