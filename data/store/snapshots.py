"""Snapshots: immutable, dated Parquet copies of the history, which all batch work reads.

    snapshots/
      latest.json                        the newest one, and the state of the store it shows
      <hash>/manifest.json               content hash, rows, time ranges, schema, company
      <hash>/<table>/part-000.parquet    rows sorted by subject, time and name; zstd

The hash depends on the content alone, not on how it is cut into parts: the
same history and declaration give the same hash however they were imported. A
later snapshot links the parts it shares with the one before and adds one part
of what is new. Contact data are in none.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from data.company import Company
from data.errors import DataRefused, NotFound
from data.home import Home
from data.store.engine import last_seq, select_all
from data.store.files import file_refusals, rename_durably, write_json
from data.store.gate import PURPOSE, RULE, Gate, refusing
from data.store.manifest import FORMAT, SCHEMA_VERSION, TABLE_SCHEMAS, Sound, content_hash, read_manifest
from data.store.operational import Store, newest_company
from data.store.parts import sorting_engine
from data.store.snapshot_tables import Built, Writer
from data.tables import TABLES

if TYPE_CHECKING:
    import duckdb
    import ibis

UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Snapshot:
    hash: str
    path: Path
    company: Company
    manifest: dict[str, Any]
    withdrawn_since: int = field(default=0, compare=False)
    """Leads left out of an older history because they refuse by now (`data.store.permitted`)."""

    def files(self, table: str) -> list[Path]:
        """The Parquet files of one table."""
        return [self.path / part["file"] for part in self.manifest["tables"][table]["parts"]]

    def lines(self) -> list[str]:
        """What a run says of the history it read."""
        since = f"{self.withdrawn_since:,} leads left out of it: consent withdrawn since it was taken"
        return [f"history: snapshot {self.hash}", *([since] if self.withdrawn_since else [])]

    def tables(self, connection: ibis.BaseBackend) -> dict[str, ibis.Table]:
        """Every table by its name, registered in an Ibis backend (DuckDB, PySpark); read when used."""
        found = {}
        for name in self.manifest["tables"]:
            # Spark reads a folder, DuckDB a list of files.
            source: Any = self.files(name) if connection.name == "duckdb" else str(self.path / name)
            found[name] = connection.read_parquet(source, table_name=f"{name}_{self.hash[:12]}")
        return found


@dataclass(frozen=True)
class Shown:
    """A snapshot, the state of the store that it shows, and whom it leaves out."""

    snapshot: Snapshot
    state: dict[str, Any]
    left_out: frozenset[str]


def take_snapshot(store: Store, home: Home, *, now: int) -> Snapshot:
    """A snapshot of everything committed that may be used; the latest one again when nothing has changed since.

    Records of leads whose persons refuse are left out (`data.store.gate`).
    Memory does not grow with the history. Raises NotFound before the first import,
    StoreUnavailable where the disk is full.
    """
    with file_refusals(f"snapshots {home.snapshots}"), one_at_a_time(home.snapshots), store.reading() as connection:
        state = _store_state(connection, store.subject)
        sound: Sound = set()
        latest = _sound_latest(home, sound)
        if latest and latest.state == state:
            return latest.snapshot
        base = latest if latest and _continues(latest.state, state) else None
        gate = Gate(refusing(connection), base.left_out if base else frozenset())
        snapshot = _written(connection, store, home.snapshots, now, base, gate, sound)
        shown = {"hash": snapshot.hash, "state": state, "left_out": sorted(gate.refusing)}
        write_json(home.snapshots / "latest.json", shown)
        return snapshot


def latest_snapshot(home: Home) -> Snapshot | None:
    """The newest snapshot, or None before the first."""
    latest = _latest(home)
    return latest.snapshot if latest else None


def open_snapshot(path: Path, sound: Sound | None = None) -> Snapshot:
    """The snapshot at `path`, its files checked but those in `sound`.

    Raises NotFound, or DataRefused where it is damaged or of another format.
    """
    manifest = read_manifest(path, sound)
    return Snapshot(manifest["hash"], path, Company.from_json(json.dumps(manifest["company"])), manifest)


def _latest(home: Home, sound: Sound | None = None) -> Shown | None:
    pointer = home.snapshots / "latest.json"
    if not pointer.exists():
        return None
    try:
        written = json.loads(pointer.read_text(encoding="utf-8"))
        snapshot_hash, state = str(written["hash"]), dict(written["state"])
        left_out = frozenset(written.get("left_out", ()))
    except (ValueError, KeyError, TypeError) as error:
        remedy = "delete the file and take a new snapshot"
        raise DataRefused(str(pointer), f"damaged: {error}", expected="hash and state", remedy=remedy) from None
    return Shown(open_snapshot(home.snapshots / snapshot_hash, sound), state, left_out)


def _sound_latest(home: Home, sound: Sound) -> Shown | None:
    # A damaged one is no reason not to take another: it is derived, and written anew where it lay.
    try:
        return _latest(home, sound)
    except (DataRefused, NotFound):
        return None


def _store_state(connection: Connection, subject: str) -> dict[str, Any]:
    """What names a state of one store: two equal ones hold the same rows and declaration."""
    store_id, generation = select_all(connection, "SELECT store_id, generation FROM store_identity")[0]
    company = last_seq(connection, "company")
    if not company:
        raise NotFound(subject, "nothing imported yet", remedy="run `leadscore import MAPPING` first")
    return {
        "store_id": store_id,
        "generation": generation,
        "schema_version": SCHEMA_VERSION,
        "company": company,
        "gate": {"purpose": PURPOSE, "rule": RULE},
        "newest_seq": {name: last_seq(connection, name) for name in [*TABLE_SCHEMAS, "partitions"]},
    }


def _continues(earlier: dict[str, Any], state: dict[str, Any]) -> bool:
    """Whether `earlier` is a state of the same store and schema, so that its parts still hold."""
    same = all(earlier.get(key) == state[key] for key in ("store_id", "generation", "schema_version", "gate"))
    return same and earlier["newest_seq"].keys() == state["newest_seq"].keys()


def _written(
    connection: Connection, store: Store, folder: Path, now: int, base: Shown | None, gate: Gate, sound: Sound
) -> Snapshot:
    company = json.loads(newest_company(connection) or "{}")
    built = Built(base.snapshot.path, base.snapshot.manifest["tables"], base.state["newest_seq"]) if base else None

    def tables(engine: duckdb.DuckDBPyConnection, unfinished: Path) -> dict[str, Any]:
        writer = Writer(connection, engine, unfinished, store.partitions, gate, built)
        return {t.name: writer.entry(t) for t in TABLES if t.in_snapshot}

    return write_snapshot(folder, tables, company, gate.told(), now=now, sound=sound)


def write_snapshot(
    folder: Path,
    write_tables: Callable[[duckdb.DuckDBPyConnection, Path], dict[str, Any]],
    company: dict[str, Any],
    consent: dict[str, Any],
    *,
    now: int,
    sound: Sound | None = None,
) -> Snapshot:
    """Writes all tables beside their final place and moves them there when they are complete.

    `write_tables(engine, folder)` writes the parts there and returns the entries of all tables.
    """
    unfinished = folder / f"{UNFINISHED}{os.getpid()}"
    unfinished.mkdir()
    try:
        with sorting_engine(unfinished) as engine:
            tables = write_tables(engine, unfinished)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "hash": content_hash(tables, company),
            "taken_at": now,
            "schema_version": SCHEMA_VERSION,
            "company": company,
            "consent": consent,
            "tables": tables,
        }
        write_json(unfinished / "manifest.json", manifest)
        return open_snapshot(_put_in_place(unfinished, folder / manifest["hash"]), sound)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_in_place(unfinished: Path, place: Path) -> Path:
    """Moves a finished snapshot to its name; a sound one of the same content stays as it is."""
    if place.exists():
        try:
            open_snapshot(place)
            return place
        except (DataRefused, NotFound):
            shutil.rmtree(place)
    rename_durably(unfinished, place)
    return place


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Waits for its turn; then whatever lies there unfinished belongs to a process that died."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
