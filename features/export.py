"""The feature table as a file for people and other tools."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from data.home import Home
from data.store.snapshots import Snapshot
from data.times import render_instant
from features.as_of import ROW_COLUMNS, known_rows
from features.catalogue import declarations
from features.engine import batch_engine, feature_values


def write_features(home: Home, snapshot: Snapshot, out: Path, *, as_of: int) -> tuple[int, int]:
    """Writes one row a lead known at `as_of`, open or not; returns how many leads and features.

    Columns: lead_id, cycle_id, cycle_start and as_of (ISO, in the company's
    time zone), then the features in catalogue order.
    """
    company = snapshot.company
    wanted = declarations(company, home.own_features)
    with batch_engine(home) as connection:
        tables = snapshot.tables(connection)
        found = feature_values(connection, tables, known_rows(tables, as_of=as_of), wanted, company)
    write_table(_with_readable_instants(found, company.timezone), out)
    return found.num_rows, found.num_columns - len(ROW_COLUMNS)


def _with_readable_instants(table: pa.Table, timezone: str) -> pa.Table:
    for name in ("cycle_start", "as_of"):
        texts = [render_instant(at, timezone) for at in table[name].to_pylist()]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(texts, pa.string()))
    return table


def write_table(table: pa.Table, out: Path) -> None:
    """Writes CSV (UTF-8, empty where null) or Parquet, by the file's name."""
    if out.suffix == ".parquet":
        pq.write_table(table, out)
    else:
        pyarrow.csv.write_csv(_without_formulas(table), out)


def _without_formulas(table: pa.Table) -> pa.Table:
    """Texts that a spreadsheet would run begin with an apostrophe."""
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            safe = pc.replace_substring_regex(table[field.name], r"^([=+\-@\t\r])", r"'\1")
            table = table.set_column(number, field, safe)
    return table
