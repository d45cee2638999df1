"""The ledger: every answer given, one row per (lead, target), its one reader and writer.

    ledger.db            online answers, and one row for each batch run
    ledger/<run>.parquet the answers of one batch run

A batch run counts from the moment its row is committed; a file without one is
what a run left that did not end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import pyarrow as pa
from sqlalchemy import URL, Connection, Engine

from data.errors import DataRefused, StoreUnavailable, UsageError
from data.home import Home
from data.store.answers import LEDGER_SCHEMA, LedgerRow, Status, Wanted, read_answers, selected_schema, write_answers
from data.store.engine import WAIT, execute, open_engine, raw_cursor, reading, select_all, writing
from data.store.files import file_sha256, rename_durably
from data.store.rows import batches

__all__ = ["LEDGER_SCHEMA", "Ledger", "LedgerRow", "Status"]

_VERSION = 1
_SQL_TYPES = {pa.string(): "TEXT", pa.int64(): "BIGINT", pa.float64(): "DOUBLE PRECISION", pa.bool_(): "BOOLEAN"}
_COLUMNS = ", ".join(f'"{name}"' for name in LEDGER_SCHEMA.names)
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Ledger:
    """Answers given, online and in batches. Safe to share between threads."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder

    @staticmethod
    def open(home: Home, *, wait: float = WAIT) -> Ledger:
        """The ledger of `home`, created when it is not there. Raises StoreUnavailable."""
        engine = open_engine(URL.create("sqlite", database=str(home.ledger_db)), wait=wait)
        try:
            _make_tables(engine)
        except BaseException:
            engine.dispose()
            raise
        return Ledger(engine, home.ledger)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, rows: Sequence[LedgerRow]) -> None:
        """Writes answers in one transaction: give many at once. Returning means committed."""
        if not rows:
            return
        marks = ", ".join("?" * len(LEDGER_SCHEMA))
        with writing(self._engine) as connection:
            cursor = raw_cursor(connection)
            cursor.executemany(f"INSERT INTO answers ({_COLUMNS}) VALUES ({marks})", map(astuple, rows))
            cursor.close()

    def append_batch(self, table: pa.Table | pa.RecordBatchReader, run_id: str, now: int) -> None:
        """Keeps one batch run's answers (LEDGER_SCHEMA); the same run again changes nothing.

        Raises UsageError for a run id that cannot name a file, DataRefused for
        other columns or a run id that already names other answers.
        """
        if not _RUN_ID.fullmatch(run_id):
            raise UsageError("run id", repr(run_id), expected="letters, digits, dots, dashes and underscores")
        unfinished = self._folder / f".unfinished-{run_id}-{os.getpid()}"
        try:
            rows = write_answers(table, unfinished)
            with writing(self._engine) as connection:
                self._keep_run(connection, unfinished, run_id, rows, now)
        finally:
            unfinished.unlink(missing_ok=True)

    def read(
        self,
        *,
        target: str | None = None,
        since: int | None = None,
        until: int | None = None,
        lead_ids: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Answers with since ≤ scored_at < until: online ones in the order of writing, then batch runs.

        `columns` leaves out what is not needed: `features` and `contributions` are most of the bytes.
        """
        found = self.batches(target=target, since=since, until=until, lead_ids=lead_ids, columns=columns)
        return pa.Table.from_batches(found, selected_schema(columns))

    def batches(
        self,
        *,
        target: str | None = None,
        since: int | None = None,
        until: int | None = None,
        lead_ids: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """As `read`, in pieces, so that memory stays flat."""
        wanted = Wanted(target, since, until, tuple(lead_ids) if lead_ids is not None else None)
        schema = selected_schema(columns)
        with reading(self._engine) as connection:
            where, parameters = wanted.statement()
            names = ", ".join(f'"{name}"' for name in schema.names)
            yield from batches(connection, schema, f"SELECT {names} FROM answers{where} ORDER BY seq", parameters)
            runs = select_all(connection, "SELECT file FROM batch_runs ORDER BY seq")
        for (file,) in runs:
            yield from read_answers(self._folder / file, schema, wanted)

    def runs(self) -> list[tuple[str, int, int]]:
        """(run id, rows, written at) of every batch run, oldest first."""
        with reading(self._engine) as connection:
            found = select_all(connection, "SELECT run_id, row_count, written_at FROM batch_runs ORDER BY seq")
        return [(str(run_id), int(rows), int(written)) for run_id, rows, written in found]

    def _keep_run(self, connection: Connection, unfinished: Path, run_id: str, rows: int, now: int) -> None:
        digest = file_sha256(unfinished)
        there = select_all(connection, "SELECT sha256 FROM batch_runs WHERE run_id = ?", (run_id,))
        if there and there[0][0] != digest:
            raise DataRefused(
                f"batch run {run_id}",
                "other answers than before",
                expected="those kept under this id",
                remedy="use a new id",
            )
        if there:
            return
        # The file first: a row that is committed never names a file that is not there.
        rename_durably(unfinished, self._folder / f"{run_id}.parquet")
        sql = "INSERT INTO batch_runs (run_id, file, row_count, sha256, written_at) VALUES (?, ?, ?, ?, ?)"
        execute(connection, sql, (run_id, f"{run_id}.parquet", rows, digest, now))


def _make_tables(engine: Engine) -> None:
    with reading(engine) as connection:
        version = select_all(connection, "PRAGMA user_version")[0][0]
    if version == _VERSION:
        return
    if version != 0:
        raise StoreUnavailable(
            f"ledger {engine.url.database}",
            f"version {version}",
            expected=f"version {_VERSION}",
            remedy="update leadscore",
        )
    columns = ", ".join(
        f'"{field.name}" {_SQL_TYPES[field.type]}{"" if field.nullable else " NOT NULL"}' for field in LEDGER_SCHEMA
    )
    with writing(engine) as connection:
        for sql in (
            f"CREATE TABLE IF NOT EXISTS answers (seq INTEGER PRIMARY KEY AUTOINCREMENT, {columns})",
            "CREATE INDEX IF NOT EXISTS ix_answers_time ON answers (target, scored_at)",
            "CREATE INDEX IF NOT EXISTS ix_answers_lead ON answers (lead_id)",
            "CREATE TABLE IF NOT EXISTS batch_runs (seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE,"
            " file TEXT NOT NULL, row_count BIGINT NOT NULL, sha256 TEXT NOT NULL, written_at BIGINT NOT NULL)",
            f"PRAGMA user_version = {_VERSION}",
        ):
            execute(connection, sql)
