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
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from sqlalchemy import URL, Connection, Engine

from data.errors import DataRefused, StoreUnavailable, UsageError
from data.home import Home
from data.store.engine import WAIT, open_engine, raw_cursor, reading, refusals, select_all, store_subject, writing
from data.store.manifest import file_sha256
from data.store.rows import batches

Status = Literal["scored", "unproven", "past_target", "no_consent"]


@dataclass(frozen=True)
class LedgerRow:
    request_id: str
    lead_id: str
    target: str
    as_of: int
    """Microseconds UTC: what was known before this instant was used."""
    scored_at: int
    bundle_hash: str
    policy_id: str
    deployment_id: int
    channel: Literal["online", "batch", "shadow"]
    status: Status
    margin: float | None
    base: float | None
    fit: float | None
    behaviour: float | None
    probability: float | None
    score: int | None
    grade: str | None
    threshold_met: bool | None
    features: str
    """JSON array of the feature values in the bundle's schema order."""
    contributions: str
    """JSON array of the contributions in the same order; base + Σ = margin."""


_TEXT, _WHOLE, _NUMBER = pa.string(), pa.int64(), pa.float64()
LEDGER_SCHEMA = pa.schema(
    [
        pa.field("request_id", _TEXT, nullable=False),
        pa.field("lead_id", _TEXT, nullable=False),
        pa.field("target", _TEXT, nullable=False),
        pa.field("as_of", _WHOLE, nullable=False),
        pa.field("scored_at", _WHOLE, nullable=False),
        pa.field("bundle_hash", _TEXT, nullable=False),
        pa.field("policy_id", _TEXT, nullable=False),
        pa.field("deployment_id", _WHOLE, nullable=False),
        pa.field("channel", _TEXT, nullable=False),
        pa.field("status", _TEXT, nullable=False),
        pa.field("margin", _NUMBER),
        pa.field("base", _NUMBER),
        pa.field("fit", _NUMBER),
        pa.field("behaviour", _NUMBER),
        pa.field("probability", _NUMBER),
        pa.field("score", _WHOLE),
        pa.field("grade", _TEXT),
        pa.field("threshold_met", pa.bool_()),
        pa.field("features", _TEXT, nullable=False),
        pa.field("contributions", _TEXT, nullable=False),
    ]
)
"""The columns of LedgerRow, in its order."""

_VERSION = 1
_SQL_TYPES = {_TEXT: "TEXT", _WHOLE: "BIGINT", _NUMBER: "DOUBLE PRECISION", pa.bool_(): "BOOLEAN"}
_COLUMNS = ", ".join(f'"{name}"' for name in LEDGER_SCHEMA.names)
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ROW_GROUP = 65_536


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
            rows = _write_answers(table, unfinished)
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
        return pa.Table.from_batches(found, _selected_schema(columns))

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
        wanted = _Wanted(target, since, until, tuple(lead_ids) if lead_ids is not None else None)
        schema = _selected_schema(columns)
        with reading(self._engine) as connection:
            where, parameters = wanted.statement()
            names = ", ".join(f'"{name}"' for name in schema.names)
            yield from batches(connection, schema, f"SELECT {names} FROM answers{where} ORDER BY seq", parameters)
            runs = select_all(connection, "SELECT file FROM batch_runs ORDER BY seq")
        for (file,) in runs:
            yield from self._run_batches(file, schema, wanted)

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
        unfinished.rename(self._folder / f"{run_id}.parquet")
        sql = "INSERT INTO batch_runs (run_id, file, row_count, sha256, written_at) VALUES (?, ?, ?, ?, ?)"
        select_all(connection, sql, (run_id, f"{run_id}.parquet", rows, digest, now))

    def _run_batches(self, file: str, schema: pa.Schema, wanted: _Wanted) -> Iterator[pa.RecordBatch]:
        path = self._folder / file
        try:
            scanner = ds.dataset(path, schema=LEDGER_SCHEMA, format="parquet")
            for batch in scanner.to_batches(columns=schema.names, filter=wanted.expression()):
                if len(batch):
                    yield batch.cast(schema)
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreUnavailable(
                f"ledger file {path}", str(error), expected="the answers of a batch run", remedy="restore a backup"
            ) from None


@dataclass(frozen=True)
class _Wanted:
    target: str | None
    since: int | None
    until: int | None
    lead_ids: tuple[str, ...] | None

    def statement(self) -> tuple[str, tuple[Any, ...]]:
        clauses: list[str] = []
        parameters: list[Any] = []
        for clause, value in (
            ("target = ?", self.target),
            ("scored_at >= ?", self.since),
            ("scored_at < ?", self.until),
        ):
            if value is not None:
                clauses.append(clause)
                parameters.append(value)
        if self.lead_ids is not None:
            clauses.append(f"lead_id IN ({', '.join('?' * len(self.lead_ids))})")
            parameters.extend(self.lead_ids)
        return (" WHERE " + " AND ".join(clauses) if clauses else ""), tuple(parameters)

    def expression(self) -> pc.Expression | None:
        tests = [
            pc.field("target") == self.target if self.target is not None else None,
            pc.field("scored_at") >= self.since if self.since is not None else None,
            pc.field("scored_at") < self.until if self.until is not None else None,
            pc.field("lead_id").isin(list(self.lead_ids)) if self.lead_ids is not None else None,
        ]
        whole = None
        for test in tests:
            if test is not None:
                whole = test if whole is None else whole & test
        return whole


def _make_tables(engine: Engine) -> None:
    with refusals(store_subject(engine.url)), reading(engine) as connection:
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
            select_all(connection, sql)


def _write_answers(table: pa.Table | pa.RecordBatchReader, path: Path) -> int:
    """Writes answers as Parquet, durably; returns their number."""
    given = table.schema.names
    if sorted(given) != sorted(LEDGER_SCHEMA.names):
        differing = sorted(set(given) ^ set(LEDGER_SCHEMA.names))
        raise DataRefused("batch answers", f"columns that differ: {', '.join(differing)}", expected="LEDGER_SCHEMA")
    rows = 0
    with path.open("wb") as file:
        with pq.ParquetWriter(file, LEDGER_SCHEMA, compression="zstd") as writer:
            for batch in table.to_batches(_ROW_GROUP) if isinstance(table, pa.Table) else table:
                writer.write_batch(_as_answers(batch), row_group_size=_ROW_GROUP)
                rows += len(batch)
        file.flush()
        os.fsync(file.fileno())
    return rows


def _as_answers(batch: pa.RecordBatch) -> pa.RecordBatch:
    try:
        whole = batch.select(LEDGER_SCHEMA.names).cast(LEDGER_SCHEMA)
        whole.validate()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataRefused("batch answers", str(error), expected="the types of LEDGER_SCHEMA") from None
    for field in LEDGER_SCHEMA:
        if not field.nullable and whole[field.name].null_count:
            raise DataRefused(f"batch answers, column {field.name}", "null", expected="a value in every row")
    return whole


def _selected_schema(columns: Sequence[str] | None) -> pa.Schema:
    if columns is None:
        return LEDGER_SCHEMA
    unknown = [name for name in columns if name not in LEDGER_SCHEMA.names]
    if unknown:
        raise UsageError("ledger column", unknown[0], expected=f"one of {', '.join(LEDGER_SCHEMA.names)}")
    return pa.schema([LEDGER_SCHEMA.field(name) for name in columns])
