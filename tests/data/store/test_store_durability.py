"""What an acknowledged write rests on, on the very connections that write; and what one flipped bit does."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from store_backups import quiet

from data.errors import StoreUnavailable
from data.home import Home
from data.store.backup import back_up
from data.store.engine import select_all, writing
from data.store.ledger import Ledger
from data.store.operational import Store
from data.tables import LEAD_ATTRIBUTES, LEADS, TOUCHPOINTS, Table

Rows = Callable[..., pa.Table]
FULL = 2
TABLES = (LEADS, LEAD_ATTRIBUTES, TOUCHPOINTS)


def test_a_commit_is_on_the_disk_before_it_is_acknowledged(home: Home) -> None:
    """SQLite: WAL, synced at every commit. PostgreSQL: synchronous_commit. Store and ledger, each for themselves."""
    with Store.open(home) as store, Ledger.open(home) as ledger:
        for engine in (store._engine, ledger._engine):
            with writing(engine) as connection:
                if connection.dialect.name == "sqlite":
                    found = [select_all(connection, f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")]
                    assert found == ["wal", FULL]
                else:
                    assert select_all(connection, "SHOW synchronous_commit") == [("on",)]


@pytest.fixture
def filled(sqlite_home: Home, rows: Rows) -> Home:
    """Closed, so that all of it lies in store.db."""
    with Store.open(sqlite_home) as store, Ledger.open(sqlite_home):
        for table in TABLES:
            named = ({"source_id": f"{table.name}-{n}", **_subject(table, n)} for n in range(300))
            store.append(table, rows(table, *named), now=1)
    assert not (sqlite_home.path / "store.db-wal").exists()
    return sqlite_home


def _subject(table: Table, n: int) -> dict[str, str]:
    return {"lead_id": f"L{n}"} if table == LEADS else {"lead_id": f"L{n % 30}"}


def _all_rows(home: Home) -> dict[str, list[tuple]]:
    with closing(sqlite3.connect(home.path / "store.db")) as connection:
        return {t.name: connection.execute(f"SELECT * FROM {t.name} ORDER BY seq").fetchall() for t in TABLES}


def test_one_flipped_bit_is_refused_by_a_backup_or_changes_one_value_no_index_holds(
    filled: Home, tmp_path: Path
) -> None:
    """Bits all over the file. What is not refused is one cell at most, outside every key: what SQLite cannot know."""
    file, rng, refused = filled.path / "store.db", random.Random(3), 0
    sound, before = file.read_bytes(), _all_rows(filled)
    keyed = {t.name: _keyed(filled, t) for t in TABLES}
    for nth in range(120):
        content = bytearray(sound)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(bytes(content))
        try:
            with Store.open(filled) as store, Ledger.open(filled) as ledger:
                back_up(store, ledger, filled, tmp_path / f"{nth}.tar", now=1, progress=quiet)
        except StoreUnavailable:
            refused += 1
            assert not (tmp_path / f"{nth}.tar").exists()
        else:
            _assert_one_unkeyed_cell(before, _all_rows(filled), keyed)
        for journal in ("-wal", "-shm"):
            file.with_name(file.name + journal).unlink(missing_ok=True)
    file.write_bytes(sound)
    assert refused > 20, "many a bit is found"


def _keyed(home: Home, table: Table) -> set[int]:
    """Positions of the columns that an index holds."""
    with closing(sqlite3.connect(home.path / "store.db")) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")]
        indexes = [row[1] for row in connection.execute(f"PRAGMA index_list({table.name})")]
        held = {row[2] for index in indexes for row in connection.execute(f"PRAGMA index_info({index})")}
    return {names.index(name) for name in held}


def _assert_one_unkeyed_cell(
    before: dict[str, list[tuple]], after: dict[str, list[tuple]], keyed: dict[str, set[int]]
) -> None:
    changed = [
        (name, place)
        for name in before
        for old, new in zip(before[name], after[name], strict=True)
        for place, (was, found) in enumerate(zip(old, new, strict=True))
        if was != found
    ]
    assert len(changed) <= 1
    assert all(place not in keyed[name] for name, place in changed)
