"""One measured run in a process of its own: `python -m tests.benchmarks.feature_run ours|sql|pandas FOLDER OUT`.

Prints one line of JSON: wall seconds, processor seconds, peak memory (MB).
The answer goes to OUT as Parquet, outside of what is timed.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

THREADS = 2
SQL_MEMORY = "3GB"
"""It is run in one piece: less makes it spill, ours needs less."""
SQL = Path(__file__).with_name("features.sql")


def ours(folder: Path, part: str = "") -> pa.Table:
    from data.company import Company
    from data.home import Home
    from features.catalogue import declarations
    from features.engine import batch_engine, feature_values

    with tempfile.TemporaryDirectory() as home, batch_engine(Home.at(home), threads=THREADS) as connection:
        read = {file.stem: connection.read_parquet(file, table_name=file.stem) for file in folder.glob("*.parquet")}
        rows = read.pop("rows")
        wanted = tuple(d for d in declarations(Company()) if not part or d.kind in of_part(part))
        return feature_values(connection, read, rows, wanted, Company())


def of_part(part: str) -> frozenset[str]:
    from features.batch_stages import KINDS
    from features.declaration import ACCOUNT_KINDS, ATTRIBUTE_KINDS, TOUCHPOINT_KINDS_OF_FEATURE

    return {
        "touchpoints": TOUCHPOINT_KINDS_OF_FEATURE,
        "account": ACCOUNT_KINDS,
        "profile": ATTRIBUTE_KINDS,
        "stages": KINDS,
        "calendar": frozenset({"calendar"}),
    }[part]


def sql(folder: Path, plan: Path | None = None) -> pa.Table:
    import duckdb

    with tempfile.TemporaryDirectory() as spill:
        connection = duckdb.connect()
        connection.execute(f"SET threads = {THREADS}; SET memory_limit = '{SQL_MEMORY}'")
        connection.execute(f"SET temp_directory = '{spill}'")
        for file in folder.glob("*.parquet"):
            connection.execute(f"CREATE VIEW {file.stem} AS FROM '{file}'")
        statement = SQL.read_text(encoding="utf-8")
        if plan:
            plan.write_text(connection.execute(f"EXPLAIN ANALYZE {statement}").fetchall()[0][1], encoding="utf-8")
        else:
            connection.execute(statement)
        return connection.sql("FROM by_hand").to_arrow_table()


def pandas(folder: Path) -> pa.Table:
    from tests.benchmarks.in_pandas import features

    return pa.Table.from_pandas(features(folder), preserve_index=False)


RUNS: dict[str, Callable[..., pa.Table]] = {"ours": ours, "sql": sql, "pandas": pandas}


IMPORTED = {
    "ours": ("features.engine", "ibis.backends.duckdb"),
    "sql": ("duckdb",),
    "pandas": ("tests.benchmarks.in_pandas",),
}


def main(what: str, folder: str, out: str, *more: str) -> None:
    for name in (*IMPORTED[what], "features.catalogue"):
        importlib.import_module(name)
    wall, processor = time.perf_counter(), time.process_time()
    table = RUNS[what](Path(folder), *more)
    figures = {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": table.num_rows,
    }
    if out != "-":
        pq.write_table(table, out)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
