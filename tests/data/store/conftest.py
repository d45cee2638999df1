"""Both engines for every test of the store: SQLite, and a private PostgreSQL server that is the real one."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data.home import Home
from data.store.operational import Store
from data.tables import Table

_USER = "leadscore"
_DATABASES = itertools.count()


def _server_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _unprivileged() -> list[str]:
    # The server refuses to run as root.
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgresql_folder() -> Iterator[Path]:
    """A running server's socket folder; stopped and deleted at the end."""
    binaries = _server_binaries()
    if binaries is None:
        message = (
            "PostgreSQL's server is not installed (Debian package postgresql): its half of the store is not tested"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    # Not pytest's own temporary folder: only root may enter that one, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="leadscore-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=40"
    control = [*_unprivileged(), str(binaries / "pg_ctl"), "-D", str(data)]
    try:
        initialise = [str(binaries / "initdb"), "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8"]
        _run([*_unprivileged(), *initialise, "--locale=C", "--no-sync"])
        _run([*control, "-o", settings, "-l", str(folder / "log"), "-w", "start"])
        yield folder
    finally:
        if (data / "postmaster.pid").exists():
            _run([*control, "-m", "immediate", "-w", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


@pytest.fixture
def postgresql_url(postgresql_folder: Path) -> str:
    """An empty database of its own."""
    import psycopg

    name = f"db{next(_DATABASES)}"
    with psycopg.connect(host=str(postgresql_folder), user=_USER, dbname="postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql://{_USER}@/{name}?host={postgresql_folder}"


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
