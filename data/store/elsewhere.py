"""History from an Ibis connection (DuckDB, Spark, a warehouse): a snapshot's tables, read piece by piece.

What is read lies on disk as a plain folder (`data.store.plain`) while it is
checked and becomes a snapshot: from then on the connection is not asked again.
Only what a batch holds is in memory, as far as the engine behind the
connection hands out batches: DuckDB does; Spark hands out a partition.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

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
SHORTEST_SECRET = 4
"""Shorter values of an option are settings such as `ssl=1`."""
_FILES = ("duckdb", "sqlite")
"""Engines that would make an empty file where none is."""


def is_address(history: object) -> bool:
    """Whether `--history` names a connection and not a folder."""
    return isinstance(history, str) and "://" in history


def connected(address: str) -> ibis.BaseBackend:
    """The backend behind an Ibis URL. Raises UsageError where there is none such, StoreUnavailable where it is away."""
    import ibis

    shown = shown_address(address)
    scheme, _, place = shown.partition("://")
    if scheme in _FILES and not Path(place).is_file():
        raise UsageError("--history", shown, expected=f"a {scheme} file that is there")
    given = {"read_only": True} if scheme == "duckdb" else {}
    try:
        backend = ibis.connect(address, **given)
    except ImportError as error:
        expected = f"an address that the packages installed here understand ({_said(error, address)})"
        raise UsageError("--history", shown, expected=expected) from None
    except ValueError:  # its words may quote the address, and a password that is not encoded in it, in pieces
        expected = "an address that Ibis understands, with reserved characters of a password percent-encoded"
        raise UsageError("--history", shown, expected=expected) from None
    except Exception as error:
        remedy = "see that it is there and may be read"
        raise StoreUnavailable(f"history {shown}", _said(error, address), remedy=remedy) from None
    try:
        if backend.name == "duckdb":
            backend.raw_sql("SET enable_progress_bar = false")
            backend.raw_sql(f"SET memory_limit = '{_MEMORY}'")
    except Exception as error:
        backend.disconnect()
        raise _failed(f"history {shown}", error, address) from None
    return backend


def shown_address(address: str) -> str:
    """The address without who signs in and without options, for messages.

    >>> shown_address("postgres://user:pa/ss@host/database?token=x")
    'postgres://host/database'
    """
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{re.split('[?#]', rest.rpartition('@')[2])[0]}"


@contextmanager
def spooled(
    backend: ibis.BaseBackend, place: Path, company: Company | None, called: str, address: str = ""
) -> Iterator[tuple[Path, dict[Path, str]]]:
    """A plain folder below `place` with the connection's tables, and what each file is called in messages.

    `company` counts where the connection has no table of that name; what
    `address` hides is in no message. Raises StoreUnavailable where it fails,
    NotFound where there are no leads or no declaration.
    """
    folder = place / f".unfinished-{os.getpid()}-tables"
    folder.mkdir()
    try:
        there = _asked(called, address, lambda: _names(backend))
        if LEADS.name not in there:
            remedy = "name a connection with the tables that docs/history.md describes"
            raise NotFound(called, f"no table {LEADS.name}", remedy=remedy)
        (folder / "company.json").write_text(_declared(backend, there, company, called, address), encoding="utf-8")
        named = {folder / "company.json": f"{called}, table {COMPANY}"}
        for table in TABLES:
            if table.in_snapshot and table.name in there:
                file = folder / f"{table.name}.parquet"
                named[file] = f"{called}, table {table.name}"
                _write(backend, table, file, named[file], address)
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


def _declared(backend: ibis.BaseBackend, there: set[str], company: Company | None, called: str, address: str) -> str:
    if COMPANY in there:
        found = _asked(called, address, lambda: backend.table(COMPANY).to_pyarrow())
        if found.num_rows != 1 or "document" not in found.column_names:
            received = f"{found.num_rows} rows of {', '.join(found.column_names)}"
            raise DataRefused(f"{called}, table {COMPANY}", received, expected="one row with a column document")
        return str(found["document"][0].as_py())
    if company is None:
        remedy = f"add the table {COMPANY} (docs/history.md), or import a mapping into this home first"
        raise NotFound(called, "no declaration of the company", remedy=remedy)
    return company.to_json()


def _write(backend: ibis.BaseBackend, table: Table, file: Path, called: str, address: str) -> None:
    chosen, schema = _asked(called, address, lambda: _chosen(backend, table))
    with pq.ParquetWriter(file, schema, compression="lz4") as out:
        for batch in _guarded(called, address, _batches(backend, chosen, schema)):
            out.write_batch(batch)


def _chosen(backend: ibis.BaseBackend, table: Table) -> tuple[ibis.Table, pa.Schema]:
    """What is read of a table: no contact data."""
    known = backend.table(table.name)
    left = {"loaded_at", *(c.name for c in table.columns if c.contact)}
    chosen = known.select(*(name for name in known.columns if name not in left))
    return chosen, pa.schema([field.with_nullable(True) for field in chosen.schema().to_pyarrow()])


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


def _asked(called: str, address: str, ask: Callable[[], _Answer]) -> _Answer:
    """What the engine answers; its faults are of many classes and become one of ours."""
    try:
        return ask()
    except Exception as error:
        raise _failed(called, error, address) from None


def _guarded(called: str, address: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while (batch := _asked(called, address, lambda: next(batches, None))) is not None:
        yield batch


def _failed(called: str, error: Exception, address: str) -> StoreUnavailable:
    return StoreUnavailable(
        called, _said(error, address), remedy="see that it is there and may be read, and run this again"
    )


def _said(error: Exception, address: str) -> str:
    """The first line, without who signs in and without options."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    for secret in _hidden(address):
        text = text.replace(secret, "…")
    return text[:300]


def _hidden(address: str) -> list[str]:
    """All that a message must not repeat of an address, the longest first."""
    rest = address.partition("://")[2]
    user, _, place = rest.rpartition("@")
    options = re.split("[?#]", place, maxsplit=1)[1:]
    values = [pair.partition("=")[2] for some in options for pair in re.split("[&;]", some)]
    signs_in = [user, user.partition(":")[2]] if user else []
    found = (
        {address, rest, *signs_in, *options, *(v for v in values if len(v) >= SHORTEST_SECRET)}
        if options or user
        else set()
    )
    return sorted({f for one in found if one for f in (one, unquote(one))}, key=len, reverse=True)
