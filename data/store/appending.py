"""Adding rows to one table inside a serialised write: by key, never over another row."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import Connection

from data.store.engine import execute, raw_cursor, select_all
from data.store.rows import slices, tuples
from data.tables import Table

_WORTH_TELLING = 5_000
"""Rows from which a changed table's statistics are refreshed at once."""


@dataclass(frozen=True)
class Appended:
    """What became of the rows given; accepted + unchanged + len(conflicts) is their number."""

    accepted: int
    unchanged: int
    """Were there already with the same content."""
    conflicts: pa.Table
    """Rows whose name (source, source_id), or lead id in `leads`, is there with other content; not kept."""


def append_rows(connection: Connection, table: Table, rows: pa.Table, loaded_at: int) -> Appended:
    """Adds checked `rows`; of two with one name in `rows` itself the first is the record."""
    accepted = 0
    conflicts = [rows.slice(0, 0)]
    _make_stage(connection, table)
    for part in slices(rows):
        _fill_stage(connection, table, part)
        _tell_planner(connection, f"stage_{table.name}", len(part))
        fresh = _insert_from_stage(connection, table, loaded_at)
        if fresh < len(part):
            positions = select_all(connection, _conflict_statement(table, connection))
            conflicts.append(part.take(pa.array([p for (p,) in positions], pa.int64())))
        accepted += fresh
        _empty_stage(connection, table)
    _tell_planner(connection, table.name, accepted)
    refused = pa.concat_tables(conflicts).combine_chunks()
    return Appended(accepted, len(rows) - accepted - len(refused), refused)


def _tell_planner(connection: Connection, name: str, rows: int) -> None:
    # PostgreSQL plans as if a table just filled were still empty, until it is told.
    if connection.dialect.name == "postgresql" and rows >= _WORTH_TELLING:
        execute(connection, f"ANALYZE {name}")


def _names(table: Table) -> list[str]:
    return table.arrow_schema().names


def _quoted(names: list[str], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{name}"' for name in names)


def _make_stage(connection: Connection, table: Table) -> None:
    postgresql = connection.dialect.name == "postgresql"
    types = {"number": "DOUBLE PRECISION", "integer": "BIGINT", "instant": "BIGINT"}
    types |= {"boolean": "BOOLEAN"} if postgresql else {"boolean": "INTEGER"}
    columns = [f'"{c.name}" {types.get(c.type, "TEXT")}' for c in table.columns if c.name != "loaded_at"]
    end = " ON COMMIT DROP" if postgresql else ""
    sql = f"CREATE TEMP TABLE IF NOT EXISTS stage_{table.name} (pos INTEGER PRIMARY KEY, {', '.join(columns)}){end}"
    execute(connection, sql)


def _fill_stage(connection: Connection, table: Table, rows: pa.Table) -> None:
    names = ["pos", *_names(table)]
    cursor = raw_cursor(connection)
    if connection.dialect.name == "postgresql":
        with cursor.copy(f"COPY stage_{table.name} ({_quoted(names)}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(_csv(rows))
    else:
        marks = ", ".join("?" * len(names))
        cursor.executemany(f"INSERT INTO stage_{table.name} ({_quoted(names)}) VALUES ({marks})", tuples(rows))
    cursor.close()


def _csv(rows: pa.Table) -> bytes:
    # Text is always quoted and null never, which is how PostgreSQL tells "" from null.
    numbered = rows.add_column(0, "pos", pa.array(range(len(rows)), pa.int64()))
    sink = io.BytesIO()
    pa_csv.write_csv(numbered, sink, pa_csv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getvalue()


def _insert_from_stage(connection: Connection, table: Table, loaded_at: int) -> int:
    columns = _quoted(_names(table))
    # WHERE true: without it SQLite takes ON for the beginning of a join.
    sql = (
        f'INSERT INTO {table.name} ({columns}, "loaded_at") SELECT {columns}, CAST(? AS BIGINT) FROM stage_{table.name}'
        " WHERE true ORDER BY pos ON CONFLICT DO NOTHING"
    )
    return execute(connection, sql, (loaded_at,))


def _conflict_statement(table: Table, connection: Connection) -> str:
    """Positions of staged rows that the table does not hold as they are."""
    other = "IS NOT" if connection.dialect.name == "sqlite" else "IS DISTINCT FROM"
    content = [name for name in _names(table) if name not in ("source", "source_id")]
    differs = " OR ".join(f't."{name}" {other} s."{name}"' for name in content)
    return (
        f"SELECT s.pos FROM stage_{table.name} s LEFT JOIN {table.name} t"
        f" ON t.source = s.source AND t.source_id = s.source_id WHERE t.seq IS NULL OR {differs} ORDER BY s.pos"
    )


def _empty_stage(connection: Connection, table: Table) -> None:
    clear = "TRUNCATE" if connection.dialect.name == "postgresql" else "DELETE FROM"
    execute(connection, f"{clear} stage_{table.name}")
