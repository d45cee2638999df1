"""Batch work on this machine: one DuckDB connection that spills to the home folder instead of dying."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from data.company import Company
from data.home import Home
from features.as_of import ROW_COLUMNS, Tables
from features.batch import feature_table
from features.declaration import Declaration

MEMORY_LIMIT = "3GB"


@contextmanager
def batch_engine(home: Home, *, memory_limit: str = MEMORY_LIMIT, threads: int | None = None) -> Iterator[Backend]:
    """An Ibis DuckDB backend limited to `memory_limit`; what does not fit lies in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="spill-", dir=home.path) as spill:
        connection = ibis.duckdb.connect()
        connection.raw_sql(f"SET memory_limit = '{memory_limit}'")
        connection.raw_sql(f"SET temp_directory = '{spill.replace(chr(39), chr(39) * 2)}'")
        if threads:
            connection.raw_sql(f"SET threads = {threads:d}")
        try:
            yield connection
        finally:
            connection.disconnect()


def feature_values(
    connection: Backend, tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company
) -> pa.Table:
    """The feature table of `rows`, computed and ordered by (lead_id, as_of); columns as `feature_table` says.

    The rows are computed once and kept while the features are: the engine
    would otherwise search for them once a part.
    """
    with kept(connection, rows.select(*ROW_COLUMNS)) as standing:
        return connection.to_pyarrow(
            feature_table(tables, standing, declarations, company).order_by("lead_id", "as_of")
        )


@contextmanager
def kept(connection: Backend, table: Table) -> Iterator[Table]:
    """`table` computed once into a temporary table."""
    name = f"kept_{uuid4().hex}"
    standing = connection.create_table(name, table, temp=True)
    try:
        yield standing
    finally:
        connection.raw_sql(f"DROP TABLE {name}")
