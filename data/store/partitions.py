"""Partitions: what bulk imports wrote as Parquet beside the store, and the store's word on which of them count.

    partitions/<name>/touchpoints.parquet   rows sorted by lead, time and name; zstd
    partitions/<name>/keys.parquet          their names and contents as numbers (data/store/keys.py), sorted

The files are made durable first; the row in the store's table `partitions`
that makes them part of the history is written in the transaction that accepts
the rest of the same import. A folder without such a row was left by an import
that ended before it, and is swept away by the next one. No record is both in
the store's own table and in a partition, or in two.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert

from data.errors import StoreUnavailable
from data.store.engine import last_seq, select_all
from data.store.schema import PARTITIONS
from data.tables import TOUCHPOINTS

FOLDER = "partitions"
KEYS = "keys.parquet"
UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Partition:
    """One bulk import's rows of one table, registered in the store."""

    name: str
    """Its folder under `partitions/`: the store's id and the content's, shortened."""
    of_table: str
    """The table whose rows it holds."""
    file: str
    """Path of the rows below `partitions/`; columns and order as in a snapshot."""
    rows: int
    """How many."""
    row_hash: str
    """Sum of the rows' hashes, as a snapshot's manifest has it: two times 16 hexadecimal digits, joined by "-"."""
    bytes: int
    """Length of the file."""
    sha256: str
    """Of the file's bytes."""
    keys_sha256: str
    """Of the file of keys beside it."""
    first_occurred_at: int
    """Microseconds UTC of the earliest row."""
    last_occurred_at: int
    """Of the latest."""
    first_recorded_at: int
    """Of the row its source knew first."""
    last_recorded_at: int
    """Of the row its source knew last."""
    seq: int = 0
    """Rises in the order of registration; 0 before it."""
    loaded_at: int = 0
    """When the store accepted it."""

    def rows_file(self, folder: Path) -> Path:
        return self._there(folder / self.file)

    def keys_file(self, folder: Path) -> Path:
        return self._there(folder / self.name / KEYS)

    def damaged(self, received: str) -> StoreUnavailable:
        """The refusal of a file that is not as it was registered."""
        return StoreUnavailable(
            f"partition {self.name}",
            received,
            expected="the files the store has registered",
            remedy="restore a backup, or that folder of its partitions",
        )

    def _there(self, path: Path) -> Path:
        if not path.is_file():
            raise self.damaged(f"no file {path}")
        return path


class Overtaken(Exception):
    """Something was written to the table after the partition was compared with it."""


@dataclass(frozen=True)
class Prepared:
    """A finished partition, and the state of the table it was compared with."""

    partition: Partition
    newest_row: int
    newest_partition: int


def registered(connection: Connection, *, after: int = 0) -> list[Partition]:
    """Every partition that counts, in the order of registration."""
    names = [field.name for field in PARTITIONS.columns]
    columns = ", ".join(f'"{name}"' for name in names)
    rows = select_all(connection, f"SELECT {columns} FROM partitions WHERE seq > ? ORDER BY seq", (after,))
    return [Partition(**dict(zip(names, row, strict=True))) for row in rows]


def state_of_touchpoints(connection: Connection) -> tuple[int, int]:
    """What names a state of the touchpoints: the newest row and the newest partition."""
    return last_seq(connection, TOUCHPOINTS.name), last_seq(connection, PARTITIONS.name)


def register(connection: Connection, prepared: Prepared, loaded_at: int) -> None:
    """Makes a partition part of the history, inside the caller's write. Raises Overtaken."""
    if state_of_touchpoints(connection) != (prepared.newest_row, prepared.newest_partition):
        raise Overtaken
    row = {**vars(prepared.partition), "loaded_at": loaded_at}
    row.pop("seq")
    connection.execute(insert(PARTITIONS).values(row))


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Waits for its turn to add or sweep partitions."""
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def name_prefix(connection: Connection) -> str:
    """Begins the names of this store's partitions, so that another store's in the same home are left alone."""
    return str(select_all(connection, "SELECT store_id FROM store_identity")[0][0])[:8] + "-"


def sweep(folder: Path, connection: Connection) -> list[str]:
    """Deletes what imports left that ended before they were accepted; call it in one's turn only."""
    mine = name_prefix(connection)
    kept = {partition.name for partition in registered(connection)}
    left = [
        path
        for path in folder.iterdir()
        if path.is_dir()
        and (path.name.startswith(UNFINISHED) or (path.name.startswith(mine) and path.name not in kept))
    ]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in left]
