"""Snapshots: the same content has the same name, however it came; damage is refused; nothing personal is in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.company import Company, Target
from data.errors import DataRefused, NotFound
from data.home import Home
from data.store import manifest, snapshot_tables
from data.store.files import file_sha256
from data.store.operational import Store
from data.store.snapshots import latest_snapshot, open_snapshot, take_snapshot
from data.tables import ACCOUNTS, CONSENTS, LEAD_ATTRIBUTES, LEADS, PERSONS, TABLES, TOUCHPOINTS, Table

Rows = Callable[..., pa.Table]
COMPANY = Company(targets=(Target("won", "won", 30),))


def _history(rows: Rows) -> dict[Table, pa.Table]:
    """A little of everything, in no order, with nulls, empty texts, negative zero and equal times."""
    numbers = [5, 3, 9, 1, 7, 2, 8]
    return {
        LEADS: rows(LEADS, *({"lead_id": f"L{n}", "source_id": f"l{n}", "account_id": None} for n in numbers)),
        TOUCHPOINTS: rows(
            TOUCHPOINTS,
            *(
                {"lead_id": f"L{n % 4}", "source_id": f"t{n}", "occurred_at": n % 3, "recorded_at": 10 + n}
                | ({"detail": "" if n % 2 else "料金"} if n % 3 else {})
                for n in numbers
            ),
        ),
        LEAD_ATTRIBUTES: rows(
            LEAD_ATTRIBUTES,
            *({"lead_id": "L1", "source_id": f"a{n}", "number": v} for n, v in enumerate([0.1, -0.0, 1e300, None])),
        ),
        CONSENTS: rows(CONSENTS, {"granted": True}, {"granted": False}),
        ACCOUNTS: rows(ACCOUNTS, {"name": "山田商事㈱"}),
        PERSONS: rows(PERSONS, {"person_id": "P1", "name": "山田太郎", "email": "taro@example.com", "phone": "03-1"}),
    }


def _fill(store: Store, history: dict[Table, pa.Table]) -> None:
    store.save_company(COMPANY, now=1)
    store.append_all(history, now=1)


def test_a_snapshot_holds_what_the_store_holds_sorted_and_typed(store: Store, home: Home, rows: Rows) -> None:
    _fill(store, _history(rows))

    snapshot = take_snapshot(store, home, now=100)

    for table in (t for t in TABLES if t.in_snapshot):
        files = snapshot.files(table.name)
        found = pa.concat_tables([pq.read_table(file) for file in files])
        assert found.schema.equals(table.snapshot_schema())
        subject = "lead_id" if "lead_id" in found.column_names else found.column_names[0]
        key = [subject, "occurred_at", "source", "source_id"]
        stored = store.read(table).select(found.column_names)
        expected = sorted(stored.to_pylist(), key=lambda row: tuple(row[k] for k in key))
        assert found.to_pylist() == expected
        assert snapshot.manifest["tables"][table.name]["rows"] == len(expected)
    touchpoints = snapshot.manifest["tables"]["touchpoints"]
    assert (touchpoints["occurred_at"], touchpoints["recorded_at"]) == ([0, 2], [11, 19])
    assert snapshot.manifest["tables"]["merges"]["occurred_at"] == [None, None]
    assert snapshot.manifest["taken_at"] == 100


def test_ibis_reads_every_table_with_its_types(sqlite_store: Store, sqlite_home: Home, rows: Rows) -> None:
    _fill(sqlite_store, _history(rows))
    tables = take_snapshot(sqlite_store, sqlite_home, now=1).tables(ibis.duckdb.connect())
    assert set(tables) == {t.name for t in TABLES if t.in_snapshot}
    assert tables["touchpoints"].occurred_at.type().is_int64()
    assert tables["consents"].granted.sum().execute() == 1
    assert tables["merges"].count().execute() == 0


def test_two_snapshots_live_in_one_connection(sqlite_store: Store, sqlite_home: Home, rows: Rows) -> None:
    _fill(sqlite_store, _history(rows))
    first = take_snapshot(sqlite_store, sqlite_home, now=1)
    sqlite_store.append(LEADS, rows(LEADS, {"lead_id": "new", "source_id": "new"}), now=2)
    second = take_snapshot(sqlite_store, sqlite_home, now=2)
    connection = ibis.duckdb.connect()
    assert [s.tables(connection)["leads"].count().execute() for s in (first, second)] == [7, 8]


def test_the_same_history_has_the_same_hash_however_it_came(tmp_path: Path, postgresql_url: str, rows: Rows) -> None:
    """Whole, in pieces in another order, with a snapshot between the pieces, and on the other engine."""
    history = _history(rows)
    hashes = []
    for name, url in (("whole", ""), ("pieces", ""), ("between", ""), ("server", postgresql_url)):
        home = Home.at(tmp_path / name, url)
        with Store.open(home) as store:
            if name in ("whole", "server"):
                _fill(store, history)
            else:
                store.save_company(COMPANY, now=1)
                for table, table_rows in reversed(history.items()):
                    for start in reversed(range(0, len(table_rows), 2)):
                        store.append(table, table_rows.slice(start, 2), now=start)
                        if name == "between":
                            take_snapshot(store, home, now=start)
            hashes.append(take_snapshot(store, home, now=len(hashes)).hash)
    assert len(set(hashes)) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda store, rows: store.append(TOUCHPOINTS, rows(TOUCHPOINTS, {"source_id": "more"}), now=2),
        lambda store, rows: store.save_company(Company(), now=2),
    ],
)
def test_other_content_has_another_hash(
    sqlite_store: Store, sqlite_home: Home, rows: Rows, change: Callable[[Store, Rows], object]
) -> None:
    _fill(sqlite_store, _history(rows))
    before = take_snapshot(sqlite_store, sqlite_home, now=1)
    change(sqlite_store, rows)
    after = take_snapshot(sqlite_store, sqlite_home, now=2)
    assert before.hash != after.hash
    assert open_snapshot(before.path) == before
    assert latest_snapshot(sqlite_home) == after


@pytest.mark.parametrize("changed", [{"detail": None}, {"detail": "", "channel": "料金"}, {"occurred_at": 1}])
def test_one_value_makes_another_hash(tmp_path: Path, rows: Rows, changed: dict[str, object]) -> None:
    hashes = set()
    for name, row in (("a", {"detail": "料金", "channel": ""}), ("b", {"detail": "料金", "channel": "", **changed})):
        home = Home.at(tmp_path / name)
        with Store.open(home) as store:
            _fill(store, {TOUCHPOINTS: rows(TOUCHPOINTS, row)})
            hashes.add(take_snapshot(store, home, now=1).hash)
    assert len(hashes) == 2


def test_nothing_new_is_no_new_snapshot(store: Store, home: Home, rows: Rows) -> None:
    _fill(store, _history(rows))
    first = take_snapshot(store, home, now=1)
    written = first.path.stat().st_mtime_ns
    store.append_all(_history(rows), now=2)
    store.append(PERSONS, rows(PERSONS, {"source_id": "another"}), now=2)

    assert take_snapshot(store, home, now=3) == first
    assert first.path.stat().st_mtime_ns == written
    assert first.manifest["taken_at"] == 1


def test_a_later_snapshot_shares_the_parts_that_did_not_change(
    sqlite_store: Store, sqlite_home: Home, rows: Rows
) -> None:
    _fill(sqlite_store, _history(rows))
    first = take_snapshot(sqlite_store, sqlite_home, now=1)
    sqlite_store.append(TOUCHPOINTS, rows(TOUCHPOINTS, {"source_id": "new"}), now=2)
    second = take_snapshot(sqlite_store, sqlite_home, now=2)

    assert [file.name for file in second.files("touchpoints")] == ["part-000.parquet", "part-001.parquet"]
    assert [pq.read_metadata(file).num_rows for file in second.files("touchpoints")] == [7, 1]
    assert first.files("touchpoints")[0].samefile(second.files("touchpoints")[0])
    assert first.files("leads")[0].samefile(second.files("leads")[0])
    assert open_snapshot(first.path) == first


def test_many_parts_become_one(
    sqlite_store: Store, sqlite_home: Home, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_tables, "_MOST_PARTS", 3)
    sqlite_store.save_company(COMPANY, now=1)
    parts = []
    for number in range(6):
        sqlite_store.append(TOUCHPOINTS, rows(TOUCHPOINTS, {"source_id": str(number)}), now=1)
        snapshot = take_snapshot(sqlite_store, sqlite_home, now=1)
        parts.append(len(snapshot.files("touchpoints")))
        assert sum(pq.read_metadata(file).num_rows for file in snapshot.files("touchpoints")) == number + 1
    assert parts == [1, 2, 3, 1, 2, 3]


def test_no_contact_data_reach_a_snapshot(sqlite_store: Store, sqlite_home: Home, rows: Rows) -> None:
    _fill(sqlite_store, _history(rows))
    snapshot = take_snapshot(sqlite_store, sqlite_home, now=1)
    everything = b"".join(file.read_bytes() for file in snapshot.path.rglob("*") if file.is_file())
    columns = {n for file in snapshot.path.rglob("*.parquet") for n in pq.read_schema(file).names}
    assert not (snapshot.path / "persons").exists()
    assert {"email", "phone", "name_kana", "loaded_at"}.isdisjoint(columns)
    assert all(word.encode() not in everything for word in ("taro@example.com", "山田太郎"))


def test_a_new_store_in_an_old_home_starts_afresh(tmp_path: Path, rows: Rows) -> None:
    """Its rows have the numbers of others: only the store's identity tells them apart."""
    home = Home.at(tmp_path)
    with Store.open(home) as store:
        _fill(store, {TOUCHPOINTS: rows(TOUCHPOINTS, {"detail": "old"})})
        old = take_snapshot(store, home, now=1)
    for file in tmp_path.glob("store.db*"):
        file.unlink()
    with Store.open(home) as store:
        _fill(store, {TOUCHPOINTS: rows(TOUCHPOINTS, {"detail": "new"})})
        new = take_snapshot(store, home, now=2)
    assert pq.read_table(new.files("touchpoints")[0])["detail"].to_pylist() == ["new"]
    assert new.hash != old.hash


