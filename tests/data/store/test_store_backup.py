"""Backups: of either engine, onto either engine, bit for bit; whole or refused."""

from __future__ import annotations

import io
import itertools
import json
import resource
import signal
import sqlite3
import stat
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from data.commands import app
from data.company import Company, CompanyColumn
from data.errors import DataRefused, LeadscoreError, StoreUnavailable, UsageError
from data.home import Home
from data.store import bulk
from data.store import restore as restoring
from data.store.archive import FORMAT, Archive, ArchiveWriter, read_archive
from data.store.backup import BackedUp, back_up, backup_file
from data.store.deployments import Deployment
from data.store.history import lead_history
from data.store.ledger import LEDGER_SCHEMA, Ledger, LedgerRow
from data.store.neutral import store_schemas
from data.store.operational import Store
from data.store.packing import pack_contributions, pack_values
from data.store.partitions import registered
from data.store.restore import restore
from data.store.schema import HEAD
from data.store.snapshots import take_snapshot
from data.tables import LEAD_CYCLES, LEADS, STAGE_CHANGES, TABLES, TOUCHPOINTS, Table

Rows = Callable[..., pa.Table]
NOW = 1_800_000_000_000_000
TRICKY = ["", "NULL", "\\N", "a\tb\\tc", '"quoted", \n', "髙﨑①㈱", "'; DROP TABLE leads; --"]
ROW = LedgerRow(
    *("r1", "L1", "won", 5, 6, "b", "p", 1, "online", "scored", -1.25, -2.0, 0.1, 1 / 3, 0.2227, 47, "B", True),
    features=pack_values([1.0, None, "広告", -0.0, 1e-300]),
    contributions=pack_contributions([0.5, 0.1 + 0.2]),
)


def quiet(what: str, done: int, of: int) -> None:
    pass


def fill(home: Home, rows: Rows) -> None:
    """Something in every table and folder, awkward values above all."""
    with Store.open(home) as store, Ledger.open(home) as ledger:
        store.save_company(Company(columns=(CompanyColumn("業種", label_ja="業種"),)), now=NOW)
        store.append_all({t: _some_rows(rows, t) for t in TABLES if t is not LEAD_CYCLES}, now=NOW)
        store.append(STAGE_CHANGES, rows(STAGE_CHANGES, {"lead_id": "L1", "stage": "recycled", "source": "s"}), now=NOW)
        add_partition(store, rows(TOUCHPOINTS, *({"source_id": f"p{i}", "lead_id": f"L{i % 3}"} for i in range(50))))
        store.save_policy("p", "won", '{"threshold": 0.1}', now=NOW)
        store.deploy(Deployment(0, "won", "champion", "b", "1", "p", "promote", NOW, "佐藤", "first"))
        store.record_run("monitor", '{"a": "é"}', now=NOW)
        ledger.append([ROW, without_figures("r2"), without_figures("r3")])
        ledger.append_batch(table_of([ROW] * 3), "run-1", NOW)
        ledger.append_batch(table_of([]), "run-2", NOW)
    write(home.bundles / "b" / "boosters" / "00.txt", b"tree")
    write(home.bundles / ".c.draft" / "manifest.json", b"half")
    write(home.own_features / "自社.toml", b"")
    write(home.imports / "1" / "rejected.csv", "理由".encode())
    write(home.reports / "card.md", b"# card")
    write(home.path / "settings.toml", b"x = 1")
    write(home.path / "store.log", b"not of a backup")
    write(home.tracking / "artifacts" / "1" / "plot.png", bytes(range(256)))


def _some_rows(rows: Rows, table: Table) -> pa.Table:
    made = []
    for number, text in enumerate(TRICKY):
        values: dict[str, Any] = {"text": text, "number": (0.1, -5e-324, 1e300)[number % 3], "integer": -(2**62)}
        values |= {"boolean": bool(number % 2), "instant": NOW + number}
        row = {c.name: values[c.type] for c in table.columns if c.name != "loaded_at" and (c.required or number % 3)}
        row |= {"lead_id": f"L{number}"} if table is LEADS else {}
        made.append({**row, "source_id": str(number)})
    return rows(table, *made)


def add_partition(store: Store, touchpoints: pa.Table) -> None:
    with bulk.intake(store) as mine:
        size = len(touchpoints)
        extra = {bulk.FILE: ["f"] * size, bulk.ROW: range(size), bulk.MARK: [""] * size, bulk.POSITION: range(size)}
        sound = pa.Table.from_pydict(
            {**{n: touchpoints[n] for n in touchpoints.column_names}, **extra}, bulk.SOUND_SCHEMA
        )
        pq.write_table(sound, mine.sound_file)
        store.append_all({}, now=NOW, prepared=mine.prepare(size).prepared)
        mine.keep()


def without_figures(request_id: str) -> LedgerRow:
    nothing = (None,) * 8
    return LedgerRow(request_id, "L2", "won", 5, 6, "b", "p", 1, "online", "no_consent", *nothing, b"", b"")


