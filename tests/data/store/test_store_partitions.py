"""Partitions: read by lead from few row groups, compared by keys that two engines make alike, refused when damaged."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.company import Company
from data.errors import StoreUnavailable
from data.home import Home
from data.store import bulk
from data.store.history import lead_history
from data.store.keys import base_sql, content_sql, keys_of, name_sql
from data.store.operational import Store
from data.store.partition_rows import ONLINE_COLUMNS, _groups_of, partition_touchpoints
from data.store.partitions import registered
from data.store.snapshots import take_snapshot
from data.tables import LEADS, TOUCHPOINTS
from tests.data.partitioned import add_in_bulk

Rows = Callable[..., pa.Table]


def _many(rows: Rows, leads: int, each: int, seed: int = 1) -> pa.Table:
    rng = random.Random(seed)
    given = [
        {"lead_id": f"L{lead:04d}", "source_id": f"{lead}.{n}", "occurred_at": n, "detail": rng.choice([None, "料金"])}
        for lead in range(leads)
        for n in range(each)
    ]
    rng.shuffle(given)
    return rows(TOUCHPOINTS, *given)


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "ROWS_ONLINE", 50)


def test_python_and_duckdb_make_the_same_keys(rows: Rows) -> None:
    names = ["a", "a#1", "a#23", "#1", "a#1x", "料金#7", "a#1\n", "", " ", "a\x1fb"]
    given = ({"source_id": n, "detail": d, "occurred_at": -5} for n in names for d in (None, "", "ü"))
    table = rows(TOUCHPOINTS, *given)
    connection = duckdb.connect()
    connection.register("given", table.select(TOUCHPOINTS.snapshot_schema().names))
    found = connection.execute(f"SELECT {base_sql()}, {name_sql()}, {content_sql(TOUCHPOINTS)} FROM given").fetchall()
    assert found == [tuple(int(v) for v in row) for row in zip(*keys_of(TOUCHPOINTS, table), strict=True)]
    # A counted name stands beside its base.
    assert len({high for high, _, _ in found[:9]}) == 1
    assert len({low for _, low, _ in found}) == len(names)


def test_one_leads_rows_come_from_few_row_groups(sqlite_store: Store, rows: Rows) -> None:
    everything = _many(rows, leads=200, each=4)
    for start in (0, 400):
        add_in_bulk(sqlite_store, everything.slice(start, 400), now=1)
    wanted = ["L0007", "L0150", "nobody"]
    with sqlite_store.reading() as connection:
        found = partition_touchpoints(connection, sqlite_store.partitions, wanted)
        files = [p.rows_file(sqlite_store.partitions) for p in registered(connection)]
    expected = [tuple(row[c] for c in ONLINE_COLUMNS) for row in everything.to_pylist() if row["lead_id"] in wanted]
    key = lambda row: tuple(str(value) for value in row)  # noqa: E731
    assert sorted(found, key=key) == sorted(expected, key=key)
    for file in files:
        assert pq.read_metadata(file).num_row_groups == 8
        assert len(_groups_of(file, ["L0007"])) <= 2


def test_the_store_reads_and_compares_both_places(store: Store, rows: Rows) -> None:
    """On either engine: what is in a partition is there for `read` and `append`."""
    everything = _many(rows, leads=20, each=10)
    add_in_bulk(store, everything.slice(0, 150), now=1)
    again = store.append(TOUCHPOINTS, everything, now=2)
    changed = everything.slice(0, 3).set_column(5, "detail", pa.array(["other"] * 3))
    assert (again.accepted, again.unchanged, len(again.conflicts)) == (50, 150, 0)
    assert store.append(TOUCHPOINTS, changed, now=3).conflicts.equals(changed)
    by_name = [("source_id", "ascending")]
    assert store.read(TOUCHPOINTS).sort_by(by_name).equals(everything.sort_by(by_name))
    some = store.read(TOUCHPOINTS, lead_ids=["L0003", "L0004"])
    assert sorted(set(some["lead_id"].to_pylist())) == ["L0003", "L0004"]
    assert len(some) == 20


def test_a_partition_is_in_the_account_of_the_write(sqlite_store: Store, rows: Rows) -> None:
    add_in_bulk(sqlite_store, _many(rows, 3, 3), now=5, others={LEADS: rows(LEADS, {"lead_id": "L0001"})})
    with sqlite_store.reading() as connection:
        (partition,) = registered(connection)
        written = connection.exec_driver_sql("SELECT accepted FROM writes").fetchall()
    assert (partition.rows, partition.loaded_at) == (9, 5)
    assert written == [('{"leads": 1, "lead_cycles": 1, "touchpoints": 9}',)]


@pytest.mark.parametrize("damage", ["missing", "truncated", "changed"])
def test_a_damaged_partition_is_named(sqlite_store: Store, sqlite_home: Home, rows: Rows, damage: str) -> None:
    store = sqlite_store
    store.save_company(Company(), now=1)
    add_in_bulk(store, _many(rows, 3, 3), now=1, others={LEADS: rows(LEADS, {"lead_id": "L0001"})})
    with store.reading() as connection:
        (partition,) = registered(connection)
    path = partition.rows_file(store.partitions)
    kept = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        os.truncate(path, 100)
    else:
        path.write_bytes(kept[:40] + b"\x00" + kept[41:])
    with pytest.raises(StoreUnavailable, match=rf"partition {partition.name}.*restore"):
        take_snapshot(store, sqlite_home, now=1)
    if damage != "changed":
        with pytest.raises(StoreUnavailable, match=rf"partition {partition.name}.*restore"):
            lead_history(store, "L0001", as_of=10)
    path.write_bytes(kept)
    assert take_snapshot(store, sqlite_home, now=1).manifest["tables"]["touchpoints"]["rows"] == 9


def test_another_stores_partitions_in_the_same_home_are_left_alone(sqlite_home: Home, rows: Rows) -> None:
    with Store.open(sqlite_home) as store:
        add_in_bulk(store, _many(rows, 3, 3), now=1)
    kept = {path.name for path in store.partitions.iterdir()}
    for file in sqlite_home.path.glob("store.db*"):
        shutil.move(file, file.with_name(f"away-{file.name}"))
    with Store.open(sqlite_home) as other:
        add_in_bulk(other, _many(rows, 2, 2), now=1)
    assert kept < {path.name for path in store.partitions.iterdir()}
