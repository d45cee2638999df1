"""History from a folder of plain tables: the same hash as the snapshot of the same content, or a clear refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.company import Company, CompanyColumn, Target
from data.errors import DataRefused, LeadscoreError, NotFound, UsageError
from data.home import Home
from data.store.operational import Store
from data.store.plain import chosen_history, open_history
from data.store.snapshots import Snapshot, open_snapshot, take_snapshot
from data.tables import ACCOUNTS, CONSENTS, LEADS, STAGE_CHANGES, TOUCHPOINTS, Table

Rows = Callable[..., pa.Table]
COMPANY = Company(targets=(Target("won", "won", 30),), columns=(CompanyColumn("budget", type="number"),))


@pytest.fixture
def snapshot(sqlite_store: Store, sqlite_home: Home, rows: Rows) -> Snapshot:
    """Two leads, one recycled; two parts of touchpoints."""
    leads = rows(LEADS, *({"lead_id": k, "source_id": k, "person_id": k, "occurred_at": 5} for k in "AB"))
    recycled = rows(STAGE_CHANGES, {"lead_id": "A", "stage": "recycled", "occurred_at": 9})
    sqlite_store.save_company(COMPANY, now=1)
    sqlite_store.append_all(
        {LEADS: leads, STAGE_CHANGES: recycled, ACCOUNTS: rows(ACCOUNTS, {"name": "㈱青嵐"})}, now=1
    )
    for nth in range(2):
        more = ({"lead_id": k, "source_id": f"{k}{nth}", "detail": "料金"} for k in "AB")
        sqlite_store.append(TOUCHPOINTS, rows(TOUCHPOINTS, *more), now=1)
        found = take_snapshot(sqlite_store, sqlite_home, now=1)
    return found


def _plain(snapshot: Snapshot, folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """The same content as another tool might leave it: single files and folders, with empty tables left out."""
    folder.mkdir()
    (folder / "company.json").write_text(json.dumps(snapshot.manifest["company"]), encoding="utf-8")
    for name, entry in snapshot.manifest["tables"].items():
        if not entry["rows"] or name in without:
            continue
        files = snapshot.files(name)
        if len(files) == 1:
            rows = pq.read_table(files[0])
            pq.write_table(rows.take(list(reversed(range(len(rows))))), folder / f"{name}.parquet")
        else:
            (folder / name).mkdir()
            (folder / name / "_SUCCESS").touch()
            for nth, file in enumerate(files):
                pq.write_table(pq.read_table(file), folder / name / f"part-{nth:05d}-c000.snappy.parquet")
    return folder


@pytest.mark.parametrize("without", [(), ("lead_cycles",)])
def test_a_plain_folder_of_the_same_content_is_the_same_snapshot(
    snapshot: Snapshot, tmp_path: Path, without: tuple[str, ...]
) -> None:
    """Lead cycles that nobody wrote are derived as the store does."""
    elsewhere = Home.at(tmp_path / "elsewhere")
    found = open_history(_plain(snapshot, tmp_path / "plain", without=without), elsewhere, now=7)
    assert (found.hash, found.company) == (snapshot.hash, snapshot.company)
    assert found.path == elsewhere.snapshots / snapshot.hash
    assert open_snapshot(found.path) == found


def test_a_snapshot_folder_is_read_where_it_lies(
    snapshot: Snapshot, sqlite_store: Store, sqlite_home: Home, rows: Rows
) -> None:
    sqlite_store.append(TOUCHPOINTS, rows(TOUCHPOINTS, {"source_id": "later"}), now=3)
    assert chosen_history(sqlite_store, sqlite_home, snapshot.path, now=3) == snapshot
    assert chosen_history(sqlite_store, sqlite_home, None, now=3).hash != snapshot.hash


def test_the_mapping_may_declare_the_company(snapshot: Snapshot, tmp_path: Path) -> None:
    folder = _plain(snapshot, tmp_path / "plain")
    (folder / "company.json").unlink()
    text = 'source = "x"\n[targets.sql]\nstage = "sql"\nhorizon = "30d"\n[[files]]\npath = "leads.csv"\n'
    (folder / "mapping.toml").write_text(text + '[files.lead]\nid = "id"\ncreated = "at"\n')
    found = open_history(folder, Home.at(tmp_path / "elsewhere"), now=7)
    assert [target.name for target in found.company.targets] == ["sql"]


def test_who_refuses_is_left_out_of_it_too(snapshot: Snapshot, tmp_path: Path, rows: Rows) -> None:
    folder = _plain(snapshot, tmp_path / "plain")
    word = rows(CONSENTS, {"person_id": "A", "purpose": "scoring", "granted": False})
    pq.write_table(word, folder / "consents.parquet")
    found = open_history(folder, Home.at(tmp_path / "elsewhere"), now=7)
    assert found.manifest["consent"]["leads_left_out"] == 1
    assert {v for f in found.files("touchpoints") for v in pq.read_table(f)["lead_id"].to_pylist()} == {"B"}


def _changed(table: Table, change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / f"{table.name}.parquet"
        rows = change(pq.read_table(path))
        pq.write_table(rows, path)

    return write


def _nulls(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("occurred_at")
    return rows.set_column(place, pa.field("occurred_at", pa.int64()), pa.nulls(len(rows), pa.int64()))


def _stamps(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("occurred_at")
    return rows.set_column(place, "occurred_at", rows["occurred_at"].cast(pa.timestamp("us")))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "column missing": (_changed(LEADS, lambda t: t.drop_columns("lead_id")), r"leads\.parquet, column lead_id"),
    "column unknown": (_changed(LEADS, lambda t: t.append_column("x", t["lead_id"])), r"leads\.parquet, column x"),
    "null": (_changed(LEADS, _nulls), r"leads\.parquet, column occurred_at.*null in row 1"),
    "timestamps": (_changed(LEADS, _stamps), r"leads\.parquet, column occurred_at.*microseconds"),
    "repeated": (_changed(LEADS, lambda t: pa.concat_tables([t, t])), r"leads\.parquet.*more than one row of source"),
    "no Parquet": (lambda p: (p / "leads.parquet").write_text("lead_id"), r"leads\.parquet.*a Parquet file"),
    "unknown table": (lambda p: (p / "leads.parquet").rename(p / "lead.parquet"), r"a table called lead;"),
    "no leads": (lambda p: (p / "leads.parquet").unlink(), r"leads\.parquet"),
    "twice": (lambda p: pq.write_table(pa.table({}), p / "touchpoints.parquet"), "the table touchpoints twice"),
    "no company": (lambda p: (p / "company.json").unlink(), "no declaration of the company"),
    "odd company": (lambda p: (p / "company.json").write_text("{}"), r"company\.json.*unreadable"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named(snapshot: Snapshot, tmp_path: Path, wrong: str) -> None:
    folder, elsewhere = _plain(snapshot, tmp_path / "plain"), Home.at(tmp_path / "elsewhere")
    spoil, said = WRONG[wrong]
    spoil(folder)
    with pytest.raises(LeadscoreError, match=said) as refused:
        open_history(folder, elsewhere, now=7)
    assert type(refused.value) in (DataRefused, NotFound)
    assert [p.name for p in elsewhere.snapshots.iterdir()] in ([], [".lock"])


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--history"):
        open_history(tmp_path / "nowhere", Home.at(tmp_path / "home"), now=1)
