"""Backups: of either engine, onto either engine, bit for bit, while others write."""

from __future__ import annotations

import itertools
import sqlite3
import stat
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from store_backups import (
    NOW,
    ROW,
    TRICKY,
    Rows,
    backed_up,
    fill,
    quiet,
    some_rows,
    table_of,
    vars_of,
)
from typer.testing import CliRunner

from data.commands import app
from data.errors import LeadscoreError
from data.home import Home
from data.store.archive import read_archive
from data.store.backup import backup_file
from data.store.deployments import Deployment
from data.store.history import lead_history
from data.store.ledger import Ledger, LedgerRow
from data.store.neutral import store_schemas
from data.store.operational import Store
from data.store.partitions import registered
from data.store.restore import restore
from data.store.snapshots import take_snapshot
from data.tables import LEADS, TABLES, TOUCHPOINTS


@pytest.fixture
def filled(home: Home, rows: Rows) -> Home:
    fill(home, rows)
    return home


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
            again = store.append(LEADS, some_rows(rows, LEADS), now=NOW)
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
