"""History from an Ibis connection (DuckDB, Spark, a warehouse): a snapshot's tables, read piece by piece.

What is read lies on disk as a plain folder (`data.store.plain`) while it is
checked and becomes a snapshot: from then on the connection is not asked again.
Only what a batch holds is in memory, as far as the engine behind the
connection hands out batches: DuckDB does; Spark hands out a partition.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from data.company import Company
from data.errors import DataRefused, NotFound, StoreUnavailable, UsageError
from data.store.rows import BATCH
from data.tables import LEADS, TABLES, Table

if TYPE_CHECKING:
    import ibis

_Answer = TypeVar("_Answer")

COMPANY = "company"
"""The table with one row whose `document` is what company.json is in a folder; it may be absent."""
_MEMORY = "1GB"
_FILES = ("duckdb", "sqlite")
"""Engines that would make an empty file where none is."""


def is_address(history: object) -> bool:
    """Whether `--history` names a connection and not a folder."""
    return isinstance(history, str) and "://" in history


def connected(address: str) -> ibis.BaseBackend:
    """The backend behind an Ibis URL. Raises UsageError where there is none such, StoreUnavailable where it is away."""
    import ibis

    parts = urlsplit(address)
    shown = shown_address(address)
    if parts.scheme in _FILES and not Path(parts.netloc + parts.path).is_file():
        raise UsageError("--history", shown, expected=f"a {parts.scheme} file that is there")
    given = {"read_only": True} if parts.scheme == "duckdb" else {}
    try:
        backend = ibis.connect(address, **given)
    except (ValueError, ImportError, ModuleNotFoundError) as error:
        expected = f"an address that Ibis and the packages installed here understand ({_said(error, address)})"
        raise UsageError("--history", shown, expected=expected) from None
    except Exception as error:
        remedy = "see that it is there and may be read"
        raise StoreUnavailable(f"history {shown}", _said(error, address), remedy=remedy) from None
    if backend.name == "duckdb":
        backend.raw_sql("SET enable_progress_bar = false")
        backend.raw_sql(f"SET memory_limit = '{_MEMORY}'")
    return backend


def shown_address(address: str) -> str:
    """The address without who signs in, for messages."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}{parts.path}"


@contextmanager
def spooled(
    backend: ibis.BaseBackend, place: Path, company: Company | None, called: str
) -> Iterator[tuple[Path, dict[Path, str]]]:
    """A plain folder below `place` with the connection's tables, and what each file is called in messages.

    `company` counts where the connection has no table of that name. Raises
    NotFound where there are no leads or no declaration.
    """
    folder = place / f".unfinished-{os.getpid()}-tables"
    folder.mkdir()
    try:
        there = _asked(called, lambda: _names(backend))
        if LEADS.name not in there:
            remedy = "name a connection with the tables that docs/history.md describes"
            raise NotFound(called, f"no table {LEADS.name}", remedy=remedy)
        (folder / "company.json").write_text(_declared(backend, there, company, called), encoding="utf-8")
        named = {}
        for table in TABLES:
            if table.in_snapshot and table.name in there:
                file = folder / f"{table.name}.parquet"
                named[file] = f"{called}, table {table.name}"
                _write(backend, table, file, named[file])
        yield folder, named
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _names(backend: ibis.BaseBackend) -> set[str]:
    """Tables and views."""
    if backend.name != "duckdb":
        return set(backend.list_tables())
    # Ibis 12 lists by a call that DuckDB 2.0 has no more.
    sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    return {name for (name,) in backend.raw_sql(sql).fetchall()}


def _declared(backend: ibis.BaseBackend, there: set[str], company: Company | None, called: str) -> str:
    if COMPANY in there:
        found = _asked(called, lambda: backend.table(COMPANY).to_pyarrow())
        if found.num_rows != 1 or "document" not in found.column_names:
            received = f"{found.num_rows} rows of {', '.join(found.column_names)}"
            raise DataRefused(f"{called}, table {COMPANY}", received, expected="one row with a column document")
        return str(found["document"][0].as_py())
    if company is None:
        remedy = f"add the table {COMPANY} (docs/history.md), or import a mapping into this home first"
        raise NotFound(called, "no declaration of the company", remedy=remedy)
    return company.to_json()


def _write(backend: ibis.BaseBackend, table: Table, file: Path, called: str) -> None:
    known = backend.table(table.name)
    left = {"loaded_at", *(c.name for c in table.columns if c.contact)}
    chosen = known.select(*(name for name in known.columns if name not in left))
    schema = pa.schema([field.with_nullable(True) for field in chosen.schema().to_pyarrow()])
    with pq.ParquetWriter(file, schema, compression="lz4") as out:
        for batch in _guarded(called, _batches(backend, chosen, schema)):
            out.write_batch(batch)


def _batches(backend: ibis.BaseBackend, table: ibis.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if backend.name == "pyspark":
        # Ibis would hold the whole table in memory.
        rows = backend.raw_sql(backend.compile(table)).toLocalIterator()
        while some := list(islice(rows, BATCH)):
            columns = zip(*some, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        return
    if backend.name == "duckdb":
        found = backend.con.sql(backend.compile(table)).to_arrow_reader(BATCH)
    else:
        found = backend.to_pyarrow_batches(table, chunk_size=BATCH)
    for batch in found:
        yield from pa.Table.from_batches([batch]).cast(schema).to_batches()


def _asked(called: str, ask: Callable[[], _Answer]) -> _Answer:
    """What the engine answers; its faults are of many classes and become one of ours."""
    try:
        return ask()
    except Exception as error:
        raise _failed(called, error) from None


def _guarded(called: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while (batch := _asked(called, lambda: next(batches, None))) is not None:
        yield batch


def _failed(called: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(called, _said(error), remedy="see that it is there and may be read, and run this again")


def _said(error: Exception, address: str = "") -> str:
    """The first line, without who signs in."""
    lines = str(error).splitlines() or [type(error).__name__]
    user, at, _ = urlsplit(address).netloc.rpartition("@")
    return lines[0][:300].replace(user + at, "") if at else lines[0][:300]
