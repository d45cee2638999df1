"""Fixtures every room's tests may use."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "datasets"

# Telemetry stays off in tests whichever way a test starts a process.
os.environ.update({"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True"})


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """Real data beside the checkout. Absent on a stranger's machine, which the test then says."""
    if not SHARED.is_dir():
        pytest.skip("real data is not beside this checkout (../shared/datasets): real-data tests not run")
    return SHARED


# PostgreSQL, the real server, private to this run

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
def new_database(postgresql_folder: Path) -> Callable[[], str]:
    """Makes an empty database each time it is called, and gives its address."""
    import psycopg

    def made() -> str:
        name = f"db{next(_DATABASES)}"
        with psycopg.connect(host=str(postgresql_folder), user=_USER, dbname="postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql://{_USER}@/{name}?host={postgresql_folder}"

    return made


@pytest.fixture
def postgresql_url(new_database: Callable[[], str]) -> str:
    """An empty database of its own."""
    return new_database()
