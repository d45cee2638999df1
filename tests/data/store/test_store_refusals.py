"""Stores that cannot answer: what is said, and that nothing is lost once they can again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from data.errors import StoreUnavailable
from data.home import Home
from data.store import engine as engine_module
from data.store import versions
from data.store.engine import writing
from data.store.ledger import Ledger
from data.store.operational import Store, migrate
from data.store.schema import HEAD, METADATA, VERSION_TABLE
from data.tables import LEADS, TOUCHPOINTS

Rows = Callable[..., pa.Table]


def _set_version(store: Store, version: str) -> None:
    with writing(store._engine) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'"))


def test_an_old_store_is_refused_with_the_command_to_run(home: Home) -> None:
    with Store.open(home) as store:
        _set_version(store, "0000")
    with pytest.raises(StoreUnavailable, match="leadscore migrate"):
        Store.open(home)


def test_a_newer_store_is_neither_opened_nor_migrated(home: Home) -> None:
    with Store.open(home) as store:
        _set_version(store, "9999")
    for attempt in (Store.open, migrate):
        with pytest.raises(StoreUnavailable, match=r"version 9999.*newer"):
            attempt(home)


def test_migrating_an_empty_and_a_current_store(home: Home, rows: Rows) -> None:
    assert migrate(home) == (None, HEAD)
    with Store.open(home) as store:
        store.append(LEADS, rows(LEADS, {}), now=1)
    assert migrate(home) == (HEAD, HEAD)
    with Store.open(home) as store:
        assert store.lead_ids() == ["x"]


def test_the_migrations_build_what_the_declarations_say(store: Store) -> None:
    """Whoever changes data/tables.py or schema.py writes a migration, too."""
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, METADATA) == []
        columns = {name: [c["name"] for c in inspect(connection).get_columns(name)] for name in METADATA.tables}
    assert columns == {name: [c.name for c in table.columns] for name, table in METADATA.tables.items()}


def test_the_newest_migration_is_the_one_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(versions.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("CREATE TABLE leads (id INTEGER)")
    with pytest.raises(StoreUnavailable, match="tables of its own"):
        Store.open(Home.at(tmp_path))


def test_many_may_open_an_empty_home_at_once(home: Home) -> None:
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: Store.open(home), range(6)))
    assert [store.lead_ids() for store in stores] == [[]] * 6
    for store in stores:
        store.close()


def test_a_new_file_that_others_make_at_once_is_waited_for(tmp_path: Path) -> None:
    """SQLite gives up at once, whatever its timeout, about once in a thousand times; here each time at first."""

    class Refusing(sqlite3.Connection):
        refusals = 3

        def execute(self, *given: str) -> sqlite3.Cursor:  # type: ignore[override]
            if self.refusals:
                self.refusals -= 1
                busy = sqlite3.OperationalError("database is locked")
                busy.sqlite_errorname = "SQLITE_BUSY"
                raise busy
            return super().execute(*given)

    connection = sqlite3.connect(tmp_path / "new.db", factory=Refusing)
    engine_module._write_ahead(connection, 5.0)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    Refusing.refusals = 10**6
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        engine_module._write_ahead(sqlite3.connect(tmp_path / "other.db", factory=Refusing), 0.05)
    connection.close()


def test_writers_at_once_lose_nothing(store: Store, rows: Rows) -> None:
    def write(number: int) -> int:
        mine = rows(LEADS, {"lead_id": f"L{number}", "source_id": str(number)})
        shared = rows(TOUCHPOINTS, {"source_id": "shared"})
        return store.append_all({LEADS: mine, TOUCHPOINTS: shared}, now=number)["touchpoints"].accepted

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(40))) == 1
    assert sorted(store.lead_ids()) == sorted(f"L{n}" for n in range(40))


def test_a_store_locked_by_another_is_refused_and_works_afterwards(home: Home, rows: Rows) -> None:
    with Store.open(home) as other, Store.open(home, wait=0.2) as store:
        with writing(other._engine):
            assert store.lead_ids() == []
            with pytest.raises(StoreUnavailable, match="no other process writing"):
                store.append(LEADS, rows(LEADS, {}), now=1)
        assert store.append(LEADS, rows(LEADS, {}), now=1).accepted == 1


@pytest.mark.parametrize("content", [b"this is a text file, not a database at all", b"\0" * 8192])
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    for name, opener in (("store.db", Store.open), ("ledger.db", Ledger.open)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StoreUnavailable, match=f"{name}.*not a database"):
            opener(Home.at(tmp_path))
        assert (tmp_path / name).read_bytes() == content


def test_a_damaged_store_is_refused_in_words(sqlite_home: Home, rows: Rows) -> None:
    with Store.open(sqlite_home) as store:
        store.append(LEADS, rows(LEADS, *({"lead_id": f"L{i}", "source_id": str(i)} for i in range(2000))), now=1)
    file = sqlite_home.path / "store.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:8192] + os.urandom(len(whole) - 8192))
    with pytest.raises(StoreUnavailable, match="backup"), Store.open(sqlite_home) as store:
        store.read(LEADS)


def test_a_home_that_may_not_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="folder"):
        Store.open(Home(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "url", ["postgresql://someone:secret@127.0.0.1:1/none", "postgres://someone:secret@127.0.0.1:1/none"]
)
def test_a_server_that_is_away_is_named_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreUnavailable, match="LEADSCORE_DATABASE_URL") as refused:
        Store.open(Home.at(tmp_path, url), wait=1)
    assert "secret" not in str(refused.value)


def test_an_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="sqlite:// or postgresql://"):
        Store.open(Home.at(tmp_path, "mysql://localhost/x"))


def test_a_folder_with_strange_letters_is_a_home_like_any_other(tmp_path: Path, rows: Rows) -> None:
    home = Home.at(tmp_path / "家 50%?&#" / "x")
    with Store.open(home) as store:
        store.append(LEADS, rows(LEADS, {}), now=1)
    assert (home.path / "store.db").exists()


def test_a_store_that_must_not_grow_keeps_what_it_has(sqlite_store: Store, rows: Rows) -> None:
    """SQLite's own page limit raises the same refusal as a full disk, on every machine."""
    sqlite_store.append(LEADS, rows(LEADS, {"lead_id": "first"}), now=1)
    many = rows(TOUCHPOINTS, *({"source_id": str(i), "detail": "/" * 200} for i in range(5000)))
    with sqlite_store.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreUnavailable, match="make room"):
        sqlite_store.append_all({LEADS: rows(LEADS, {"lead_id": "half", "source_id": "h"}), TOUCHPOINTS: many}, now=2)
    assert sqlite_store.lead_ids() == ["first"]
    with sqlite_store.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert sqlite_store.append(TOUCHPOINTS, many, now=3).accepted == 5000
