"""Connections to the operational store: SQLite by default, PostgreSQL by URL.

Every write runs alone (SQLite: `BEGIN IMMEDIATE`; PostgreSQL: one advisory
lock), so that rows become visible in the order of their `seq` and a reader who
remembers the last one never misses another that was committed behind it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text

from data.errors import StoreUnavailable
from data.home import Home

WAIT = 10.0
"""Seconds a write waits for another to finish before it is refused."""
_PAUSE = 0.005


class DamagedValue(Exception):
    """A value that nobody can have written; `refusals` tells it as a damaged store."""


@dataclass(frozen=True)
class Area:
    """Where on PostgreSQL one kind of record lives, and what its writers wait for: other areas' writers do not wait."""

    schema: str
    lock: int
    """Key of the advisory lock; any fixed number not used by others in the database."""


STORE_AREA = Area("leadscore", 0x6C656164)
LEDGER_AREA = Area("leadscore_ledger", 0x6C656467)
_SQLITE_PRAGMAS = ("synchronous=FULL", "cache_size=-32768", "temp_store=MEMORY")


def store_url(home: Home) -> URL:
    """The store's address; SQLite's is built from its parts because a folder's name may hold `?` or `%`."""
    if not home.database_url:
        return URL.create("sqlite", database=str(home.path / "store.db"))
    url = make_url(home.database_url)
    return url.set(drivername="postgresql+psycopg") if url.drivername.startswith("postgres") else url


def store_subject(url: URL) -> str:
    """The store as messages name it, without a password."""
    where = url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    return f"store {where}"


