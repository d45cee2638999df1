"""The ledger: every answer comes back, online and batch alike, by target, time and lead."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import product
from random import Random

import pyarrow as pa
import pytest

from data.errors import DataRefused, StoreUnavailable, UsageError
from data.home import Home
from data.store.ledger import LEDGER_SCHEMA, Ledger, LedgerRow

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
    features='[1.0, null, "広告"]',
    contributions="[0.5, 0.25]",
)
UNPROVEN = replace(
    ROW,
    status="unproven",
    **dict.fromkeys(("margin", "base", "fit", "behaviour", "probability", "score", "grade", "threshold_met")),
)


@pytest.fixture
def ledger(sqlite_home: Home) -> Ledger:
    return Ledger.open(sqlite_home)


def _table(rows: Sequence[LedgerRow]) -> pa.Table:
    return pa.table({name: [getattr(row, name) for row in rows] for name in LEDGER_SCHEMA.names}, schema=LEDGER_SCHEMA)


def _rows(table: pa.Table) -> list[LedgerRow]:
    return [LedgerRow(**row) for row in table.to_pylist()]


def test_the_columns_are_those_of_a_row() -> None:
    assert LEDGER_SCHEMA.names == [field.name for field in fields(LedgerRow)]
    optional = [field.name for field in fields(LedgerRow) if "None" in str(field.type)]
    assert [field.name for field in LEDGER_SCHEMA if field.nullable] == optional


def test_answers_come_back_as_they_were_given(ledger: Ledger, sqlite_home: Home) -> None:
    online = [ROW, UNPROVEN, replace(ROW, threshold_met=False, channel="shadow")]
    batch = [replace(ROW, channel="batch", request_id=str(i)) for i in range(3)]
    ledger.append(online)
    ledger.append([])
    ledger.append_batch(_table(batch), "2026-04-01", 7)
    ledger.close()
    with Ledger.open(sqlite_home) as again:
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
    for target, (since, until), leads in product([None, "won", "none"], spans, [None, ["L1", "L2"], []]):
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


def test_a_long_run_may_come_in_pieces(ledger: Ledger, sqlite_home: Home) -> None:
    pieces = ([replace(ROW, lead_id=f"{i}-{j}") for j in range(3)] for i in range(4))
    batches = (batch for piece in pieces for batch in _table(piece).to_batches())
    ledger.append_batch(pa.RecordBatchReader.from_batches(LEDGER_SCHEMA, batches), "run", 1)
    assert ledger.read(columns=["lead_id"])["lead_id"].to_pylist() == [f"{i}-{j}" for i in range(4) for j in range(3)]


def test_a_run_that_did_not_end_leaves_nothing(ledger: Ledger, sqlite_home: Home) -> None:
    def broken() -> object:
        yield from _table([ROW]).to_batches()
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        ledger.append_batch(pa.RecordBatchReader.from_batches(LEDGER_SCHEMA, broken()), "run", 1)
    # The file of a run whose row was never committed:
    (sqlite_home.ledger / "other.parquet").write_bytes(b"half")
    assert len(ledger.read()) == 0
    assert [file.name for file in sqlite_home.ledger.iterdir()] == ["other.parquet"]
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


def test_a_damaged_run_is_named(ledger: Ledger, sqlite_home: Home) -> None:
    ledger.append_batch(_table([ROW]), "run", 1)
    (sqlite_home.ledger / "run.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(StoreUnavailable, match=r"run\.parquet"):
        ledger.read()
    (sqlite_home.ledger / "run.parquet").unlink()
    with pytest.raises(StoreUnavailable, match=r"run\.parquet"):
        ledger.read()


def test_a_ledger_of_another_version_is_refused(sqlite_home: Home) -> None:
    Ledger.open(sqlite_home).close()
    with sqlite3.connect(sqlite_home.ledger_db) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="version 99"):
        Ledger.open(sqlite_home)
