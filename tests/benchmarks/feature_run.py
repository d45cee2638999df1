"""One measured run in a process of its own: `python -m tests.benchmarks.feature_run WHAT FOLDER OUT`.

WHAT is ours, pieces (ours, of which no more than a piece is held), sql or
pandas. Prints one line of JSON: wall seconds, processor seconds, peak memory
(MB), rows. The answer goes to OUT as Parquet, outside of what is timed; `-`
writes none. FOLDER holds a history as tests.benchmarks.generated writes it.

`python -m tests.benchmarks.feature_run sql FOLDER - tests/benchmarks/features.plan.txt` renews the committed plan
of the hand-written SQL, as DuckDB ran it over 10,000,000 touchpoints.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

THREADS = 2
SQL_MEMORY = "3GB"
"""It is run in one piece: less makes it spill, ours needs less."""
SQL = Path(__file__).with_name("features.sql")


def ours(folder: Path, part: str = "") -> pa.Table:
    from features.engine import feature_values

    with asked_for(folder, part) as asked:
        return feature_values(*asked)


def pieces(folder: Path) -> pa.Table:
    """Only the keys are kept, as by one who writes each piece away."""
    from features.as_of import ROW_COLUMNS
    from features.engine import feature_pieces

    with asked_for(folder) as asked:
        return pa.concat_tables([piece.select(list(ROW_COLUMNS)) for piece in feature_pieces(*asked)])


@contextmanager
def asked_for(folder: Path, part: str = "") -> Iterator[tuple]:
    """The arguments of `feature_values` for the history of the folder and the default catalogue, or a part of it."""
    from data.company import Company
    from data.home import Home
    from features.catalogue import declarations
    from features.engine import batch_engine

    with tempfile.TemporaryDirectory() as home, batch_engine(Home.at(home), threads=THREADS) as connection:
        read = {file.stem: connection.read_parquet(file, table_name=file.stem) for file in folder.glob("*.parquet")}
        rows = read.pop("rows")
        wanted = tuple(d for d in declarations(Company()) if not part or d.kind in of_part(part))
        yield connection, read, rows, wanted, Company()


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


def sql(folder: Path, plan: str = "") -> pa.Table:
    """With a path as `plan` the plan is written there, with the figures of the run it was made in."""
    import duckdb

    with tempfile.TemporaryDirectory() as spill:
        connection = duckdb.connect()
        connection.execute(f"SET threads = {THREADS}; SET memory_limit = '{SQL_MEMORY}'")
        connection.execute(f"SET temp_directory = '{spill}'")
        for file in folder.glob("*.parquet"):
            connection.execute(f"CREATE VIEW {file.stem} AS FROM '{file}'")
        statement = SQL.read_text(encoding="utf-8")
        if plan:
            made = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}").fetchall()[0][1]
            heading = f"DuckDB {duckdb.__version__}, {THREADS} threads; seconds of all threads together, rows, operator"
            lines = plan_lines(json.loads(made)["operator"])
            Path(plan).write_text(f"{heading}\n{''.join(lines)}", encoding="utf-8")
        else:
            connection.execute(statement)
        return connection.sql("FROM by_hand").to_arrow_table()


TELLING = ("CTE Name", "Function", "Join Type", "Conditions", "Groups", "Filters")


def plan_lines(operators: list[dict], depth: int = 0) -> Iterator[str]:
    """One line an operator: seconds in it, rows out of it, its name and what tells it from others; inputs below it."""
    for operator in operators:
        more, inside = operator["extra_info"], depth
        if operator["type"] != "PROJECTION":  # many, and quick
            told = [
                more[name] if isinstance(more[name], str) else ", ".join(more[name])
                for name in TELLING
                if more.get(name)
            ]
            told += [Path(more["Filename(s)"]).name] if "Filename(s)" in more else []
            yield f"{operator['timing']:8.2f} s {operator['intermediate_rows']:>12,}  {'  ' * depth}"
            yield f"{' | '.join([operator['type'], *told])}\n"
            inside += 1
        yield from plan_lines(operator.get("children", []), inside)


def pandas(folder: Path) -> pa.Table:
    from tests.benchmarks.in_pandas import features

    return pa.Table.from_pandas(features(folder), preserve_index=False)


RUNS: dict[str, Callable[..., pa.Table]] = {"ours": ours, "pieces": pieces, "sql": sql, "pandas": pandas}
IMPORTED = {
    "ours": ("features.engine", "ibis.backends.duckdb"),
    "pieces": ("features.engine", "ibis.backends.duckdb"),
    "sql": ("duckdb",),
    "pandas": ("tests.benchmarks.in_pandas",),
}


def peak_megabytes() -> float:
    """Of this program alone: getrusage's figure starts from the peak of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main(what: str, folder: str, out: str, *more: str) -> None:
    for name in (*IMPORTED[what], "features.catalogue"):
        importlib.import_module(name)
    wall, processor = time.perf_counter(), time.process_time()
    table = RUNS[what](Path(folder), *more)
    figures = {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "peak_mb": peak_megabytes(),
        "rows": table.num_rows,
    }
    if out != "-":
        pq.write_table(table, out)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
