"""A disk that fills up, a file that is locked or damaged: a clear refusal, recovery, nothing lost.

On a real small disk where the tests may mount one; elsewhere under a limit on
the length of files, which the system enforces in the same call.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest

from data.company import Company
from data.errors import StoreUnavailable
from data.home import Home
from data.store.backup import back_up
from data.store.engine import writing
from data.store.ledger import LEDGER_SCHEMA, Ledger, LedgerRow
from data.store.operational import Store
from data.store.partitions import registered
from data.store.restore import restore
from data.store.snapshots import take_snapshot
from data.tables import LEADS, TOUCHPOINTS
from tests.data.partitioned import add_in_bulk

Rows = Callable[..., pa.Table]
ROW = LedgerRow(
    *("r", "L1", "won", 5, 6, "b", "p", 1, "online", "scored", -1.0, -2.0, 0.5, 0.5, 0.2, 47, "B", True), b"", b""
)


@dataclass
class SmallDisk:
    """`fill` leaves so many bytes, `make_room` gives the rest back."""

    folder: Path
    fill: Callable[[int], None]
    make_room: Callable[[], None]


@pytest.fixture(params=["mounted", "limited"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    yield from (_mounted if request.param == "mounted" and _may_mount(folder) else _limited)(folder)


def _may_mount(folder: Path) -> bool:
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def _mounted(folder: Path) -> Iterator[SmallDisk]:
    filler = folder / "filler"

    def fill(leave: int) -> None:
        filler.write_bytes(b"\0" * (shutil.disk_usage(folder).free - leave))

    try:
        yield SmallDisk(folder, fill, filler.unlink)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _limited(folder: Path) -> Iterator[SmallDisk]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int = soft) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    try:
        yield SmallDisk(folder, limit, limit)
    finally:
        limit()
        signal.signal(signal.SIGXFSZ, handled)


def many(rows: Rows, first: int, count: int = 500) -> pa.Table:
    given = ({"source_id": f"t{first + i}", "detail": os.urandom(150).hex()} for i in range(count))
    return rows(TOUCHPOINTS, *given)


def test_the_store_keeps_what_it_acknowledged_and_takes_more_when_there_is_room(
    small_disk: SmallDisk, rows: Rows
) -> None:
    acknowledged = 0
    with Store.open(Home.at(small_disk.folder / "home")) as store:
        small_disk.fill(3_000_000)

        def fill_the_disk() -> None:
            nonlocal acknowledged
            while True:
                acknowledged += store.append(TOUCHPOINTS, many(rows, acknowledged), now=1).accepted

        with pytest.raises(StoreUnavailable, match="nothing of this write was kept"):
            fill_the_disk()
        assert len(store.read(TOUCHPOINTS)) == acknowledged > 0
    with Store.open(Home.at(small_disk.folder / "home")) as store:
        assert len(store.read(TOUCHPOINTS)) == acknowledged
        small_disk.make_room()
        assert store.append(TOUCHPOINTS, many(rows, acknowledged), now=1).accepted == 500


def test_the_ledger_keeps_what_it_acknowledged_and_takes_more_when_there_is_room(small_disk: SmallDisk) -> None:
    acknowledged = 0
    with Ledger.open(Home.at(small_disk.folder / "home")) as ledger:
        small_disk.fill(3_000_000)

        def fill_the_disk() -> None:
            nonlocal acknowledged
            while True:
                ledger.append([replace(ROW, features=os.urandom(1_000))] * 200)
                acknowledged += 200

        with pytest.raises(StoreUnavailable, match=r"ledger\.db.*nothing of this write was kept"):
            fill_the_disk()
        assert len(ledger.read(columns=["lead_id"])) == acknowledged > 0
        small_disk.make_room()
        ledger.append([ROW])
        assert len(ledger.read(columns=["lead_id"])) == acknowledged + 1


def test_a_batch_run_that_does_not_fit_leaves_nothing(small_disk: SmallDisk) -> None:
    home = Home.at(small_disk.folder / "home")
    answers = [replace(ROW, features=os.urandom(1_000)) for _ in range(2_000)]
    table = pa.table({n: [getattr(a, n) for a in answers] for n in LEDGER_SCHEMA.names}, schema=LEDGER_SCHEMA)
    with Ledger.open(home) as ledger:
        ledger.append_batch(table.slice(0, 1), "first", 1)
        small_disk.fill(1_000_000)
        with pytest.raises(StoreUnavailable, match=r"batch run second.*make room"):
            ledger.append_batch(table, "second", 1)
        assert [file.name for file in home.ledger.iterdir()] == ["first.parquet"]
        small_disk.make_room()
        ledger.append_batch(table, "second", 1)
        assert len(ledger.read(columns=["lead_id"])) == 2_001


def test_a_snapshot_that_does_not_fit_leaves_nothing_and_is_the_same_later(
    small_disk: SmallDisk, rows: Rows, tmp_path: Path
) -> None:
    home = Home.at(small_disk.folder / "home")
    with Store.open(home) as store:
        store.save_company(Company(), now=1)
        store.append(TOUCHPOINTS, many(rows, 0, 5_000), now=1)
        small_disk.fill(300_000)
        with pytest.raises(StoreUnavailable, match=r"snapshots.*room"):
            take_snapshot(store, home, now=1)
        assert [f.name for f in home.snapshots.iterdir() if f.name != ".lock"] == []
        small_disk.make_room()
        taken = take_snapshot(store, home, now=1)
        assert taken.manifest["tables"]["touchpoints"]["rows"] == 5_000
        assert take_snapshot(store, Home.at(tmp_path / "elsewhere"), now=1).hash == taken.hash


def test_a_partition_that_does_not_fit_is_not_registered(small_disk: SmallDisk, rows: Rows) -> None:
    touchpoints = many(rows, 0, 5_000)
    with Store.open(Home.at(small_disk.folder / "home")) as store:
        small_disk.fill(300_000)
        with pytest.raises(StoreUnavailable, match=r"partitions.*room"):
            add_in_bulk(store, touchpoints, now=1)
        with store.reading() as connection:
            assert registered(connection) == []
        assert [f.name for f in store.partitions.iterdir() if f.name != ".lock"] == []
        small_disk.make_room()
        add_in_bulk(store, touchpoints, now=1)
        assert len(store.read(TOUCHPOINTS)) == 5_000


# Locked


def test_a_ledger_locked_by_another_is_refused_and_works_afterwards(home: Home) -> None:
    with Ledger.open(home) as other, Ledger.open(home, wait=0.2) as ledger:
        with writing(other._engine):
            assert len(ledger.read()) == 0
            with pytest.raises(StoreUnavailable, match="no other process writing"):
                ledger.append([ROW])
        ledger.append([ROW])
        assert len(ledger.read()) == 1


# Damaged


def test_what_is_damaged_is_refused_and_a_backup_brings_it_back(sqlite_home: Home, rows: Rows, tmp_path: Path) -> None:
    with Store.open(sqlite_home) as store, Ledger.open(sqlite_home) as ledger:
        store.append(LEADS, rows(LEADS, *({"lead_id": f"L{i}", "source_id": str(i)} for i in range(3000))), now=1)
        ledger.append([replace(ROW, request_id=str(i)) for i in range(3000)])
        kept = store.read(LEADS), ledger.read()
        back_up(store, ledger, sqlite_home, tmp_path / "b.tar", now=1, progress=lambda *_: None)
    for name in ("store.db", "ledger.db"):
        file = sqlite_home.path / name
        whole = file.read_bytes()
        file.write_bytes(whole[:8192] + os.urandom(len(whole) - 8192))
    with pytest.raises(StoreUnavailable, match=r"store\.db.*backup"), Store.open(sqlite_home) as store:
        store.read(LEADS)
    with pytest.raises(StoreUnavailable, match=r"ledger\.db.*backup"), Ledger.open(sqlite_home) as ledger:
        ledger.read()
    again = Home.at(tmp_path / "again")
    restore(tmp_path / "b.tar", again, progress=lambda *_: None)
    with Store.open(again) as store, Ledger.open(again) as ledger:
        assert store.read(LEADS).equals(kept[0])
        assert ledger.read().equals(kept[1])


def test_a_snapshot_that_is_damaged_is_taken_anew_as_it_was(sqlite_home: Home, rows: Rows) -> None:
    with Store.open(sqlite_home) as store:
        store.save_company(Company(), now=1)
        store.append(TOUCHPOINTS, many(rows, 0), now=1)
        first = take_snapshot(store, sqlite_home, now=1)
        part = first.files("touchpoints")[0]
        whole = part.read_bytes()
        part.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        again = take_snapshot(store, sqlite_home, now=1)
    assert (again.hash, again.files("touchpoints")[0].read_bytes()) == (first.hash, whole)
