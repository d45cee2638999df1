"""Both engines for every test of the store: SQLite, and the private PostgreSQL server of `tests/conftest.py`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data.home import Home
from data.store.operational import Store
from data.tables import Table

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """An empty home on either engine."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    return Home.at(tmp_path / "home", url)


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store.open(home) as opened:
        yield opened


@pytest.fixture
def sqlite_home(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "home")


@pytest.fixture
def sqlite_store(sqlite_home: Home) -> Iterator[Store]:
    with Store.open(sqlite_home) as opened:
        yield opened


@pytest.fixture
def rows() -> Callable[..., pa.Table]:
    """rows(table, {column: value, …}, …): one row each; required columns not named get a plain value."""

    def built(table: Table, *given: dict[str, Any]) -> pa.Table:
        plain = {"text": "x", "number": 0.0, "integer": 0, "boolean": False, "instant": 0}
        named = itertools.count(1)
        whole = []
        for row in given:
            unknown = set(row) - set(table.arrow_schema().names)
            assert not unknown, unknown
            default = {c.name: plain[c.type] if c.required else None for c in table.columns if c.name != "loaded_at"}
            whole.append({**default, "source": "crm", "source_id": f"r{next(named)}", **row})
        return pa.Table.from_pylist(whole, schema=table.arrow_schema())

    return built


# Backups


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Another empty home, on the same server where it is on one."""
    url = request.getfixturevalue("new_database")() if request.param == "postgresql" else ""
    return Home.at(tmp_path / "elsewhere" / "home", url)


@pytest.fixture
def sqlite_backup(sqlite_home: Home, rows: Callable[..., pa.Table], tmp_path: Path) -> Path:
    from store_backups import backed_up, fill

    fill(sqlite_home, rows)
    return backed_up(sqlite_home, tmp_path / "b.tar").path


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "empty")