def test_before_the_first_import_there_is_none(sqlite_store: Store, sqlite_home: Home) -> None:
    assert latest_snapshot(sqlite_home) is None
    with pytest.raises(NotFound, match="leadscore import"):
        take_snapshot(sqlite_store, sqlite_home, now=1)
    with pytest.raises(NotFound, match=r"manifest\.json"):
        open_snapshot(sqlite_home.snapshots / "none")


def test_what_a_killed_process_left_is_cleared_away(sqlite_store: Store, sqlite_home: Home, rows: Rows) -> None:
    _fill(sqlite_store, _history(rows))
    left = sqlite_home.snapshots / f".unfinished-{os.getpid()}"
    left.mkdir()
    (left / "touchpoints").mkdir()
    take_snapshot(sqlite_store, sqlite_home, now=1)
    assert not left.exists()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _edited(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped bit": (lambda p: _flip(p / "touchpoints/part-000.parquet"), "changed bytes in touchpoints/part-000"),
    "truncated": (lambda p: os.truncate(p / "leads/part-000.parquet", 40), "40 bytes in leads/part-000"),
    "missing part": (lambda p: (p / "merges/part-000.parquet").unlink(), "no file merges/part-000"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "no manifest.json"),
    "broken manifest": (lambda p: os.truncate(p / "manifest.json", 200), "unreadable manifest"),
    "not an object": (lambda p: (p / "manifest.json").write_text("[]"), "unreadable manifest"),
    "other company": (lambda p: _edited(p / "manifest.json", company={}), "by its content"),
    "newer format": (lambda p: _edited(p / "manifest.json", format=99), "format 99"),
    "older schema": (lambda p: _edited(p / "manifest.json", schema_version="0"), "schema 0"),
    "no tables": (lambda p: _edited(p / "manifest.json", tables=None), "unreadable manifest"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_snapshot_is_refused_and_taken_anew(
    sqlite_store: Store, sqlite_home: Home, rows: Rows, damage: str
) -> None:
    _fill(sqlite_store, _history(rows))
    whole = take_snapshot(sqlite_store, sqlite_home, now=1)
    do, said = DAMAGES[damage]
    do(whole.path)

    with pytest.raises((DataRefused, NotFound), match=said):
        open_snapshot(whole.path)
    with pytest.raises((DataRefused, NotFound), match=said):
        latest_snapshot(sqlite_home)

    again = take_snapshot(sqlite_store, sqlite_home, now=2)
    assert again.hash == whole.hash
    assert open_snapshot(again.path) == again


def test_a_damaged_pointer_is_named(sqlite_store: Store, sqlite_home: Home, rows: Rows) -> None:
    _fill(sqlite_store, _history(rows))
    whole = take_snapshot(sqlite_store, sqlite_home, now=1)
    (sqlite_home.snapshots / "latest.json").write_text("{")
    with pytest.raises(DataRefused, match=r"latest\.json"):
        latest_snapshot(sqlite_home)
    assert take_snapshot(sqlite_store, sqlite_home, now=2) == whole


def test_a_new_snapshot_reads_no_file_twice_to_check_it(
    sqlite_store: Store, sqlite_home: Home, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shared was checked with the snapshot before; damage done later is found all the same."""
    sqlite_store.save_company(Company(), now=1)
    sqlite_store.append(LEADS, rows(LEADS, {"lead_id": "A"}), now=1)
    take_snapshot(sqlite_store, sqlite_home, now=1)
    read: list[int] = []
    monkeypatch.setattr(manifest, "file_sha256", lambda file: (read.append(file.stat().st_ino), file_sha256(file))[1])
    sqlite_store.append(LEADS, rows(LEADS, {"lead_id": "B", "source_id": "b"}), now=2)
    second = take_snapshot(sqlite_store, sqlite_home, now=2)
    shared, new = second.files("leads")
    assert sorted(read.count(file.stat().st_ino) for file in (shared, new)) == [1, 1]
    assert len(read) == len(set(read))
    content = bytearray(shared.read_bytes())
    content[len(content) // 2] ^= 1
    shared.write_bytes(bytes(content))
    with pytest.raises(DataRefused, match="changed bytes in leads"):
        open_snapshot(second.path)
