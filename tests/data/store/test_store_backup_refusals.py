"""Backups that are damaged, newer, or of another make; homes that are not empty; disks that fill up."""

from __future__ import annotations

import io
import json
import resource
import signal
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from store_backups import (
    TRICKY,
    backed_up,
    files_of,
    quiet,
    write,
)

from data.errors import DataRefused, StoreUnavailable, UsageError
from data.home import Home
from data.store import restore as restoring
from data.store.archive import FORMAT, Archive, ArchiveWriter, read_archive
from data.store.ledger import Ledger
from data.store.operational import Store
from data.store.restore import restore
from data.store.schema import HEAD

# What is refused


@pytest.mark.parametrize("there", ["store.db", "bundles/x", ".hidden"])
def test_a_home_that_is_not_empty_is_left_alone(sqlite_backup: Path, empty: Home, there: str) -> None:
    write(empty.path / there, b"mine")
    with pytest.raises(UsageError, match="empty folder"):
        restore(sqlite_backup, empty, progress=quiet)
    assert files_of(empty) == [there]
    assert (empty.path / there).read_bytes() == b"mine"


@pytest.mark.parametrize("opener", [Store.open, Ledger.open])
def test_a_database_that_is_not_empty_is_left_alone(
    sqlite_backup: Path, postgresql_url: str, tmp_path: Path, opener: Callable[[Home], Any]
) -> None:
    opener(Home.at(tmp_path / "first", postgresql_url)).close()
    target = Home.at(tmp_path / "second", postgresql_url)
    with pytest.raises(UsageError, match="a store that is there"):
        restore(sqlite_backup, target, progress=quiet)
    assert files_of(target) == []


def test_folders_without_a_file_are_an_empty_home(sqlite_backup: Path, empty: Home) -> None:
    assert empty.bundles.is_dir()
    (empty.bundles / "b").mkdir()
    restore(sqlite_backup, empty, progress=quiet)
    assert (empty.bundles / "b" / "boosters" / "00.txt").read_bytes() == b"tree"


def test_a_backup_cut_short_anywhere_is_refused_and_nothing_written(sqlite_backup: Path, empty: Home) -> None:
    whole, chance = sqlite_backup.read_bytes(), Random(5)
    # Behind the manifest there are only zeros.
    end = whole.rindex(b'"files"')
    for length in [0, 1, 511, 512, 513, *(chance.randrange(end) for _ in range(40))]:
        sqlite_backup.write_bytes(whole[:length])
        with pytest.raises(DataRefused, match="backup"):
            restore(sqlite_backup, empty, progress=quiet)
        assert files_of(empty) == []


def test_a_changed_byte_anywhere_is_refused_or_changes_nothing(sqlite_backup: Path, tmp_path: Path) -> None:
    whole, chance = sqlite_backup.read_bytes(), Random(6)
    files = read_archive(sqlite_backup, quiet).files
    refused = 0
    for _ in range(150):
        place = chance.randrange(len(whole))
        sqlite_backup.write_bytes(
            whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :]
        )
        try:
            assert read_archive(sqlite_backup, quiet).files == files
        except DataRefused:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("content", [b"", b"a text", b"\0" * 2048, b"\x1f\x8b" + b"x" * 600])
def test_a_file_that_is_no_backup_is_refused(tmp_path: Path, empty: Home, content: bytes) -> None:
    write(tmp_path / "b.tar", content)
    with pytest.raises(DataRefused, match="backup"):
        restore(tmp_path / "b.tar", empty, progress=quiet)
    with pytest.raises(UsageError, match="no such file"):
        restore(tmp_path / "none.tar", empty, progress=quiet)


