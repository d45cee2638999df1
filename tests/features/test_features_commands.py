"""The room's commands on a small company in a real store."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from data.company import Company, CompanyColumn, Target
from data.errors import DataRefused, LeadscoreError, NotFound, UsageError
from data.home import Home
from data.store.operational import Store
from data.tables import LEAD_ATTRIBUTES, LEADS, STAGE_CHANGES, TOUCHPOINTS, Table
from data.times import DAY, parse_instant, render_instant
from features.commands import app
from features.export import write_table

BORN = parse_instant("2025-01-06T09:00+09:00")
NOW = "2026-01-05T00:00+09:00"
COLUMNS = (CompanyColumn("plan"), CompanyColumn("contract"))


@pytest.fixture(autouse=True)
def at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", NOW)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """200 leads, one a day; every fourth wins within a week, and only winners have a contract."""
    home = Home.at(tmp_path_factory.mktemp("home"))
    with Store.open(home) as store:
        store.save_company(Company(targets=(Target("won", "won", 30 * DAY),), columns=COLUMNS), now=BORN)
        store.append_all(records(), now=parse_instant(NOW))
    return home


def records() -> dict[Table, pa.Table]:
    rows: dict[Table, list[dict]] = {LEADS: [], STAGE_CHANGES: [], TOUCHPOINTS: [], LEAD_ATTRIBUTES: []}
    for number in range(200):
        lead, born = f"L{number:03d}", BORN + number * DAY
        ended = born + 7 * DAY
        rows[LEADS].append(record(lead, born))
        rows[STAGE_CHANGES].append({**record(lead, ended), "stage": "lost" if number % 4 else "won"})
        rows[TOUCHPOINTS].append(
            {**record(lead, born + DAY), "kind": "pricing_view", "actor": "lead", "channel": "=web"}
        )
        rows[LEAD_ATTRIBUTES].append({**record(f"{lead}", born), "name": "plan", "text": "a"})
        if number % 4 == 0:
            rows[LEAD_ATTRIBUTES].append({**record(lead, born, "c"), "name": "contract", "text": "signed"})
    return {table: pa.Table.from_pylist(found, schema=table.arrow_schema()) for table, found in rows.items()}


def record(lead_id: str, at: int, of: str = "") -> dict:
    return {"lead_id": lead_id, "source": "test", "source_id": lead_id + of, "occurred_at": at, "recorded_at": at}


def run(home: Home, *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), obj=home)


def refused(home: Home, *arguments: str) -> LeadscoreError:
    error = run(home, *arguments).exception
    assert isinstance(error, LeadscoreError), error
    return error


def test_features_of_all_leads_known_at_a_time(home: Home, tmp_path: Path) -> None:
    at = BORN + 50 * DAY
    for name in ("f.csv", "f.parquet"):
        result = run(home, "features", "--as-of", render_instant(at), "--out", str(tmp_path / name))
        assert result.exit_code == 0, result.exception
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["lead_id"] for row in rows] == [f"L{n:03d}" for n in range(50)]
    assert next(iter(rows[0])) == "lead_id"
    assert rows[0]["as_of"] == render_instant(at, "Asia/Tokyo")
    assert (rows[0]["plan"], rows[0]["stage"], rows[1]["stage"]) == ("a", "won", "lost")
    assert rows[49]["touchpoints_ever_count"] == "0"
    assert rows[48]["days_since_last_pricing_view"] == "1"
    assert rows[0]["last_touch_channel"] == "'=web"
    table = pq.read_table(tmp_path / "f.parquet")
    assert table.column_names == list(rows[0])
    assert table["last_touch_channel"][0].as_py() == "=web"


def test_features_from_a_snapshot_elsewhere(home: Home, tmp_path: Path) -> None:
    run(home, "features", "--out", str(tmp_path / "a.csv"))
    (snapshot,) = [path for path in home.snapshots.iterdir() if (path / "manifest.json").exists()]
    other = Home.at(tmp_path / "other")
    result = run(other, "features", "--history", str(snapshot), "--out", str(tmp_path / "b.csv"))
    assert result.exit_code == 0, result.exception
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_describe_prints_the_companys_own_catalogue(home: Home) -> None:
    result = run(home, "features", "--describe")
    assert result.exit_code == 0, result.exception
    assert "`touchpoints_30d_count`" in result.output
    assert "`plan`" in result.output


def test_describe_needs_no_import(tmp_path: Path) -> None:
    assert "`touchpoints_30d_count`" in run(Home.at(tmp_path), "features", "--describe").output


def test_wrong_use_is_said(home: Home, tmp_path: Path) -> None:
    assert "--out" in str(refused(home, "features"))
    assert isinstance(refused(home, "features", "--out", "f.xlsx"), UsageError)
    assert isinstance(refused(home, "features", "--out", "f.csv", "--as-of", "soon"), UsageError)
    assert isinstance(refused(Home.at(tmp_path), "features", "--out", "f.csv"), NotFound)


def test_check_refuses_the_leak_and_writes_it_for_machines(home: Home, tmp_path: Path) -> None:
    error = refused(home, "check", "--json", str(tmp_path / "check.json"))
    assert isinstance(error, DataRefused)
    assert "contract" in str(error)
    assert "plan" not in str(error)
    told = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    levels = {v["subject"]: v["level"] for v in told["verdicts"]}
    assert levels["contract"] == "block"
    assert levels["plan"] == "allow"
    assert told["findings"]


def test_write_table_keeps_nulls_and_disarms_formulas(tmp_path: Path) -> None:
    table = pa.table({"t": ["=1+1", "+1", "-1", "@x", "a=b", None, "髙"], "n": [-1.0, None, 2.5, 0.0, 1.0, 3.0, 4.0]})
    write_table(table, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+1", "'-1", "'@x", "a=b", "", "髙"]
    assert [row[1] for row in rows[1:]] == ["-1", "", "2.5", "0", "1", "3", "4"]


def test_commands_are_a_typer_app() -> None:
    assert isinstance(app, typer.Typer)
    assert {command.callback.__name__ for command in app.registered_commands if command.callback} == {
        "features",
        "check",
    }
