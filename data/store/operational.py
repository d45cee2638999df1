"""The operational store: the record of what must not be lost.

Append-only; a row is acknowledged only when it is committed, and a write of
several tables is there as a whole or not at all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Connection, Engine, insert

from data.company import Company
from data.errors import DataRefused, NotFound, UsageError
from data.home import Home
from data.store import versions
from data.store.appending import Appended, append_rows
from data.store.cycles import OPENING_TABLES, open_cycles
from data.store.deployments import Deployment, all_deployments, newest_deployment, write_deployment
from data.store.engine import (
    WAIT,
    last_seq,
    open_engine,
    reading,
    refusals,
    select_all,
    store_subject,
    store_url,
    writing,
)
from data.store.partitions import FOLDER, Prepared, register
from data.store.rows import batches, checked
from data.store.schema import COMPANY, POLICIES, RUNS, WRITES
from data.store.touchpoints import append_touchpoints, partition_batches
from data.tables import BY_NAME, LEAD_CYCLES, TOUCHPOINTS, Table

_IDS_A_STATEMENT = 500

__all__ = ["Appended", "Store", "migrate"]


def migrate(home: Home) -> tuple[str | None, str]:
    """Brings an older store up to date in one transaction; returns (version before, version now)."""
    engine = open_engine(store_url(home))
    try:
        with refusals(store_subject(engine.url)):
            return versions.bring_up_to_date(engine)
    finally:
        engine.dispose()


class Store:
    """One company's operational store. Safe to share between threads; not between processes by fork."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self._engine = engine
        self.partitions = home / FOLDER
        """Folder of the files that `data.store.partitions` registers here."""

    @staticmethod
    def open(home: Home, *, wait: float = WAIT) -> Store:
        """The store of `home`, created when it is not there; a write waits `wait` seconds for others.

        Raises StoreUnavailable when it is locked, damaged, away or of another version.
        """
        engine = open_engine(store_url(home), wait=wait)
        try:
            with refusals(store_subject(engine.url)):
                versions.ensure_current(engine)
        except BaseException:
            engine.dispose()
            raise
        return Store(engine, home.path)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def subject(self) -> str:
        """The store as messages name it."""
        return store_subject(self._engine.url)

    def reading(self) -> AbstractContextManager[Connection]:
        """One unchanging view of the store for several reads."""
        return reading(self._engine)

    # Records

    def append(self, table: Table, rows: pa.Table, *, now: int) -> Appended:
        """Adds `rows` (`table.arrow_schema()`); returning means committed. Raises DataRefused, StoreUnavailable."""
        return self.append_all({table: rows}, now=now)[table.name]

    def append_all(
        self, rows: Mapping[Table, pa.Table], *, now: int, prepared: Prepared | None = None
    ) -> dict[str, Appended]:
        """Adds rows to several tables in one transaction, by table name; opens the lead cycles they begin.

        A `prepared` partition is registered in the same transaction; Overtaken
        is raised, and nothing kept, where touchpoints were added meanwhile.

        `loaded_at` is `now`, or the newest one already written where that is later:
        it never falls in the order of commitment.
        """
        ready = {table: checked(table, _own(table, given)) for table, given in rows.items()}
        with writing(self._engine) as connection:
            loaded_at = max(now, self._last_loaded_at(connection))
            before = {name: last_seq(connection, name) for name in OPENING_TABLES if BY_NAME[name] in ready}
            if prepared:
                register(connection, prepared, loaded_at)
            appended = {table.name: self._appended(connection, table, r, loaded_at) for table, r in ready.items()}
            opened = sum(open_cycles(connection, name, after) for name, after in before.items())
            in_bulk = prepared.partition.rows if prepared else 0
            self._note_write(connection, appended, {LEAD_CYCLES.name: opened, TOUCHPOINTS.name: in_bulk}, loaded_at)
        return appended

    def read(self, table: Table, *, lead_ids: Sequence[str] | None = None) -> pa.Table:
        """All rows of a table (`table.arrow_schema()`) in the order of acceptance, or those of some leads."""
        with self.reading() as connection:
            return pa.Table.from_batches(self._selected(connection, table, lead_ids), table.arrow_schema())

    def lead_ids(self) -> list[str]:
        """Every lead's id, in the order of acceptance."""
        with self.reading() as connection:
            return [lead_id for (lead_id,) in select_all(connection, "SELECT lead_id FROM leads ORDER BY seq")]

    # What the company declared

    def company(self) -> Company | None:
        """The newest declaration, or None before the first import."""
        with self.reading() as connection:
            document = newest_company(connection)
        return Company.from_json(document) if document else None

    def save_company(self, company: Company, *, now: int) -> None:
        """Keeps a new version of the declaration; the same again changes nothing."""
        document = company.to_json()
        with writing(self._engine) as connection:
            if newest_company(connection) != document:
                connection.execute(insert(COMPANY).values(loaded_at=now, document=document))

    # Policies, deployments, runs

    def save_policy(self, policy_id: str, target: str, document: str, *, now: int) -> None:
        """Keeps a policy under its id. Raises DataRefused when the id is taken by another document."""
        with writing(self._engine) as connection:
            there = select_all(connection, "SELECT document FROM policies WHERE policy_id = ?", (policy_id,))
            if there and there[0][0] != document:
                raise DataRefused(f"policy {policy_id}", "another document", expected="the one saved under this id")
            if not there:
                row = {"policy_id": policy_id, "target": target, "loaded_at": now, "document": document}
                connection.execute(insert(POLICIES).values(row))

    def policy(self, policy_id: str) -> str:
        """A policy's JSON text. Raises NotFound."""
        with self.reading() as connection:
            rows = select_all(connection, "SELECT document FROM policies WHERE policy_id = ?", (policy_id,))
        if not rows:
            raise NotFound(f"policy {policy_id}", "no such policy in the store")
        return str(rows[0][0])

    def deploy(self, deployment: Deployment) -> Deployment:
        """Puts a bundle and a policy in force; returns the row with its id."""
        with writing(self._engine) as connection:
            return write_deployment(connection, deployment)

    def deployment(self, target: str, role: str = "champion") -> Deployment | None:
        """What is in force, or None."""
        with self.reading() as connection:
            return newest_deployment(connection, target, role)

    def deployments(self, target: str) -> list[Deployment]:
        """Every deployment of a target, oldest first."""
        with self.reading() as connection:
            return all_deployments(connection, target)

    def record_run(self, kind: str, document: str, *, now: int) -> None:
        """Keeps what one run (monitor, retune, …) found, as JSON text."""
        with writing(self._engine) as connection:
            connection.execute(insert(RUNS).values(kind=kind, occurred_at=now, document=document))

    def runs(self, kind: str) -> list[tuple[int, str]]:
        """(occurred_at, JSON text) of every run of a kind, oldest first."""
        with self.reading() as connection:
            sql = "SELECT occurred_at, document FROM runs WHERE kind = ? ORDER BY seq"
            return [(int(at), str(document)) for at, document in select_all(connection, sql, (kind,))]

    def _appended(self, connection: Connection, table: Table, rows: pa.Table, loaded_at: int) -> Appended:
        if table == TOUCHPOINTS:
            return append_touchpoints(connection, rows, loaded_at, self.partitions)
        return append_rows(connection, table, rows, loaded_at)

    def _selected(
        self, connection: Connection, table: Table, lead_ids: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        schema = table.arrow_schema()
        columns = ", ".join(f'"{name}"' for name in schema.names)
        if lead_ids is None:
            yield from batches(connection, schema, f"SELECT {columns} FROM {table.name} ORDER BY seq")
            yield from self._from_partitions(connection, table, None)
            return
        if "lead_id" not in schema.names:
            raise UsageError(f"table {table.name}", "lead_ids", expected="a table with a lead_id column")
        for start in range(0, len(lead_ids), _IDS_A_STATEMENT):
            some = tuple(lead_ids[start : start + _IDS_A_STATEMENT])
            marks = ", ".join("?" * len(some))
            sql = f"SELECT {columns} FROM {table.name} WHERE lead_id IN ({marks}) ORDER BY seq"
            yield from batches(connection, schema, sql, some)
        yield from self._from_partitions(connection, table, lead_ids)

    def _from_partitions(
        self, connection: Connection, table: Table, lead_ids: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        return partition_batches(connection, self.partitions, lead_ids) if table == TOUCHPOINTS else iter(())

    def _last_loaded_at(self, connection: Connection) -> int:
        rows = select_all(connection, "SELECT loaded_at FROM writes ORDER BY write_id DESC LIMIT 1")
        return int(rows[0][0]) if rows else 0

    def _note_write(
        self, connection: Connection, appended: dict[str, Appended], others: dict[str, int], loaded_at: int
    ) -> None:
        counts = Counter({name: result.accepted for name, result in appended.items()}) + Counter(others)
        accepted = {name: count for name, count in counts.items() if count}
        if accepted:
            connection.execute(insert(WRITES).values(loaded_at=loaded_at, accepted=json.dumps(accepted)))


def newest_company(connection: Connection) -> str | None:
    """The newest declaration's JSON text."""
    rows = select_all(connection, "SELECT document FROM company ORDER BY seq DESC LIMIT 1")
    return str(rows[0][0]) if rows else None


def _own(table: Table, rows: pa.Table) -> pa.Table:
    if table == LEAD_CYCLES:
        raise DataRefused(
            "table lead_cycles",
            f"{len(rows)} rows",
            expected="none: the store derives cycles from leads and from stage changes to recycled",
        )
    return rows