@contextmanager
def rebuilt(path: Path, sources: Path, **changes: Any) -> Iterator[tuple[ArchiveWriter, dict[str, Any]]]:
    """An archive with the same tables, to which a test adds what it likes before it is closed."""
    archive = read_archive(path, quiet)
    archive.extract(sources, quiet)
    path.unlink()
    writer = ArchiveWriter(path)
    manifest = {**archive.manifest, **changes}
    for name in archive.files:
        if name.startswith(("store/", "ledger/")) and name not in changes.get("without", ()):
            writer.add(name, sources / name)
    yield writer, manifest
    writer.close(manifest)


@pytest.mark.parametrize(
    "name",
    [
        "home/bundles/../../../escaped",
        "home/../escaped",
        "../escaped",
        "/tmp/escaped",
        "home/bundles//escaped",
        "home/bundles/..\\escaped",
        "home/store.db",
        "home/elsewhere/x",
        "store/leads.parquet/x",
        "ledger/../home/x.parquet",
        "code.pickle",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(sqlite_backup: Path, empty: Home, tmp_path: Path, name: str) -> None:
    with rebuilt(sqlite_backup, tmp_path / "s") as (writer, _):
        writer.add(name, tmp_path / "s" / "store" / "leads.parquet")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataRefused, match="no backup holds"):
        restore(sqlite_backup, empty, progress=quiet)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_links_and_devices_are_refused(sqlite_backup: Path, empty: Home, tmp_path: Path, kind: bytes) -> None:
    with rebuilt(sqlite_backup, tmp_path / "s") as (writer, _):
        member = tarfile.TarInfo("home/bundles/x")
        member.type, member.linkname = kind, "/etc"
        writer._tar.addfile(member)
    with pytest.raises(DataRefused, match="no file"):
        restore(sqlite_backup, empty, progress=quiet)
    assert files_of(empty) == []


def test_a_member_twice_or_after_the_end_is_refused(sqlite_backup: Path, empty: Home, tmp_path: Path) -> None:
    sqlite_backup.with_name("kept.tar").write_bytes(sqlite_backup.read_bytes())
    with rebuilt(sqlite_backup, tmp_path / "s") as (writer, _):
        writer.add("store/leads.parquet", tmp_path / "s" / "store" / "leads.parquet")
    with pytest.raises(DataRefused, match="twice"):
        restore(sqlite_backup, empty, progress=quiet)
    with tarfile.open(sqlite_backup.with_name("kept.tar"), "a") as tar:
        tar.addfile(tarfile.TarInfo("home/bundles/more"), io.BytesIO())
    with pytest.raises(DataRefused, match="after the manifest"):
        restore(sqlite_backup.with_name("kept.tar"), empty, progress=quiet)


def test_a_backup_of_a_newer_format_or_store_says_so(sqlite_backup: Path, empty: Home, tmp_path: Path) -> None:
    sqlite_backup.with_name("newer.tar").write_bytes(sqlite_backup.read_bytes())
    with rebuilt(sqlite_backup.with_name("newer.tar"), tmp_path / "s", store={"version": "9999"}):
        pass
    with pytest.raises(DataRefused, match=r"version 9999.*newer"):
        restore(sqlite_backup.with_name("newer.tar"), empty, progress=quiet)
    text = json.dumps({"format": FORMAT + 1, "files": {}}).encode()
    with tarfile.open(sqlite_backup, "w") as tar:
        member = tarfile.TarInfo(f"manifest-{sha256(text).hexdigest()}.json")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    with pytest.raises(DataRefused, match=rf"format {FORMAT + 1}.*newer"):
        restore(sqlite_backup, empty, progress=quiet)


def test_a_backup_of_an_older_store_is_brought_up_to_date(sqlite_backup: Path, target: Home, tmp_path: Path) -> None:
    """As the first version had it: without the tables that came later."""
    later = ("store/partitions.parquet",)
    with rebuilt(sqlite_backup, tmp_path / "s", store={"version": "0001", "engine": "sqlite"}, without=later):
        pass
    assert restore(sqlite_backup, target, progress=quiet).rows["store/leads"] == len(TRICKY)
    assert HEAD != "0001"
    with Store.open(target) as store:
        assert len(store.lead_ids()) == len(TRICKY)


@pytest.mark.parametrize("pattern", ["ledger/run-1.parquet", "partitions/*/touchpoints.parquet"])
def test_what_is_damaged_is_not_backed_up(sqlite_home: Home, sqlite_backup: Path, tmp_path: Path, pattern: str) -> None:
    file = next(sqlite_home.path.glob(pattern))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StoreUnavailable, match="keep the damage"):
        backed_up(sqlite_home, tmp_path / "second.tar")
    file.unlink()
    with pytest.raises(StoreUnavailable, match=file.name):
        backed_up(sqlite_home, tmp_path / "second.tar")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["b.tar", "home"]


