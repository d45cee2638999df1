"""Between Arrow and a database's rows: what may come in, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from data.errors import DataRefused
from data.store.engine import DamagedValue, raw_cursor, statement
from data.tables import Column, Table

BATCH = 50_000
"""Rows in memory at once."""


def checked(table: Table, rows: pa.Table) -> pa.Table:
    """`rows` with `table.arrow_schema()`; absent optional columns become null.

    Raises DataRefused, naming table and column, for an unknown column, a
    missing or null required one, a wrong type, NaN, infinity or NUL.
    """
    schema = table.arrow_schema()
    unknown = [name for name in rows.column_names if name not in schema.names]
    if unknown:
        raise _refused(table, unknown[0], "a column this table does not have", f"only {', '.join(schema.names)}")
    columns = [_column(table, column, rows) for column in table.columns if column.name != "loaded_at"]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(table: Table, column: Column, rows: pa.Table) -> pa.ChunkedArray:
    field = table.arrow_schema().field(column.name)
    if column.name not in rows.column_names:
        if column.required:
            raise _refused(table, column.name, f"only {', '.join(rows.column_names)}", "this required column")
        return pa.chunked_array([pa.nulls(len(rows), field.type)])
    values = _cast(table, column.name, rows[column.name], field.type)
    if column.required and values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        raise _refused(table, column.name, f"null in row {row + 1}", "a value in every row")
    _refuse_unstorable(table, column.name, values)
    # SQLite forgets the sign of a zero and PostgreSQL keeps it: a zero has none here.
    return pc.add(values, 0.0) if pa.types.is_floating(values.type) else values


def _cast(table: Table, name: str, values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    # A timestamp would cast to an integer in its own unit, which need not be microseconds.
    if values.type == wanted:
        return values
    if not (pa.types.is_temporal(values.type) or (pa.types.is_string(wanted) and not _is_text(values.type))):
        try:
            return values.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    unit = " (microseconds since 1970-01-01 UTC)" if name.endswith("_at") else ""
    raise _refused(table, name, f"Arrow type {values.type}", f"Arrow type {wanted}{unit}")


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_string(inner)
        or pa.types.is_large_string(inner)
        or pa.types.is_string_view(inner)
        or pa.types.is_null(inner)
    )


def _refuse_unstorable(table: Table, name: str, values: pa.ChunkedArray) -> None:
    """SQLite turns NaN into null and PostgreSQL refuses NUL: neither store takes either."""
    if pa.types.is_floating(values.type):
        bad = pc.invert(pc.is_finite(values))
        received, expected = "NaN or infinity", "a finite number or null"
    elif pa.types.is_string(values.type):
        bad = pc.match_substring(values, "\0")
        received, expected = "text with a NUL character", "text without it"
    else:
        return
    if pc.any(bad).as_py():
        raise _refused(table, name, f"{received} in row {pc.index(bad, True).as_py() + 1}", expected)


def _refused(table: Table, column: str, received: str, expected: str) -> DataRefused:
    return DataRefused(f"table {table.name}, column {column}", received, expected=expected)


def slices(rows: pa.Table, size: int = BATCH) -> Iterator[pa.Table]:
    """`rows` in pieces of at most `size`, in order."""
    for start in range(0, len(rows), size):
        yield rows.slice(start, size)


def tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Python rows, each behind its position in `rows`."""
    return zip(range(len(rows)), *(column.to_pylist() for column in rows.columns), strict=True)


def batches(
    connection: Connection, schema: pa.Schema, sql: str, parameters: Sequence[Any] = (), size: int = BATCH
) -> Iterator[pa.RecordBatch]:
    """A statement's rows as record batches of `schema`, read as they are asked for."""
    cursor = raw_cursor(connection, name="leadscore_rows")
    try:
        cursor.execute(statement(connection, sql), parameters)
        while rows := cursor.fetchmany(size):
            columns = zip(*rows, strict=True)
            yield pa.RecordBatch.from_arrays(
                [_array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
            )
    finally:
        cursor.close()


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    # SQLite has no booleans: it answers 0 and 1.
    if pa.types.is_boolean(kind):
        values = [None if value is None else bool(value) for value in values]
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        # Nothing of another type was ever written; SQLite reads back whatever the file says.
        raise DamagedValue(f"a value that is no {kind}: {str(error).splitlines()[0]}") from None
