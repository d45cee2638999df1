"""The ledger: every answer comes back, online and batch alike, by target, time and lead."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import resource
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, fields, replace
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import DataRefused, StoreUnavailable, UsageError
from data.home import Home
from data.store.engine import execute, select_all, writing
from data.store.ledger import LEDGER_SCHEMA, Ledger, LedgerRow, Pruned, migrate_ledger
from data.store.operational import Store
from data.store.packing import pack_contributions, pack_values

ROW = LedgerRow(
    request_id="r1",
    lead_id="L1",
    target="won",
    as_of=5,
    scored_at=6,
    bundle_hash="b",
    policy_id="p",
    deployment_id=1,
    channel="online",
    status="scored",
    margin=-1.25,
    base=-2.0,
    fit=0.5,
    behaviour=0.25,
    probability=0.2227,
    score=47,
    grade="B",
    threshold_met=True,
    features=pack_values([1.0, None, "広告"]),
    contributions=pack_contributions([0.5, 0.25]),
)
UNPROVEN = replace(
    ROW,
    status="unproven",
    **dict.fromkeys(("margin", "base", "fit", "behaviour", "probability", "score", "grade", "threshold_met")),
)


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with Ledger.open(home) as opened:
        yield opened


def _table(rows: Sequence[LedgerRow]) -> pa.Table:
    return pa.table({name: [getattr(row, name) for row in rows] for name in LEDGER_SCHEMA.names}, schema=LEDGER_SCHEMA)


def _rows(table: pa.Table) -> list[LedgerRow]:
    return [LedgerRow(**row) for row in table.to_pylist()]


def test_the_columns_are_those_of_a_row() -> None:
    assert LEDGER_SCHEMA.names == [field.name for field in fields(LedgerRow)]
    optional = [field.name for field in fields(LedgerRow) if "None" in str(field.type)]
    assert [field.name for field in LEDGER_SCHEMA if field.nullable] == optional


def test_answers_come_back_as_they_were_given(ledger: Ledger, home: Home) -> None:
    online = [ROW, UNPROVEN, replace(ROW, threshold_met=False, channel="shadow")]
    batch = [replace(ROW, channel="batch", request_id=str(i)) for i in range(3)]
    ledger.append(online)
    ledger.append([])
    ledger.append_batch(_table(batch), "2026-04-01", 7)
    ledger.close()
    with Ledger.open(home) as again:
        assert _rows(again.read()) == online + batch
        assert again.read().schema.equals(LEDGER_SCHEMA)
        assert again.runs() == [("2026-04-01", 3, 7)]


def test_reading_a_part_is_reading_all_and_choosing(ledger: Ledger) -> None:
    chance = Random(3)
    rows = [
        replace(ROW, target=chance.choice(["won", "sql"]), scored_at=chance.randrange(10), lead_id=f"L{i % 4}")
        for i in range(60)
    ]
    ledger.append(rows[:20])
    ledger.append_batch(_table(rows[20:45]), "a", 1)
    ledger.append_batch(_table(rows[45:]), "b", 2)

    spans = [(None, None), (3, None), (None, 7), (3, 7), (7, 3)]
    for target, (since, until), leads in itertools.product([None, "won", "none"], spans, [None, ["L1", "L2"], []]):
        found = ledger.read(target=target, since=since, until=until, lead_ids=leads)
        assert _rows(found) == [
            row
            for row in rows
            if (target is None or row.target == target)
            and (since is None or row.scored_at >= since)
            and (until is None or row.scored_at < until)
            and (leads is None or row.lead_id in leads)
        ]


def test_only_the_columns_asked_for(ledger: Ledger) -> None:
    ledger.append([ROW])
    ledger.append_batch(_table([replace(ROW, score=None)]), "a", 1)
    found = ledger.read(columns=["score", "lead_id"])
    assert found.to_pylist() == [{"score": 47, "lead_id": "L1"}, {"score": None, "lead_id": "L1"}]
    with pytest.raises(UsageError, match="colour"):
        ledger.read(columns=["colour"])


def test_a_batch_run_counts_once_and_is_not_replaced(ledger: Ledger) -> None:
    for now in (1, 2):
        ledger.append_batch(_table([ROW]), "run", now)
    with pytest.raises(DataRefused, match="batch run run"):
        ledger.append_batch(_table([UNPROVEN]), "run", 3)
    assert _rows(ledger.read()) == [ROW]
    assert ledger.runs() == [("run", 1, 1)]


def test_a_long_run_may_come_in_pieces(ledger: Ledger, home: Home) -> None:
    pieces = ([replace(ROW, lead_id=f"{i}-{j}") for j in range(3)] for i in range(4))
    batches = (batch for piece in pieces for batch in _table(piece).to_batches())
    ledger.append_batch(pa.RecordBatchReader.from_batches(LEDGER_SCHEMA, batches), "run", 1)
    assert ledger.read(columns=["lead_id"])["lead_id"].to_pylist() == [f"{i}-{j}" for i in range(4) for j in range(3)]


def test_a_run_that_did_not_end_leaves_nothing(ledger: Ledger, home: Home) -> None:
    def broken() -> object:
        yield from _table([ROW]).to_batches()
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        ledger.append_batch(pa.RecordBatchReader.from_batches(LEDGER_SCHEMA, broken()), "run", 1)
    # The file of a run whose row was never committed:
    (home.ledger / "other.parquet").write_bytes(b"half")
    assert len(ledger.read()) == 0
    assert [file.name for file in home.ledger.iterdir()] == ["other.parquet"]
    ledger.append_batch(_table([ROW]), "other", 2)
    assert _rows(ledger.read()) == [ROW]


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".hidden", "a b", "x" * 200])
def test_a_run_id_that_names_no_file_is_refused(ledger: Ledger, run_id: str) -> None:
    with pytest.raises(UsageError, match="run id"):
        ledger.append_batch(_table([ROW]), run_id, 1)


def test_answers_of_other_columns_are_refused(ledger: Ledger) -> None:
    table = _table([ROW])
    for given, said in (
        (table.drop_columns("grade"), "grade"),
        (table.append_column("colour", pa.array(["red"])), "colour"),
        (table.set_column(1, "lead_id", pa.nulls(1, pa.string())), "lead_id"),
        (table.set_column(3, "as_of", pa.array(["monday"])), "batch answers"),
    ):
        with pytest.raises(DataRefused, match=said):
            ledger.append_batch(given, "run", 1)
    assert ledger.runs() == []


def test_a_damaged_run_is_named(ledger: Ledger, home: Home) -> None:
    ledger.append_batch(_table([ROW]), "run", 1)
    (home.ledger / "run.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(StoreUnavailable, match=r"run\.parquet"):
        ledger.read()
    (home.ledger / "run.parquet").unlink()
    with pytest.raises(StoreUnavailable, match=r"run\.parquet"):
        ledger.read()


def _set_version(home: Home, version: int) -> None:
    with Ledger.open(home) as ledger, writing(ledger._engine) as connection:
        if connection.dialect.name == "sqlite":
            execute(connection, f"PRAGMA user_version = {version}")
        else:
            execute(connection, f"UPDATE ledger_version SET version = {version}")


@pytest.mark.parametrize(("version", "remedy"), [(1, "leadscore migrate"), (99, "newer")])
def test_a_ledger_of_another_version_is_refused_with_what_to_do(home: Home, version: int, remedy: str) -> None:
    _set_version(home, version)
    with pytest.raises(StoreUnavailable, match=rf"version {version}.*{remedy}"):
        Ledger.open(home)


def test_a_newer_ledger_is_not_migrated(home: Home) -> None:
    _set_version(home, 99)
    with pytest.raises(StoreUnavailable, match="version 99"):
        migrate_ledger(home)


def test_many_may_open_an_empty_ledger_at_once(home: Home) -> None:
    with ThreadPoolExecutor(6) as pool:
        ledgers = list(pool.map(lambda _: Ledger.open(home), range(6)))
    for number, ledger in enumerate(ledgers):
        ledger.append([replace(ROW, request_id=str(number))])
    assert ledgers[0].read(columns=["request_id"])["request_id"].to_pylist() == list("012345")
    for ledger in ledgers:
        ledger.close()


def test_the_ledger_does_not_wait_for_the_store_nor_the_store_for_the_ledger(home: Home) -> None:
    with Store.open(home, wait=0.2) as store, Ledger.open(home, wait=0.2) as ledger:
        with writing(store._engine):
            ledger.append([ROW])
        with writing(ledger._engine):
            store.record_run("monitor", "{}", now=1)
        assert len(ledger.read()) == 1


def test_on_postgresql_the_ledger_has_a_schema_of_its_own_and_no_file(postgresql_url: str, tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home", postgresql_url)
    with Store.open(home) as store, Ledger.open(home) as ledger:
        ledger.append([ROW])
        sql = "SELECT table_schema FROM information_schema.tables WHERE table_name IN ('answers', 'leads')"
        with store.reading() as connection:
            assert {name for (name,) in select_all(connection, sql)} == {"leadscore", "leadscore_ledger"}
    assert not home.ledger_db.exists()


# From version 1: values and contributions as JSON text

VALUES = [1.0, None, "広告", 0.1, -3.5e-300, 240.0, "", 7.0]
PARTS = [0.1, -0.25, 5e-324, 1 / 3]


@pytest.fixture
def old_ledger(sqlite_home: Home) -> Home:
    """As the first version wrote it: three online rows and one run."""
    texts = {"features": json.dumps(VALUES, ensure_ascii=False), "contributions": json.dumps(PARTS)}
    kinds = {pa.string(): "TEXT", pa.int64(): "BIGINT", pa.float64(): "DOUBLE PRECISION", pa.bool_(): "BOOLEAN"}
    columns = ", ".join(f'"{f.name}" {kinds.get(f.type, "TEXT")}' for f in LEDGER_SCHEMA)
    rows = [{**asdict(replace(ROW, request_id=f"r{i}", scored_at=i)), **texts} for i in range(5)]
    fields_then = [pa.field(f.name, pa.string() if f.name in texts else f.type, f.nullable) for f in LEDGER_SCHEMA]
    pq.write_table(pa.Table.from_pylist(rows[3:], pa.schema(fields_then)), sqlite_home.ledger / "run.parquet")
    with closing(sqlite3.connect(sqlite_home.ledger_db)) as connection, connection:
        connection.execute(f"CREATE TABLE answers (seq INTEGER PRIMARY KEY AUTOINCREMENT, {columns})")
        connection.execute("CREATE INDEX ix_answers_time ON answers (target, scored_at)")
        connection.execute("CREATE INDEX ix_answers_lead ON answers (lead_id)")
        connection.execute(
            "CREATE TABLE batch_runs (seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE,"
            " file TEXT NOT NULL, row_count BIGINT NOT NULL, sha256 TEXT NOT NULL, written_at BIGINT NOT NULL)"
        )
        marks = ", ".join("?" * len(LEDGER_SCHEMA))
        names = ", ".join(f'"{name}"' for name in LEDGER_SCHEMA.names)
        values = [tuple(row.values()) for row in rows[:3]]
        connection.executemany(f"INSERT INTO answers ({names}) VALUES ({marks})", values)
        digest = hashlib.sha256((sqlite_home.ledger / "run.parquet").read_bytes()).hexdigest()
        connection.execute("INSERT INTO batch_runs VALUES (1, 'run', 'run.parquet', 2, ?, 9)", (digest,))
        connection.execute("PRAGMA user_version = 1")
    return sqlite_home


def test_a_ledger_of_version_1_is_refused_then_migrated_with_every_value(old_ledger: Home) -> None:
    with pytest.raises(StoreUnavailable, match="leadscore migrate"):
        Ledger.open(old_ledger)
    assert migrate_ledger(old_ledger) == (1, 2)
    assert migrate_ledger(old_ledger) == (2, 2)
    with Ledger.open(old_ledger) as ledger:
        found = _rows(ledger.read())
        assert [row.values() for row in found] == [VALUES] * 5
        assert [row.parts() for row in found] == [tuple(PARTS)] * 5
        packed = {"features": found[0].features, "contributions": found[0].contributions}
        assert found == [replace(ROW, request_id=f"r{i}", scored_at=i, **packed) for i in range(5)]
        assert ledger.runs() == [("run", 2, 9)]
        ledger.append_batch(_table([ROW]), "another", 10)
        assert len(ledger.read(since=4)) == 2
    assert sorted(file.name for file in old_ledger.ledger.iterdir()) == ["another.parquet", "run~2.parquet"]


def test_a_migration_that_is_interrupted_changes_nothing(old_ledger: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (old_ledger.ledger / "run.parquet").rename(old_ledger.ledger / "elsewhere")
    before = old_ledger.ledger_db.read_bytes()
    with pytest.raises(StoreUnavailable, match=r"run\.parquet"):
        migrate_ledger(old_ledger)
    with pytest.raises(StoreUnavailable, match="leadscore migrate"):
        Ledger.open(old_ledger)
    (old_ledger.ledger / "elsewhere").rename(old_ledger.ledger / "run.parquet")
    assert migrate_ledger(old_ledger) == (1, 2)
    assert len(before) > 0


# Retention


def _scored(*times: int) -> list[LedgerRow]:
    return [replace(ROW, scored_at=at, request_id=str(at)) for at in times]


def _fill(ledger: Ledger) -> None:
    ledger.append(_scored(10, 99, 100, 101, 5))
    for run_id, times in (("old", (1, 99)), ("straddling", (1, 100)), ("young", (200, 300)), ("empty", ())):
        ledger.append_batch(_table(_scored(*times)), run_id, max(times, default=50))


def _kept(ledger: Ledger) -> list[int]:
    found: list[int] = ledger.read(columns=["scored_at"])["scored_at"].to_pylist()
    return found


def test_what_is_older_goes_and_nothing_younger(ledger: Ledger, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.store.ledger._DELETED_AT_ONCE", 1)
    _fill(ledger)
    assert ledger.prune(before=100) == Pruned(answers=3, runs=2)
    assert _kept(ledger) == [100, 101, 1, 100, 200, 300]
    assert [run_id for run_id, _, _ in ledger.runs()] == ["straddling", "young"]
    assert sorted(file.name for file in home.ledger.iterdir()) == ["straddling.parquet", "young.parquet"]
    assert ledger.prune(before=100) == Pruned(0, 0)


def test_a_prune_that_is_interrupted_leaves_what_is_whole_and_the_next_goes_on(
    ledger: Ledger, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(ledger)
    monkeypatch.setattr("data.store.ledger._DELETED_AT_ONCE", 2)
    young = [100, 101, 1, 100, 200, 300]
    really = Ledger._deleted
    for stop in range(3):  # before the first commit, between two, before the runs
        steps = itertools.count()

        def interrupted(self: Ledger, sql: str, before: int, steps: Iterator[int] = steps, stop: int = stop) -> int:
            if next(steps) == stop:
                raise KeyboardInterrupt
            return really(self, sql, before)

        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "_deleted", interrupted)
            with pytest.raises(KeyboardInterrupt):
                ledger.prune(before=100)
        assert [at for at in _kept(ledger) if at >= 100] == [at for at in young if at >= 100]
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "sweep", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ledger.prune(before=100)
    assert (home.ledger / "old.parquet").exists()
    assert _kept(ledger) == young
    ledger.prune(before=100)
    assert sorted(file.name for file in home.ledger.iterdir()) == ["straddling.parquet", "young.parquet"]


def test_files_that_somebody_reads_are_left_for_the_next_prune(ledger: Ledger, home: Home) -> None:
    _fill(ledger)
    with ledger.view():
        ledger.prune(before=100)
        assert (home.ledger / "old.parquet").exists()
    ledger.prune(before=100)
    assert not (home.ledger / "old.parquet").exists()


def test_reading_goes_on_unchanged_while_another_prunes(ledger: Ledger, home: Home) -> None:
    _fill(ledger)
    pieces = ledger.batches(columns=["scored_at"])
    found = next(pieces)["scored_at"].to_pylist()
    with Ledger.open(home) as other:
        other.prune(before=1000)
    found += [at for piece in pieces for at in piece["scored_at"].to_pylist()]
    assert found == [10, 99, 100, 101, 5, 1, 99, 1, 100, 200, 300]


def test_a_full_disk_while_a_run_is_written_keeps_nothing_of_it(ledger: Ledger, home: Home) -> None:
    ledger.append_batch(_table([ROW]), "first", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    many = _table([replace(ROW, request_id=os.urandom(16).hex()) for _ in range(2000)])
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StoreUnavailable, match="make room"):
            ledger.append_batch(many, "second", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handled)
    assert ledger.runs() == [("first", 1, 1)]
    assert [file.name for file in home.ledger.iterdir()] == ["first.parquet"]
    ledger.append_batch(many, "second", 3)
    assert len(ledger.read()) == 2001