def test_a_tracking_database_that_is_damaged_is_said(sqlite_home: Home, tmp_path: Path) -> None:
    write(sqlite_home.tracking / "mlflow.db", b"this is no database" * 100)
    with pytest.raises(StoreUnavailable, match=r"mlflow\.db.*not a database"):
        backed_up(sqlite_home, tmp_path / "b.tar")


def test_a_backup_never_overwrites(sqlite_home: Home, sqlite_backup: Path) -> None:
    content = sqlite_backup.read_bytes()
    with pytest.raises(UsageError, match="a new name"):
        backed_up(sqlite_home, sqlite_backup)
    with pytest.raises(UsageError, match="no such folder"):
        backed_up(sqlite_home, sqlite_backup.parent / "none" / "b.tar")
    assert sqlite_backup.read_bytes() == content


# What goes wrong half way


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """What a full disk does to a file that grows, on every machine and without the right to mount one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handled)


def test_a_full_disk_leaves_no_half_backup(sqlite_home: Home, sqlite_backup: Path, tmp_path: Path) -> None:
    with no_file_longer_than(40_000), pytest.raises(StoreUnavailable, match="make room"):
        backed_up(sqlite_home, tmp_path / "second.tar")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["b.tar", "home"]
    assert read_archive(backed_up(sqlite_home, tmp_path / "second.tar").path, quiet).files


@pytest.mark.parametrize("size", [2_000, 50_000])
def test_a_full_disk_while_restoring_leaves_the_home_empty(sqlite_backup: Path, empty: Home, size: int) -> None:
    with no_file_longer_than(size), pytest.raises(StoreUnavailable, match=r"room|reads and writes"):
        restore(sqlite_backup, empty, progress=quiet)
    assert list(empty.path.iterdir()) == []
    restore(sqlite_backup, empty, progress=quiet)
    with Store.open(empty) as store:
        assert len(store.lead_ids()) == len(TRICKY)


def test_a_restore_that_stops_half_way_is_undone_or_can_be_repeated(
    sqlite_backup: Path, target: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("_load_store", "_move"):
        with monkeypatch.context() as patched:
            patched.setattr(restoring, step, stopped)
            with pytest.raises(KeyboardInterrupt):
                restore(sqlite_backup, target, progress=quiet)
        assert files_of(target) == []
    write(target.path / ".restoring" / "store" / "leads.parquet", b"left by one that was killed")
    assert restore(sqlite_backup, target, progress=quiet).rows["store/leads"] == len(TRICKY)


def test_two_restores_at_once(sqlite_backup: Path, empty: Home) -> None:
    with restoring.folder_lock(empty.path, alone=True), pytest.raises(UsageError, match="another restore"):
        restore(sqlite_backup, empty, progress=quiet)


def test_an_archive_is_verified_once_more_when_it_is_unpacked(sqlite_backup: Path, tmp_path: Path) -> None:
    archive: Archive = read_archive(sqlite_backup, quiet)
    content = bytearray(sqlite_backup.read_bytes())
    content[content.index(b"# card")] ^= 1
    sqlite_backup.write_bytes(bytes(content))
    with pytest.raises(DataRefused, match="changed while it was read"):
        archive.extract(tmp_path / "out", quiet)
