"""History that lies elsewhere: in a DuckDB file, in Spark, in a folder, and a snapshot read by Spark."""

from __future__ import annotations

import json
import random
from pathlib import Path

import duckdb
import ibis
import pyarrow.parquet as pq
import pytest

from data.errors import DataRefused, NotFound, StoreUnavailable, UsageError
from data.home import Home
from data.store.elsewhere import _said, shown_address
from data.store.operational import Store
from data.store.plain import open_history
from data.store.snapshots import Snapshot, open_snapshot, take_snapshot
from data.tables import MERGES, TOUCHPOINTS
from features.as_of import known_rows
from features.batch import feature_table
from features.engine import feature_values, local_engine
from leadscore import run
from tests.data.partitioned import add_in_bulk
from tests.features.comparing import catalogue, company
from tests.features.merge_worlds import drawn_world, merge_rows
from tests.features.test_features_store import AS_OF, records

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Touchpoints in three parts, one of them a partition; leads merged into others."""
    rng = random.Random(5)
    home = Home.at(tmp_path_factory.mktemp("home"))
    drawn = [drawn_world(rng, n) for n in range(40)]
    found = {**records([w for w, _ in drawn]), MERGES: merge_rows([m for _, merges in drawn for m in merges])}
    touchpoints = found.pop(TOUCHPOINTS)
    third = len(touchpoints) // 3
    with Store.open(home) as store:
        store.save_company(company(), now=AS_OF)
        store.append_all({**found, TOUCHPOINTS: touchpoints.slice(0, third)}, now=AS_OF)
        take_snapshot(store, home, now=AS_OF)
        store.append(TOUCHPOINTS, touchpoints.slice(third, third), now=AS_OF)
        take_snapshot(store, home, now=AS_OF)
        add_in_bulk(store, touchpoints.slice(2 * third), now=AS_OF)
        taken = take_snapshot(store, home, now=AS_OF)
    assert [file.name.partition("-")[0] for file in taken.files("touchpoints")] == ["part", "part", "partition"]
    return taken


@pytest.fixture(scope="module")
def by_folder(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    (folder / "company.json").write_text(json.dumps(snapshot.manifest["company"]), encoding="utf-8")
    for name in snapshot.manifest["tables"]:
        pq.write_table(pq.read_table(snapshot.path / name), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def by_duckdb(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("elsewhere") / "history.duckdb"
    with duckdb.connect(str(file)) as connection:
        for name in snapshot.manifest["tables"]:
            connection.execute(f"CREATE TABLE {name} AS FROM read_parquet('{snapshot.path / name}/*.parquet')")
        connection.execute("CREATE TABLE something_else (x INTEGER)")
        connection.execute("CREATE TABLE company (document VARCHAR)")
        connection.execute("INSERT INTO company VALUES (?)", [json.dumps(snapshot.manifest["company"])])
    return file


@pytest.fixture(scope="module")
def by_spark(spark: ibis.BaseBackend, snapshot: Snapshot) -> ibis.BaseBackend:
    """A session of its own, whose tables no other test sees."""
    session = spark._session.newSession()
    for name in snapshot.manifest["tables"]:
        session.read.parquet(str(snapshot.path / name)).repartition(3).createOrReplaceTempView(name)
    return ibis.pyspark.connect(session)


def test_a_folder_a_file_of_duckdb_and_spark_are_one_snapshot(
    snapshot: Snapshot, by_folder: Path, by_duckdb: Path, by_spark: ibis.BaseBackend, tmp_path: Path
) -> None:
    """The same hash as where they were imported; kept, and whole without the connection."""
    sources = {
        "folder": by_folder,
        "address": f"duckdb://{by_duckdb}",
        "connection": ibis.duckdb.connect(by_duckdb, read_only=True),
        "spark": by_spark,
    }
    for name, source in sources.items():
        home = Home.at(tmp_path / name)
        found = open_history(source, home, now=AS_OF, company=snapshot.company)
        assert (found.hash, found.company) == (snapshot.hash, snapshot.company), name
        assert open_history(home.snapshots / found.hash, home, now=AS_OF) == found
        assert [path.name for path in home.snapshots.glob(".unfinished*")] == []


def test_spark_reads_a_snapshot_of_many_parts_as_duckdb_does(spark: ibis.BaseBackend, snapshot: Snapshot) -> None:
    wanted = [d for d in catalogue(snapshot.company) if d.kind in ("count", "days_since_last", "decayed_sum")][:8]
    engine = local_engine()
    tables = snapshot.tables(engine)
    rows = known_rows(tables, as_of=AS_OF).to_pyarrow()
    expected = feature_values(engine, tables, ibis.memtable(rows), wanted, snapshot.company)
    found = spark.to_pyarrow(feature_table(snapshot.tables(spark), ibis.memtable(rows), wanted, snapshot.company))
    assert expected.num_rows > 40
    assert any(expected[d.name].null_count < expected.num_rows for d in wanted)
    assert found.select(expected.column_names).sort_by("lead_id").to_pylist() == expected.to_pylist()


WRONG = {
    "a column missing": ("ALTER TABLE touchpoints DROP COLUMN kind", DataRefused, "table touchpoints, column kind"),
    "a column unknown": ("ALTER TABLE leads ADD COLUMN x INTEGER", DataRefused, "table leads, column x"),
    "times as times": (
        "ALTER TABLE touchpoints ALTER occurred_at TYPE TIMESTAMP USING make_timestamp(occurred_at)",
        DataRefused,
        "table touchpoints, column occurred_at: received Arrow type timestamp",
    ),
    "no leads": ("DROP TABLE leads", NotFound, "no table leads"),
    "records twice": ("INSERT INTO leads FROM leads", DataRefused, "table leads: received more than one row"),
    "no declaration": ("DROP TABLE company", NotFound, "no declaration of the company"),
    "two declarations": ("INSERT INTO company FROM company", DataRefused, "2 rows of document"),
    "a view that fails": (
        "DROP TABLE touchpoints; CREATE VIEW touchpoints AS SELECT error('the disk of the warehouse is gone') AS kind",
        StoreUnavailable,
        "table touchpoints: received Invalid Input Error: the disk of the warehouse is gone",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_behind_a_connection_is_named(by_duckdb: Path, tmp_path: Path, wrong: str) -> None:
    change, error, said = WRONG[wrong]
    file, home = tmp_path / "h.duckdb", Home.at(tmp_path / "home")
    file.write_bytes(by_duckdb.read_bytes())
    with duckdb.connect(str(file)) as connection:
        connection.execute(change)
    with pytest.raises(error) as refused:
        open_history(f"duckdb://{file}", home, now=AS_OF)
    assert said in str(refused.value)
    assert str(file) in str(refused.value)
    assert [path.name for path in home.snapshots.iterdir()] == [".lock"]


def test_an_address_that_leads_nowhere_is_wrong_usage_and_makes_nothing(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    for address in (f"duckdb://{tmp_path}/typo.duckdb", f"sqlite://{tmp_path}/typo.db", "nosuchengine://x/y"):
        with pytest.raises(UsageError, match="--history"):
            open_history(address, home, now=AS_OF)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_who_signs_in_is_not_told(tmp_path: Path) -> None:
    with pytest.raises((UsageError, StoreUnavailable)) as refused:
        open_history("postgres://someone:hush@127.0.0.1:1/db", Home.at(tmp_path / "home"), now=AS_OF)
    assert "hush" not in str(refused.value)
    assert "someone" not in str(refused.value)


SECRETS = ("hush", "someone", "pa/ss", "p#ss", "tok3n")


@pytest.mark.parametrize(
    "address",
    [
        "postgres://someone:hush@127.0.0.1:1/db",
        "postgres://someone:pa/ss@127.0.0.1:1/db",
        "postgres://someone:p#ss@127.0.0.1:1/db",
        "postgres://someone:hush@127.0.0.1:none/db",
        "postgres://someone:hush@[127.0.0.1/db",
        "nosuchengine://127.0.0.1/db?token=tok3n",
        "nosuchengine://someone:hush@127.0.0.1/db?password=tok3n",
    ],
)
def test_nothing_that_signs_in_is_told(address: str, tmp_path: Path) -> None:
    assert not any(secret in shown_address(address) for secret in SECRETS)
    with pytest.raises((UsageError, StoreUnavailable)) as refused:
        open_history(address, Home.at(tmp_path / "home"), now=AS_OF)
    assert not [secret for secret in SECRETS if secret in str(refused.value)]


def test_an_engine_that_quotes_the_address_is_cut_short() -> None:
    address = "postgres://someone:a%20b@host/db?token=tok3n&ssl=1"
    told = _said(RuntimeError(f"cannot reach {address} as someone with 'a b', token tok3n, ssl=1\nmore"), address)
    assert not [secret for secret in ("someone:", "a b", "a%20b", "tok3n", "more") if secret in told]
    assert told.startswith("cannot reach")


def test_the_snapshot_is_whole_when_the_connection_is_gone(by_duckdb: Path, tmp_path: Path) -> None:
    file, home = tmp_path / "h.duckdb", Home.at(tmp_path / "home")
    file.write_bytes(by_duckdb.read_bytes())
    taken = open_history(f"duckdb://{file}", home, now=AS_OF)
    file.unlink()
    assert open_snapshot(taken.path) == taken


def test_commands_take_an_address(
    snapshot: Snapshot, by_duckdb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And are repeated from the snapshot they name, to the same file."""
    home, written = tmp_path / "home", []
    for name, history in (("first", f"duckdb://{by_duckdb}"), ("again", str(home / "snapshots" / snapshot.hash))):
        out = tmp_path / f"{name}.csv"
        arguments = ["features", "--history", history, "--as-of", "2024-02-01", "--out", str(out)]
        assert run(["--home", str(home), *arguments]) == 0
        assert f"history: snapshot {snapshot.hash}" in capsys.readouterr().out.replace("\n", "")
        written.append(out.read_bytes())
    assert written[0] == written[1]
    assert written[0].count(b"\n") > 10
