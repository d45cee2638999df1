"""One meaning on every engine: batch on DuckDB, batch on Spark, online and the oracle, bit by bit."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Sequence
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.as_of import creation_rows, known_rows, open_rows, training_rows
from features.batch import feature_table
from features.declaration import Declaration
from features.engine import feature_values
from features.online import OnlineFeatures
from tests.features.comparing import catalogue, company
from tests.features.drawn import PUT_IN, Asked, Case, asked, cases_in, companies
from tests.features.merge_worlds import merge_rows
from tests.features.worlds import arrow_tables

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")

ROWS = {"lead_id": "string", "cycle_id": "string", "cycle_start": "int64", "as_of": "int64"}
OF = company("Europe/Berlin", 1)
WANTED = catalogue(OF)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return companies(examples=8)


@pytest.fixture(scope="module")
def rows(cases: list[Case]) -> list[Asked]:
    return asked(cases, OF, WANTED)


@pytest.fixture(scope="module")
def records(cases: list[Case]) -> dict[str, pa.Table]:
    """What the engines are given, with what was recorded later."""
    merges = merge_rows([merge for case in cases for merge in case.merges])
    return {**arrow_tables([case.told for case in cases]), "merges": merges}


@pytest.fixture(scope="module")
def duckdb_tables(records: dict[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> tuple:
    connection = ibis.duckdb.connect()
    return connection, _read(connection, records, tmp_path_factory.mktemp("duckdb"))


@pytest.fixture(scope="module")
def spark_tables(spark, records: dict[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return spark, _read(spark, records, tmp_path_factory.mktemp("spark-tables"))


def _read(connection, records: dict[str, pa.Table], folder: Path) -> dict:
    for name, table in records.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return {name: connection.read_parquet(str(folder / f"{name}.parquet"), table_name=name) for name in records}


def _row_table(rows: list[Asked]) -> ibis.Table:
    return ibis.memtable([(r.history.lead_id, r.cycle_id, r.cycle_start, r.as_of) for r in rows], schema=ROWS)


def bits(value: float | str | None) -> object:
    """A float as its bytes: 0.0 and −0.0 are two."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def assert_all_as_expected(found: pa.Table, rows: list[Asked], wanted: Sequence[Declaration] = WANTED) -> None:
    by_key = {(r["lead_id"], r["as_of"]): r for r in found.to_pylist()}
    assert len(by_key) == found.num_rows == len(rows)
    for row in rows:
        values = by_key[row.history.lead_id, row.as_of]
        for d, truth in zip(wanted, row.expected, strict=True):
            value = values[d.name]
            assert (type(value), bits(value)) == (type(truth), bits(truth)), told(d, row, value, truth)


def told(d: Declaration, row: Asked, value: object, truth: object) -> str:
    return f"{d.name} is {value!r}, not {truth!r}: {str(row.history)[:3000]} as of {row.as_of}"


def test_every_case_is_really_there(cases: list[Case], rows: list[Asked]) -> None:
    found = cases_in(cases)
    assert set(found) >= {*PUT_IN, "ten thousand"}
    assert {name: n for name, n in found.items() if n < 8 and name != "ten thousand"} == {}
    assert len(rows) > 200


def test_online_is_the_oracle(rows: list[Asked]) -> None:
    online = OnlineFeatures(WANTED, OF)
    for row in rows:
        values = online.row(row.history, row.as_of)
        for d, value, truth in zip(WANTED, values, row.expected, strict=True):
            assert (type(value), bits(value)) == (type(truth), bits(truth)), told(d, row, value, truth)


def test_batch_on_duckdb_is_the_oracle(duckdb_tables, rows: list[Asked]) -> None:
    connection, tables = duckdb_tables
    assert_all_as_expected(connection.to_pyarrow(feature_table(tables, _row_table(rows), WANTED, OF)), rows)


@pytest.mark.parametrize("size", [70, 100_000])
def test_batch_in_pieces_is_the_oracle(duckdb_tables, rows: list[Asked], size: int, monkeypatch) -> None:
    monkeypatch.setattr("features.pieces.ROWS_A_PIECE", size)
    connection, tables = duckdb_tables
    assert_all_as_expected(feature_values(connection, tables, _row_table(rows), WANTED, OF), rows)


def test_batch_on_spark_is_the_oracle(spark_tables, rows: list[Asked]) -> None:
    connection, tables = spark_tables
    assert_all_as_expected(connection.to_pyarrow(feature_table(tables, _row_table(rows), WANTED, OF)), rows)


def test_rows_stand_at_the_same_instants_on_spark(duckdb_tables, spark_tables, cases: list[Case]) -> None:
    t = max(case.world.as_of for case in cases)

    def listed(connection, tables) -> list[list[tuple]]:
        asked_for = [
            training_rows(tables, OF, as_of=t, grid_weeks=6),
            open_rows(tables, as_of=t),
            known_rows(tables, as_of=t),
            creation_rows(tables, as_of=t),
        ]
        found = [connection.to_pyarrow(rows).to_pylist() for rows in asked_for]
        return [sorted(tuple(row.values()) for row in of) for of in found]

    on_spark = listed(*spark_tables)
    assert on_spark == listed(*duckdb_tables)
    assert all(len(rows) > 20 for rows in on_spark)


SOAK_EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "200"))
SOAK_SEED = int(os.environ.get("SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
AT_A_TIME = 1_000
"""Cases whose records lie in one table: Spark holds them in memory."""


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    ("timezone", "fiscal_year_start"), [("Asia/Tokyo", 4), ("Europe/Berlin", 1), ("America/New_York", 2)]
)
def test_drawn_companies_mean_the_same_everywhere(spark, tmp_path: Path, timezone: str, fiscal_year_start: int) -> None:
    """Other companies each time; SOAK_SEED repeats a run."""
    print(f"SOAK_SEED={SOAK_SEED} {timezone}", flush=True)
    of = company(timezone, fiscal_year_start)
    wanted = catalogue(of)
    cases = companies(SOAK_EXAMPLES, SOAK_SEED + fiscal_year_start)
    assert {name for name, n in cases_in(cases).items() if n} >= set(PUT_IN)
    online = OnlineFeatures(wanted, of)
    for first in range(0, len(cases), AT_A_TIME):
        some = cases[first : first + AT_A_TIME]
        rows = asked(some, of, wanted)
        for row in rows:
            values = online.row(row.history, row.as_of)
            for d, value, truth in zip(wanted, values, row.expected, strict=True):
                assert (type(value), bits(value)) == (type(truth), bits(truth)), told(d, row, value, truth)
        merges = merge_rows([merge for case in some for merge in case.merges])
        records = {**arrow_tables([case.told for case in some]), "merges": merges}
        for connection in (ibis.duckdb.connect(), spark):
            folder = tmp_path / f"{connection.name}{first}"
            folder.mkdir()
            table = feature_table(_read(connection, records, folder), _row_table(rows), wanted, of)
            assert_all_as_expected(connection.to_pyarrow(table), rows, wanted)