def table_of(answers: list[LedgerRow]) -> pa.Table:
    return pa.table({n: [getattr(a, n) for a in answers] for n in LEDGER_SCHEMA.names}, schema=LEDGER_SCHEMA)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def backed_up(home: Home, path: Path) -> BackedUp:
    with Store.open(home) as store, Ledger.open(home) as ledger:
        return back_up(store, ledger, home, path, now=NOW, progress=quiet)


@pytest.fixture
def filled(home: Home, rows: Rows) -> Home:
    fill(home, rows)
    return home


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Another empty home, on the same server where it is on one."""
    url = request.getfixturevalue("new_database")() if request.param == "postgresql" else ""
    return Home.at(tmp_path / "elsewhere" / "home", url)


@pytest.fixture
def sqlite_backup(sqlite_home: Home, rows: Rows, tmp_path: Path) -> Path:
    fill(sqlite_home, rows)
    return backed_up(sqlite_home, tmp_path / "b.tar").path


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "empty")


def files_of(home: Home) -> list[str]:
    return sorted(str(f.relative_to(home.path)) for f in home.path.rglob("*") if not f.is_dir())


# What comes back


def test_either_engine_comes_back_on_either_engine_bit_for_bit(
    filled: Home, target: Home, rows: Rows, tmp_path: Path
) -> None:
    """A backup of what was restored has the same bytes in every file: no value, no order, no key differs."""
    first = backed_up(filled, tmp_path / "first.tar")
    restored = restore(first.path, target, progress=quiet)
    again = backed_up(target, tmp_path / "again.tar")

    assert restored.rows == first.rows == again.rows
    assert read_archive(first.path, quiet).files == read_archive(again.path, quiet).files
    with Store.open(filled) as before, Store.open(target) as after:
        for table in TABLES:
            assert before.read(table).equals(after.read(table))
        for lead_id in before.lead_ids():
            assert lead_history(before, lead_id, as_of=NOW) == lead_history(after, lead_id, as_of=NOW)
        assert take_snapshot(before, filled, now=NOW).hash == take_snapshot(after, target, now=NOW).hash
        assert before.company() == after.company()
        assert before.deployment("won") == after.deployment("won")
    with Ledger.open(filled) as before, Ledger.open(target) as after:
        assert before.read().equals(after.read())
        assert before.runs() == after.runs()


def test_what_was_restored_goes_on_as_the_first_would_have(
    filled: Home, target: Home, rows: Rows, tmp_path: Path
) -> None:
    restore(backed_up(filled, tmp_path / "b.tar").path, target, progress=quiet)
    for home in (filled, target):
        with Store.open(home) as store, Ledger.open(home) as ledger:
            store.append_all(
                {t: rows(t, {"source_id": "later", "lead_id": "N"}) for t in (LEADS, TOUCHPOINTS)}, now=NOW
            )
            again = store.append(LEADS, _some_rows(rows, LEADS), now=NOW)
            assert (again.accepted, again.unchanged) == (0, len(TRICKY))
            store.deploy(Deployment(0, "won", "champion", "b", "2", "p", "promote", NOW, "佐藤", "second"))
            store.record_run("monitor", "{}", now=NOW)
            ledger.append([ROW])
            ledger.append_batch(table_of([ROW]), "run-3", NOW)
    before, after = (
        read_archive(backed_up(h, tmp_path / f"{i}.tar").path, quiet) for i, h in enumerate((filled, target))
    )
    assert before.files == after.files


def test_what_a_backup_holds_and_what_it_leaves_out(sqlite_backup: Path, sqlite_home: Home) -> None:
    with Store.open(sqlite_home) as store:
        take_snapshot(store, sqlite_home, now=NOW)
        with store.reading() as connection:
            partition = registered(connection)[0].name
    again = backed_up(sqlite_home, sqlite_backup.with_name("with_snapshot.tar")).path
    names = set(read_archive(again, quiet).files)
    assert {name for name in names if name.startswith("home/")} == {
        "home/bundles/b/boosters/00.txt",
        "home/features/自社.toml",
        "home/imports/1/rejected.csv",
        "home/ledger/run-1.parquet",
        "home/ledger/run-2.parquet",
        f"home/partitions/{partition}/keys.parquet",
        f"home/partitions/{partition}/touchpoints.parquet",
        "home/reports/card.md",
        "home/settings.toml",
        "home/tracking/artifacts/1/plot.png",
    }
    assert {n for n in names if n.startswith("store/")} == {f"store/{table}.parquet" for table in store_schemas()}


def test_only_its_owner_may_read_a_backup_and_nothing_else_is_left(sqlite_backup: Path) -> None:
    assert stat.S_IMODE(sqlite_backup.stat().st_mode) == 0o600
    assert sorted(f.name for f in sqlite_backup.parent.iterdir()) == ["b.tar", "home"]


def test_the_tracking_database_is_copied_whole_and_its_paths_follow_the_home(
    sqlite_home: Home, empty: Home, tmp_path: Path
) -> None:
    before = f"file://{sqlite_home.tracking}/artifacts/1"
    with closing(sqlite3.connect(sqlite_home.tracking / "mlflow.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE runs (artifact_uri TEXT)")
        connection.execute("INSERT INTO runs VALUES (?)", (before,))
        connection.commit()  # and still open: its row is in the journal alone
        path = backed_up(sqlite_home, tmp_path / "b.tar").path
    restore(path, empty, progress=quiet)
    with closing(sqlite3.connect(empty.tracking / "mlflow.db")) as connection:
        assert connection.execute("SELECT artifact_uri FROM runs").fetchall() == [
            (f"file://{empty.tracking}/artifacts/1",)
        ]


def test_a_backup_is_taken_while_others_write(home: Home, rows: Rows, tmp_path: Path) -> None:
    """Whatever the moment, leads are whole and every deployment an answer names is there."""
    ended = threading.Event()
    failed: list[BaseException] = []

    def write_until_ended() -> None:
        try:
            with Store.open(home) as store, Ledger.open(home) as ledger:
                for number in itertools.count():
                    if ended.is_set():
                        return
                    lead = f"L{number}"
                    touched = ({"lead_id": lead, "source_id": f"{lead}-{i}"} for i in range(5))
                    mine = {
                        LEADS: rows(LEADS, {"lead_id": lead, "source_id": lead}),
                        TOUCHPOINTS: rows(TOUCHPOINTS, *touched),
                    }
                    store.append_all(mine, now=number)
                    made = store.deploy(Deployment(0, "won", "champion", "b", "1", "p", "promote", 1, "x", "y"))
                    ledger.append([LedgerRow(**{**vars_of(ROW), "deployment_id": made.deployment_id})] * 3)
                    ledger.append_batch(table_of([ROW] * 2), f"run-{number}", number)
                    ledger.prune(before=0)
        except BaseException as error:
            failed.append(error)

    with Store.open(home), Ledger.open(home):
        writer = threading.Thread(target=write_until_ended)
        writer.start()
        try:
            paths = [backed_up(home, tmp_path / f"{number}.tar").path for number in range(4)]
        finally:
            ended.set()
            writer.join()
    assert not failed
    counts = []
    for number, path in enumerate(paths):
        copy = Home.at(tmp_path / f"copy-{number}")
        restore(path, copy, progress=quiet)
        with Store.open(copy) as store, Ledger.open(copy) as ledger:
            leads = store.lead_ids()
            assert Counter(store.read(TOUCHPOINTS)["lead_id"].to_pylist()) == dict.fromkeys(leads, 5)
            answers = Counter(ledger.read(columns=["deployment_id", "channel"]).to_pandas()["deployment_id"])
            online = answers.keys() - {1} if answers else set()
            assert online <= {d.deployment_id for d in store.deployments("won")}
            assert all(answers[d] == 3 for d in online)
            counts.append(len(leads))
    assert counts == sorted(counts)
    assert counts[-1] > 0


def vars_of(row: LedgerRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in LEDGER_SCHEMA.names}


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


# As a person calls it


def test_the_commands(sqlite_home: Home, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", "2026-04-01T00:00:00Z")
    fill(sqlite_home, rows)
    (tmp_path / "backups").mkdir()
    told = CliRunner().invoke(app, ["backup", str(tmp_path / "backups")], obj=sqlite_home, catch_exceptions=False)
    made = tmp_path / "backups" / "leadscore-20260401T000000Z.tar"
    assert made.exists()
    assert str(made) in told.output
    again = Home.at(tmp_path / "again")
    told = CliRunner().invoke(app, ["restore", str(made)], obj=again, catch_exceptions=False)
    assert "2026-04-01" in told.output
    with Store.open(again) as store:
        assert len(store.lead_ids()) == len(TRICKY)
    refused = CliRunner().invoke(app, ["restore", str(made)], obj=again)
    assert isinstance(refused.exception, LeadscoreError)
    assert backup_file(tmp_path / "name.tar", NOW) == tmp_path / "name.tar"


def test_prune_as_a_person_calls_it(sqlite_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", "2026-04-01T00:00:00Z")
    with Ledger.open(sqlite_home) as ledger:
        ledger.append([ROW])

        def said(*arguments: str) -> str:
            return (
                CliRunner().invoke(app, ["ledger", "prune", *arguments], obj=sqlite_home, catch_exceptions=False).output
            )

        monkeypatch.setenv("LEADSCORE_LEDGER_DAYS", "0")
        assert "for ever" in said()
        assert "deleted 0 online" in said("--days", "30000")
        assert len(ledger.read()) == 1
        monkeypatch.setenv("LEADSCORE_LEDGER_DAYS", "30")
        assert "deleted 1 online" in said()
        assert len(ledger.read()) == 0


def test_an_archive_is_verified_once_more_when_it_is_unpacked(sqlite_backup: Path, tmp_path: Path) -> None:
    archive: Archive = read_archive(sqlite_backup, quiet)
    content = bytearray(sqlite_backup.read_bytes())
    content[content.index(b"# card")] ^= 1
    sqlite_backup.write_bytes(bytes(content))
    with pytest.raises(DataRefused, match="changed while it was read"):
        archive.extract(tmp_path / "out", quiet)
