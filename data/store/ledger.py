"""The ledger: every answer given, one row per (lead, target), its one reader and writer.

    ledger.db            online answers, and one row for each batch run;
                         on PostgreSQL the schema `leadscore_ledger` instead
    ledger/<run>.parquet the answers of one batch run

A batch run counts from the moment its row is committed; a file without one is
what a run left that did not end, or that was deleted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
from sqlalchemy import URL, Connection, Engine

from data.errors import DataRefused, UsageError
from data.home import Home
from data.store import ledger_versions
from data.store.answers import LEDGER_SCHEMA, LedgerRow, Status, Wanted, Written, read_answers, selected_schema
from data.store.answers import write_answers as write_file
from data.store.engine import (
    LEDGER_AREA,
    WAIT,
    execute,
    open_engine,
    raw_cursor,
    reading,
    select_all,
    statement,
    store_url,
    writing,
)
from data.store.files import file_refusals, file_sha256, folder_lock, rename_durably
from data.store.ledger_versions import insert_statement
from data.store.rows import batches

__all__ = ["LEDGER_SCHEMA", "Ledger", "LedgerRow", "Pruned", "Status", "migrate_ledger"]

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UNFINISHED = ".unfinished-"
_ROW = attrgetter(*LEDGER_SCHEMA.names)
_DELETED_AT_ONCE = 20_000
"""Rows deleted in one commit, so that the service's writer gets its turn in between."""


@dataclass(frozen=True)
class Pruned:
    """What was deleted."""

    answers: int
    """Online."""
    runs: int


def migrate_ledger(home: Home) -> tuple[int, int]:
    """Brings an older ledger up to date in one transaction; returns (version before, version now)."""
    engine = _engine(home, WAIT)
    try:
        versions = ledger_versions.migrate_ledger(engine, home.ledger)
        Ledger(engine, home.ledger).sweep()
        return versions
    finally:
        engine.dispose()


def _engine(home: Home, wait: float) -> Engine:
    url = store_url(home)
    if url.get_backend_name() != "postgresql":
        url = URL.create("sqlite", database=str(home.ledger_db))
    return open_engine(url, wait=wait, area=LEDGER_AREA)


class Ledger:
    """Answers given, online and in batches. Safe to share between threads."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder

    @staticmethod
    def open(home: Home, *, wait: float = WAIT) -> Ledger:
        """The ledger of `home`, created when it is not there. Raises StoreUnavailable."""
        engine = _engine(home, wait)
        try:
            ledger_versions.ensure_ledger(engine)
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
        with writing(self._engine) as connection:
            cursor = raw_cursor(connection)
            cursor.executemany(statement(connection, insert_statement("answers")), [_ROW(row) for row in rows])
            cursor.close()

    def append_batch(self, table: pa.Table | pa.RecordBatchReader, run_id: str, now: int) -> None:
        """Keeps one batch run's answers (LEDGER_SCHEMA); the same run again changes nothing.

        Raises UsageError for a run id that cannot name a file, DataRefused for
        other columns or a run id that already names other answers,
        StoreUnavailable where the disk is full.
        """
        if not _RUN_ID.fullmatch(run_id):
            raise UsageError("run id", repr(run_id), expected="letters, digits, dots, dashes and underscores")
        unfinished = self._folder / f"{_UNFINISHED}{run_id}-{os.getpid()}"
        with folder_lock(self._folder), file_refusals(f"batch run {run_id}"):
            try:
                written = write_file(table, unfinished)
                with writing(self._engine) as connection:
                    self._keep_run(connection, unfinished, run_id, written, now)
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
        names = ", ".join(f'"{name}"' for name in schema.names)
        with self.view() as connection:
            where, parameters = wanted.statement(connection.dialect.name)
            yield from batches(connection, schema, f"SELECT {names} FROM answers{where} ORDER BY seq", parameters)
            for file in _run_files(connection, since, until):
                yield from read_answers(self._folder / file, schema, wanted)

    def runs(self) -> list[tuple[str, int, int]]:
        """(run id, rows, written at) of every batch run, oldest first."""
        with reading(self._engine) as connection:
            found = select_all(connection, "SELECT run_id, row_count, written_at FROM batch_runs ORDER BY seq")
        return [(str(run_id), int(rows), int(written)) for run_id, rows, written in found]

    @contextmanager
    def view(self) -> Iterator[Connection]:
        """One unchanging view of the rows; the files of the runs in it stay while it is held."""
        with folder_lock(self._folder), reading(self._engine) as connection:
            yield connection

    def prune(self, *, before: int) -> Pruned:
        """Deletes online answers with scored_at < before, and batch runs all of whose answers are so old.

        In many small commits, rows before files: wherever it is interrupted,
        what is left is whole, and the next prune goes on.
        """
        answers = 0
        online = (
            f"DELETE FROM answers WHERE seq IN (SELECT seq FROM answers WHERE scored_at < ? LIMIT {_DELETED_AT_ONCE})"
        )
        while deleted := self._deleted(online, before):
            answers += deleted
        runs = self._deleted("DELETE FROM batch_runs WHERE coalesce(newest, written_at) < ?", before)
        self.sweep()
        return Pruned(answers, runs)

    def sweep(self) -> None:
        """Deletes files that no run's row names; leaves them for another time while anybody reads or writes runs."""
        with folder_lock(self._folder, alone=True) as mine:
            if not mine:
                return
            with reading(self._engine) as connection:
                named = set(_run_files(connection, None, None))
            for file in self._folder.iterdir():
                if file.name.startswith(_UNFINISHED) or (file.suffix == ".parquet" and file.name not in named):
                    file.unlink(missing_ok=True)

    def _deleted(self, sql: str, before: int) -> int:
        with writing(self._engine) as connection:
            return execute(connection, sql, (before,))

    def _keep_run(self, connection: Connection, unfinished: Path, run_id: str, written: Written, now: int) -> None:
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
        name = f"{run_id}.parquet"
        rename_durably(unfinished, self._folder / name)
        row = (run_id, name, written.rows, digest, now, written.oldest, written.newest)
        execute(connection, insert_statement("batch_runs"), row)


def _run_files(connection: Connection, since: int | None, until: int | None) -> list[str]:
    """Files of the runs that may hold answers with since ≤ scored_at < until."""
    sql = "SELECT file, oldest, newest FROM batch_runs ORDER BY seq"
    return [
        str(file)
        for file, oldest, newest in select_all(connection, sql)
        if (since is None or newest is None or newest >= since) and (until is None or oldest is None or oldest < until)
    ]
