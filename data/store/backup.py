"""A backup of one home: what was true at one moment, while everybody goes on reading and writing.

The ledger is looked at before the store, and files are copied after both: so
every deployment an answer names is in the store, and every file that a row
names is there. Left out are snapshots, which the same history gives again
under the same hash.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from data.errors import StoreUnavailable
from data.home import Home
from data.store.archive import HOME_FOLDERS, ArchiveWriter, Progress, writing_archive
from data.store.engine import refusals, refuse_damaged, select_all
from data.store.ledger import Ledger
from data.store.ledger_versions import VERSION
from data.store.neutral import ledger_schemas, store_schemas, write_table
from data.store.operational import Store
from data.store.partitions import FOLDER, registered
from data.store.schema import HEAD
from data.times import SECOND

_JOURNALS = ("-wal", "-shm", "-journal")
_NAMED_BY_ROWS = ("ledger", FOLDER)
"""Folders of which only the files count that a row names."""


@dataclass(frozen=True)
class BackedUp:
    path: Path
    rows: dict[str, int]
    """By `store/<table>` and `ledger/<table>`."""
    files: int
    bytes: int


def backup_file(place: Path, now: int) -> Path:
    """The file to write: `place` itself, or one named by the time where it is a folder."""
    if not place.is_dir():
        return place
    at = datetime.fromtimestamp(now / SECOND, UTC)
    return place / f"leadscore-{at:%Y%m%dT%H%M%SZ}.tar"


def back_up(store: Store, ledger: Ledger, home: Home, path: Path, *, now: int, progress: Progress) -> BackedUp:
    """Writes a backup that its owner alone may read (0600).

    Raises UsageError where `path` is taken, StoreUnavailable where the disk is
    full or something to be backed up is damaged; then nothing of it stays.
    """
    with (
        writing_archive(path) as archive,
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".leadscore-backup-") as work,
        ledger.view() as answers,
        store.reading() as records,
    ):
        # A view is fixed by its first read.
        select_all(answers, "SELECT count(*) FROM batch_runs")
        select_all(records, "SELECT count(*) FROM store_identity")
        refuse_damaged(answers, f"ledger {home.ledger_db}")
        refuse_damaged(records, store.subject)
        rows = _add_tables(archive, answers, "ledger", ledger_schemas(), Path(work), progress)
        rows |= _add_tables(archive, records, "store", store_schemas(), Path(work), progress)
        files = [*_run_files(answers, home), *_partition_files(records, home), *_home_files(home)]
        for done, (name, file, sha256) in enumerate(files):
            progress("files of the home", done, len(files))
            archive.add(name, _still(file, Path(work)), sha256=sha256)
        archive.close(_manifest(home, records, rows, now))
    return BackedUp(path, rows, len(files), path.stat().st_size)


def _manifest(home: Home, records: Connection, rows: dict[str, int], now: int) -> dict[str, Any]:
    return {
        "made_at": now,
        "home": str(home.path),
        "store": {"version": HEAD, "engine": records.dialect.name},
        "ledger": {"version": VERSION},
        "rows": rows,
    }


def _add_tables(
    archive: ArchiveWriter,
    connection: Connection,
    kind: str,
    schemas: dict[str, pa.Schema],
    work: Path,
    progress: Progress,
) -> dict[str, int]:
    rows = {}
    for done, (table, schema) in enumerate(schemas.items()):
        progress(f"tables of the {kind}", done, len(schemas))
        file = work / f"{table}.parquet"
        rows[f"{kind}/{table}"] = write_table(connection, table, schema, file)
        archive.add(f"{kind}/{table}.parquet", file)
        file.unlink()
    return rows


def _run_files(answers: Connection, home: Home) -> Iterator[tuple[str, Path, str]]:
    for file, sha256 in select_all(answers, "SELECT file, sha256 FROM batch_runs ORDER BY seq"):
        yield f"home/ledger/{file}", _there(home.ledger / file), sha256


def _partition_files(records: Connection, home: Home) -> Iterator[tuple[str, Path, str]]:
    folder = home.path / FOLDER
    for partition in registered(records):
        for file, sha256 in (
            (partition.rows_file(folder), partition.sha256),
            (partition.keys_file(folder), partition.keys_sha256),
        ):
            yield f"home/{FOLDER}/{file.relative_to(folder).as_posix()}", file, sha256


def _home_files(home: Home) -> Iterator[tuple[str, Path, str]]:
    """Bundles, declarations, rejected rows, reports, tracking, and settings that lie in the home."""
    folders = (home.path / name for name in HOME_FOLDERS if name not in _NAMED_BY_ROWS)
    for file in sorted([*home.path.glob("*.toml"), *(file for folder in folders for file in _files_below(folder))]):
        yield f"home/{file.relative_to(home.path).as_posix()}", file, ""


def _files_below(folder: Path) -> Iterator[Path]:
    """Not what is being written, which a dot begins, nor a database's journal, which is in the copy `_still` makes."""
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        kept = (name for name in names if not name.startswith(".") and not name.endswith(_JOURNALS))
        yield from (file for name in kept if (file := Path(place) / name).is_file())


def _still(file: Path, work: Path) -> Path:
    """A file that nobody changes: of a SQLite database that others write to, a copy by its backup call."""
    if file.suffix != ".db":
        return file
    copy = work / "copy.db"
    copy.unlink(missing_ok=True)
    with refusals(f"file {file}"), closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _there(file: Path) -> Path:
    if not file.is_file():
        raise StoreUnavailable(
            f"ledger file {file}", "missing", expected="the answers of a batch run", remedy="restore a backup"
        )
    return file
