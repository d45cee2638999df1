"""A backup into an empty home, on either engine: all of it or nothing.

The backup is verified to its last byte before anything is written. Files are
unpacked and databases filled in a folder aside; only then do they move to
their places, the store last, for a home without it holds nothing yet.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, text

from data.errors import DataRefused, UsageError
from data.home import Home
from data.store.archive import Archive, Progress, read_archive
from data.store.engine import (
    LEDGER_AREA,
    STORE_AREA,
    Area,
    open_engine,
    reading,
    select_all,
    store_subject,
    store_url,
    writing,
)
from data.store.files import file_refusals, folder_lock
from data.store.ledger_versions import VERSION, make_ledger
from data.store.neutral import load_table
from data.store.schema import HEAD
from data.store.versions import run_migrations, store_version

_ASIDE = ".restoring"
_LAST = ("ledger.db", "store.db")


@dataclass(frozen=True)
class Restored:
    made_at: int
    """When the backup was made."""
    rows: dict[str, int]
    files: int


def restore(path: Path, home: Home, *, progress: Progress) -> Restored:
    """Puts a backup into `home`, whichever engine it came from.

    Raises UsageError for a home or database that is not empty, DataRefused for
    a backup that is damaged or of a newer format, StoreUnavailable where the
    disk is full; then the home is as it was.
    """
    archive = read_archive(path, progress)
    _refuse_newer(archive)
    with folder_lock(home.path, alone=True) as mine, file_refusals(f"home {home.path}"):
        if not mine:
            raise UsageError(f"home {home.path}", "a home that another restore is filling", expected="an empty one")
        shutil.rmtree(home.path / _ASIDE, ignore_errors=True)
        _refuse_unless_empty(home)
        try:
            return _filled(archive, home, progress)
        finally:
            shutil.rmtree(home.path / _ASIDE, ignore_errors=True)


def _filled(archive: Archive, home: Home, progress: Progress) -> Restored:
    aside = home.path / _ASIDE
    archive.extract(aside, progress)
    # What is SQLite is built aside, too, and moves with the files.
    built = replace(home, path=aside / "home")
    built.path.mkdir(exist_ok=True)
    _repoint_tracking(built.path / "tracking" / "mlflow.db", str(archive.manifest["home"]), str(home.path))
    rows: dict[str, int] = {}
    on_server = home.database_url.startswith("postgres")
    if not on_server:
        with _disposed(open_engine(_ledger_url(built))) as engine, writing(engine) as connection:
            rows |= _load_ledger(connection, archive, aside, progress)
    with _disposed(open_engine(store_url(built))) as engine, writing(engine) as connection:
        _refuse_a_store(connection)  # nobody else can make one now
        if on_server:
            rows |= _load_ledger(connection, archive, aside, progress)
            _enter(connection, STORE_AREA)
        rows |= _load_store(connection, archive, aside, progress)
        if home.database_url:
            _move(built.path, home.path)  # before the commit that makes the store be there
    if not home.database_url:
        _move(built.path, home.path)
    return Restored(int(archive.manifest["made_at"]), rows, len(archive.files) - len(rows))


def _ledger_url(built: Home) -> URL:
    return URL.create("sqlite", database=str(built.ledger_db))


def _enter(connection: Connection, area: Area) -> None:
    """Later statements of this transaction mean the tables of `area`."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL search_path = {area.schema}"))


def _load_ledger(connection: Connection, archive: Archive, aside: Path, progress: Progress) -> dict[str, int]:
    _enter(connection, LEDGER_AREA)
    make_ledger(connection)
    return _load(connection, "ledger", archive, aside, progress)


def _load_store(connection: Connection, archive: Archive, aside: Path, progress: Progress) -> dict[str, int]:
    """As the version that was backed up, then brought up to date."""
    run_migrations(connection, str(archive.manifest["store"]["version"]))
    rows = _load(connection, "store", archive, aside, progress)
    run_migrations(connection)
    return rows


def _load(connection: Connection, kind: str, archive: Archive, aside: Path, progress: Progress) -> dict[str, int]:
    names = [name for name in archive.files if name.startswith(f"{kind}/")]
    rows = {}
    for done, name in enumerate(names):
        progress(f"tables of the {kind}", done, len(names))
        rows[name.removesuffix(".parquet")] = load_table(connection, Path(name).stem, aside / name)
    return rows


@contextmanager
def _disposed(engine: Engine) -> Iterator[Engine]:
    """The engine; its journal is in the database's file when the block ends."""
    try:
        yield engine
    finally:
        engine.dispose()


def _move(source: Path, target: Path) -> None:
    for entry in sorted(source.iterdir(), key=lambda entry: (entry.name in _LAST, entry.name == _LAST[-1], entry.name)):
        entry.rename(target / entry.name)


def _repoint_tracking(database: Path, before: str, now: str) -> None:
    """MLflow keeps whole paths of its artefacts: those of the home that was backed up are now those of this one."""
    if not database.exists() or before == now:
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in _PATHS_IN_TRACKING:
            if column in [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]:
                sql = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
                connection.execute(sql, (f"file://{before}/tracking/", f"file://{now}/tracking/"))


_PATHS_IN_TRACKING = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


def _refuse_newer(archive: Archive) -> None:
    store, ledger = str(archive.manifest["store"]["version"]), int(archive.manifest["ledger"]["version"])
    if store > HEAD or ledger != VERSION:
        raise DataRefused(
            f"backup {archive.path}",
            f"a store of version {store} and a ledger of version {ledger}",
            expected=f"at most {HEAD} and {VERSION}",
            remedy="install the leadscore that wrote it, or a newer one",
        )


def _refuse_unless_empty(home: Home) -> None:
    files = [entry.relative_to(home.path) for entry in home.path.rglob("*") if not entry.is_dir()]
    if files:
        raise UsageError(
            f"home {home.path}",
            f"{len(files):,} files in {', '.join(sorted({file.parts[0] for file in files}))}",
            expected="an empty folder",
            remedy="choose another --home",
        )
    if home.database_url:
        with _disposed(open_engine(store_url(home))) as engine, reading(engine) as connection:
            _refuse_a_store(connection)
    for folder in sorted((entry for entry in home.path.rglob("*")), reverse=True):
        folder.rmdir()


def _refuse_a_store(connection: Connection) -> None:
    if store_version(connection) is not None or _has_ledger(connection):
        raise UsageError(
            store_subject(connection.engine.url),
            "a store that is there",
            expected="a database without one",
            remedy=f"name another by LEADSCORE_DATABASE_URL, or drop its schemas {STORE_AREA.schema} and "
            f"{LEDGER_AREA.schema}",
        )


def _has_ledger(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return False
    sql = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = ?"
    return bool(select_all(connection, sql, (LEDGER_AREA.schema,)))
