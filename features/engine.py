"""Batch work on this machine: DuckDB connections that spill to the home folder instead of dying."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from data.company import Company
from data.home import Home
from features.as_of import ROW_COLUMNS, Tables
from features.batch import feature_table
from features.declaration import Declaration
from features.merged import through_merges
from features.pieces import Pieces, divided, how_many
from features.spill import SpillFolder

MEMORY_LIMIT = "2GB"
COLUMNS_AT_A_TIME = 2


def local_engine(home: Home | None = None, *, memory_limit: str = MEMORY_LIMIT, threads: int | None = None) -> Backend:
    """An Ibis DuckDB backend limited to `memory_limit`, for as long as somebody holds it.

    What does not fit lies in a folder of `home` (of the system's temporary
    folder without one) that goes with the backend. It prints nothing, for the
    engine's own bar would land in a pipe.
    """
    return _limited(home, memory_limit, threads)[0]


@contextmanager
def batch_engine(home: Home, *, memory_limit: str = MEMORY_LIMIT, threads: int | None = None) -> Iterator[Backend]:
    """The same until the block ends."""
    connection, clear = _limited(home, memory_limit, threads)
    try:
        yield connection
    finally:
        connection.disconnect()
        clear()


def _limited(home: Home | None, memory_limit: str, threads: int | None) -> tuple[Backend, Callable[[], object]]:
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET enable_progress_bar = false")
    connection.raw_sql(f"SET memory_limit = '{memory_limit}'")
    if threads:
        connection.raw_sql(f"SET threads = {threads:d}")
    folder = SpillFolder.inside(home.path if home else Path(tempfile.gettempdir()))
    connection.raw_sql(f"SET temp_directory = '{str(folder.path).replace(chr(39), chr(39) * 2)}'")
    return connection, weakref.finalize(connection, folder.remove)


def feature_values(
    connection: Backend, tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company
) -> pa.Table:
    """The feature table of `rows`, computed and ordered by (lead_id, as_of); columns as `feature_table` says.

    Memory holds the answer and one piece, however long the history is.
    """
    return _in_order(list(feature_pieces(connection, tables, rows, declarations, company)))


def feature_pieces(
    connection: Backend, tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company
) -> Iterator[pa.Table]:
    """The same piece by piece (features.pieces), at least one, in no order: for who need not hold the whole."""
    tables = through_merges(tables)
    with kept(connection, rows.select(*ROW_COLUMNS)) as standing:
        count = how_many(tables, standing)
        if count == 1:
            yield connection.to_pyarrow(feature_table(tables, standing, declarations, company))
            return
        with divided(connection, tables, standing, declarations, count) as pieces:
            yield from _by_piece(connection, pieces, declarations, company)


def _by_piece(
    connection: Backend, pieces: Pieces, declarations: Sequence[Declaration], company: Company
) -> Iterator[pa.Table]:
    values = _under_their_names(pieces, declarations, company)
    sql, schema = connection.compile(values), values.schema().to_pyarrow()
    numbers = pieces.numbers()
    connection._run_pre_execute_hooks(values)
    for number in numbers:
        pieces.show(number)
        yield connection.con.sql(sql).to_arrow_table().cast(schema)


def _under_their_names(pieces: Pieces, declarations: Sequence[Declaration], company: Company) -> Table:
    values = feature_table(pieces.tables, pieces.rows, declarations, company).drop("cycle_id", "cycle_start")
    values = values.rename(number="lead_id", at="as_of")
    rows = pieces.rows.select(
        number="lead_id", lead_id="lead", cycle_id="cycle", cycle_start="cycle_start", as_of="as_of"
    )
    joined = rows.join(values, [("number", "number"), ("as_of", "at")])
    return joined.select(*ROW_COLUMNS, *(d.name for d in declarations))


def _in_order(found: list[pa.Table]) -> pa.Table:
    """The tables as one by (lead_id, as_of); a few columns at a time, for the whole may fill half of the memory."""
    whole = pa.concat_tables(found)
    found.clear()
    names, columns = whole.column_names, list(whole.columns)
    order = pc.sort_indices(whole, sort_keys=[("lead_id", "ascending"), ("as_of", "ascending")])
    del whole

    def put_in_order(number: int) -> None:
        columns[number] = columns[number].take(order)

    with ThreadPoolExecutor(COLUMNS_AT_A_TIME) as pool:
        list(pool.map(put_in_order, range(len(columns))))
    return pa.table(columns, names=names)


@contextmanager
def kept(connection: Backend, table: Table) -> Iterator[Table]:
    """`table` computed once into a temporary table."""
    name = f"kept_{uuid4().hex}"
    standing = connection.create_table(name, table, temp=True)
    try:
        yield standing
    finally:
        connection.raw_sql(f"DROP TABLE {name}")