def open_engine(url: URL, *, wait: float = WAIT, area: Area = STORE_AREA) -> Engine:
    """Engine whose transactions wait at most `wait` seconds for the write lock of `area`."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, wait)
    if url.get_backend_name() == "postgresql":
        return _postgresql(url, wait, area)
    raise StoreUnavailable(store_subject(url), url.drivername, expected="a sqlite:// or postgresql:// address")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One serialised write; committed when the block ends, rolled back when it raises."""
    with refusals(store_subject(engine.url)), _connected(engine, serialised=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One unchanging view of the store, whatever is written meanwhile."""
    level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with refusals(store_subject(engine.url)), _connected(engine, **level) as connection, connection.begin():
        yield connection


def statement(connection: Connection, sql: str) -> str:
    """`sql`, written with `?` for parameters, as the driver wants it."""
    return sql if connection.dialect.name == "sqlite" else sql.replace("?", "%s")


def select_all(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a statement, by the bare driver: the online path has no time for more."""
    cursor = raw_cursor(connection)
    try:
        cursor.execute(statement(connection, sql), parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
    finally:
        cursor.close()


def execute(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> int:
    """Runs a statement that answers no rows; returns how many it changed."""
    cursor = raw_cursor(connection)
    try:
        cursor.execute(statement(connection, sql), parameters)
        changed: int = cursor.rowcount
        return changed
    finally:
        cursor.close()


def refuse_damaged(connection: Connection, subject: str) -> None:
    """Raises StoreUnavailable where SQLite finds its file contradicting itself; reads all of it.

    A changed bit inside a value that no index holds contradicts nothing and is
    not found: SQLite keeps no checksums. PostgreSQL looks after its own pages.
    """
    if connection.dialect.name != "sqlite":
        return
    [found] = select_all(connection, "PRAGMA integrity_check(1)")[0]
    if found != "ok":
        expected, remedy = _SQLITE_REFUSALS["SQLITE_CORRUPT"]
        raise StoreUnavailable(subject, " ".join(str(found).split()), expected=expected, remedy=remedy)


def last_seq(connection: Connection, table: str) -> int:
    """The newest row's `seq`; 0 for an empty table."""
    return int(select_all(connection, f"SELECT coalesce(max(seq), 0) FROM {table}")[0][0])


def raw_cursor(connection: Connection, name: str | None = None) -> Any:
    """The driver's own cursor inside `connection`'s transaction; a named one streams on PostgreSQL."""
    driver: Any = connection.connection.dbapi_connection
    return driver.cursor(name=name) if name and connection.dialect.name == "postgresql" else driver.cursor()


@contextmanager
def refusals(subject: str) -> Iterator[None]:
    """Turns what a database may refuse (locked, full, damaged, away) into StoreUnavailable."""
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", None) or error
        refusal = (
            _damage_refusal(subject, cause) or _sqlite_refusal(subject, cause) or _postgresql_refusal(subject, cause)
        )
        if refusal is None:
            raise
        raise refusal from error


def _connected(engine: Engine, **options: Any) -> Connection:
    return engine.connect().execution_options(**options)


def _sqlite(url: URL, wait: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": wait}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Without this the driver begins transactions by guesswork and never for reads.
        connection.isolation_level = None
        _write_ahead(connection, wait)
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        serialised = connection.get_execution_options().get("serialised")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if serialised else "BEGIN")

    return engine


def _write_ahead(connection: sqlite3.Connection, wait: float) -> None:
    """WAL from the first on; of several that make the same new file SQLite refuses all but one without waiting."""
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def _postgresql(url: URL, wait: float, area: Area) -> Engine:
    options = f"-c search_path={area.schema} -c synchronous_commit=on"
    arguments = {"options": options, "connect_timeout": max(2, int(wait))}
    engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("serialised"):
            connection.execute(text(f"SET LOCAL lock_timeout = {int(wait * 1000)}"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({area.lock})"))

    return engine


def _damage_refusal(subject: str, cause: BaseException) -> StoreUnavailable | None:
    if not isinstance(cause, DamagedValue):
        return None
    expected, remedy = _SQLITE_REFUSALS["SQLITE_CORRUPT"]
    return StoreUnavailable(subject, str(cause), expected=expected, remedy=remedy)


def _sqlite_refusal(subject: str, cause: BaseException) -> StoreUnavailable | None:
    if not isinstance(cause, sqlite3.Error):
        return None
    name = getattr(cause, "sqlite_errorname", "")
    if not name and "decode to UTF-8" in str(cause):
        name = "SQLITE_CORRUPT"  # every text was written as UTF-8
    for prefix, (expected, remedy) in _SQLITE_REFUSALS.items():
        if name.startswith(prefix):
            return StoreUnavailable(subject, str(cause), expected=expected, remedy=remedy)
    return None


_SQLITE_REFUSALS = {
    "SQLITE_BUSY": ("no other process writing for so long", "wait for the other process or end it, then repeat"),
    "SQLITE_PROTOCOL": ("no other process writing for so long", "wait for the other process or end it, then repeat"),
    "SQLITE_LOCKED": ("no other process writing for so long", "wait for the other process or end it, then repeat"),
    "SQLITE_FULL": ("room on the disk", "make room and repeat; nothing of this write was kept"),
    "SQLITE_IOERR": ("a disk that reads and writes", "look after the disk and repeat; nothing of this write was kept"),
    "SQLITE_NOTADB": ("a leadscore store", "move the file away, then restore a backup or import again"),
    "SQLITE_CORRUPT": ("an undamaged store", "move the file away, then restore a backup or import again"),
    "SQLITE_CANTOPEN": ("a file that can be opened", "check that the folder is there and may be written to"),
    "SQLITE_READONLY": ("a file that may be written to", "check who owns the file and its folder"),
    "SQLITE_PERM": ("a file that may be written to", "check who owns the file and its folder"),
}


def _postgresql_refusal(subject: str, cause: BaseException) -> StoreUnavailable | None:
    # Named by module: the driver is not loaded where the store is SQLite.
    if not type(cause).__module__.startswith("psycopg"):
        return None
    from psycopg import OperationalError, errors

    said = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if isinstance(cause, errors.LockNotAvailable):
        expected, remedy = _SQLITE_REFUSALS["SQLITE_BUSY"]
    elif isinstance(cause, errors.DiskFull):
        expected, remedy = _SQLITE_REFUSALS["SQLITE_FULL"]
    elif isinstance(cause, errors.DataCorrupted | errors.IndexCorrupted):
        expected, remedy = "an undamaged store", "look after the server's disk, then restore a backup"
    elif isinstance(cause, OperationalError | errors.InsufficientPrivilege):
        expected, remedy = "a PostgreSQL server that lets us in", "check LEADSCORE_DATABASE_URL and the server"
    else:
        return None
    return StoreUnavailable(subject, said, expected=expected, remedy=remedy)
