"""Rows that could not be taken, kept aside with their place and reason; contact values are masked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

SCHEMA = pa.schema(
    [
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("table", pa.string()),
        pa.field("column", pa.string()),
        pa.field("value", pa.string()),
        pa.field("reason", pa.string()),
    ]
)
"""One row a rejection; `row` counts from 1 below the header of `file`."""
LONGEST = 200
MASKED = "•••"
_CONTACT = r"[^\s@]+@[^\s@]+|^(\+|0)[\d\s()-]{8,}$"
"""What looks like a mail address or a telephone number, whatever its column is called."""


def rejected(
    file: str | pa.Array,
    rows: pa.Array,
    table: str,
    column: str,
    values: pa.Array,
    reason: str,
    *,
    contact: bool = False,
) -> pa.Table:
    files = file if isinstance(file, pa.Array) else pa.repeat(pa.scalar(file, pa.string()), len(rows))
    shown = pa.repeat(pa.scalar(MASKED), len(rows)) if contact else _masked(values)
    named = [pa.repeat(pa.scalar(text, pa.string()), len(rows)) for text in (table, column, reason)]
    return pa.table([files, rows, named[0], named[1], shown, named[2]], schema=SCHEMA)


def _masked(values: pa.Array) -> pa.Array:
    cut = pc.utf8_slice_codeunits(values, 0, LONGEST)
    return pc.if_else(pc.fill_null(pc.match_substring_regex(cut, _CONTACT), False), MASKED, cut)


def together(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables([SCHEMA.empty_table(), *tables]).combine_chunks()


def write(rejects: pa.Table, path: Path) -> None:
    """CSV in UTF-8; a cell that a spreadsheet would take for a formula gets an apostrophe."""
    safe = pc.replace_substring_regex(rejects.column("value"), r"^([=+\-@\t\r])", r"'\1")
    pacsv.write_csv(rejects.set_column(4, "value", safe), path)
