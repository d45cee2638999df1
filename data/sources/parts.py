"""Rows of one table built from one block, and the rejections on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.sources import rejects
from data.sources.cells import Cell, Timed, microseconds
from data.sources.values import Frame, Mask
from data.tables import Column, Table

ROW, FILE = "__row", "__file"
"""Where a row came from."""
OF, AFTER = "__of", "__after"
"""Whose creation a row waits for ("lead:7", "account:3"), and how long after it: where `occurred_at`
is null it becomes creation + after, else it is no earlier than that."""
CALLED = "__called"
"""Which of the import's `data.sources.called.Called` says what the row's columns are called in its file."""
PROVENANCE = (
    pa.field(ROW, pa.int64()),
    pa.field(FILE, pa.string()),
    pa.field(OF, pa.string()),
    pa.field(AFTER, pa.int64()),
    pa.field(CALLED, pa.int16()),
)


TIMES = frozenset({"occurred_at", "recorded_at"})


def stored_form(table: Table, rows: pa.Table) -> pa.Table:
    """The rows without what only the import needs."""
    schema = table.arrow_schema()
    return rows.select(schema.names).cast(schema)


@dataclass(frozen=True)
class Origin:
    """Which system and file a block comes from, and how ids are read there."""

    source: str
    file: str
    now: int
    """Instant of the import."""
    by_row: bool = False
    id_prefix: str = ""


@dataclass(frozen=True)
class Part:
    table: Table
    rows: pa.Table
    """The table's Arrow schema, all nullable, and PROVENANCE."""
    rejects: pa.Table
    named: dict[str, str]
    """Column of the table → column of the file."""
    instants: frozenset[str]
    """Columns of the table that hold microseconds."""
    flat: bool = False
    """Current state rather than dated records: a changed value is a change found now."""


def schema_of(table: Table) -> pa.Schema:
    return pa.schema([f.with_nullable(True) for f in table.arrow_schema()] + list(PROVENANCE))


def part(
    table: Table,
    frame: Frame,
    origin: Origin,
    columns: dict[str, pa.Array],
    named: dict[str, str],
    *,
    flat: bool = False,
    instants: frozenset[str] = TIMES,
) -> Part:
    """The sound rows of `frame` as rows of `table`.

    `columns` holds arrays by the table's column names, and OF and AFTER where
    times wait for a creation; `named` says which column of the file each came
    from. A required column that is null makes a rejection.
    """
    _complain_of_empty(table, frame, columns, named)
    keep = pa.array(~_any(frame) & ~frame.skipped)
    rows = _rows(table, frame, origin, columns).filter(keep)
    return Part(table, rows, faults_told(table, frame, origin, named), named, instants, flat)


def _rows(table: Table, frame: Frame, origin: Origin, columns: dict[str, pa.Array]) -> pa.Table:
    count = len(frame)
    filled = {
        "source": pa.repeat(pa.scalar(origin.source), count),
        ROW: frame.numbers,
        FILE: pa.repeat(pa.scalar(origin.file), count),
        **columns,
    }
    schema = schema_of(table)
    return pa.table([filled.get(f.name, pa.nulls(count, f.type)) for f in schema], schema=schema)


def _complain_of_empty(table: Table, frame: Frame, columns: dict[str, pa.Array], named: dict[str, str]) -> None:
    already = _any(frame)
    for column in table.columns:
        if column.name in columns and _must_be_there(column, AFTER in columns):
            empty = _nulls(columns[column.name]) & ~already & ~frame.skipped
            reason = f"no {column.name.replace('_', ' ')}: the cell is empty or means missing"
            frame.fault(empty, named.get(column.name, ""), reason)


def _must_be_there(column: Column, waits: bool) -> bool:
    return column.required and column.name not in {"source", "source_id"} and not (waits and column.name in TIMES)


def faults_told(table: Table, frame: Frame, origin: Origin, named: dict[str, str]) -> pa.Table:
    """The first fault of each row as a rejection; contact columns are masked."""
    contact = {named[c.name] for c in table.columns if c.contact and c.name in named}
    told, out = frame.skipped.copy(), []
    for fault in frame.faults:
        mask = fault.mask & ~told
        told |= fault.mask
        if mask.any():
            chosen = pa.array(mask)
            rows, raw = frame.numbers.filter(chosen), fault.raw.filter(chosen)
            hidden = fault.column in contact
            out.append(rejects.rejected(origin.file, rows, table.name, fault.column, raw, fault.reason, contact=hidden))
    return rejects.together(out)


def recorded(frame: Frame, section: Timed, occurred: pa.Array) -> pa.Array:
    """When the source knew it: its column, else the declared lag after it happened."""
    late = pc.add(occurred, lag_of(frame, section))
    return pc.coalesce(frame.instant(section.recorded), late) if section.recorded else late


def lag_of(frame: Frame, section: Timed) -> int:
    return microseconds(section.recording_lag or frame.file.recording_lag)


def lead_ids(frame: Frame, cell: Cell | None, origin: Origin) -> pa.Array:
    """Lead ids as the store has them; row numbers where the source has none."""
    return with_prefix(raw_lead_ids(frame, cell), origin.id_prefix)


def raw_lead_ids(frame: Frame, cell: Cell | None) -> pa.Array:
    cell = cell or frame.file.lead_cell
    return pseudonyms(frame.text(cell)) if cell else frame.numbers.cast(pa.string())


def with_prefix(ids: pa.Array, prefix: str) -> pa.Array:
    return pc.binary_join_element_wise(prefix, ids, "") if prefix else ids


def pseudonyms(ids: pa.Array) -> pa.Array:
    """Ids as they are, but a mail address used as an id becomes a name that tells nobody anything."""
    mails = pc.fill_null(pc.match_substring(ids, "@"), False)
    if not pc.any(mails).as_py():
        return ids
    hidden = pc.binary_join_element_wise("p_", fingerprints([pc.utf8_lower(ids)]), "")
    return pc.if_else(mails, hidden, ids)


def joined(*pieces: pa.Array | str) -> pa.Array:
    """Texts joined by ":"; null where a piece is null."""
    return pc.binary_join_element_wise(*pieces, ":")


def fingerprints(columns: Iterable[pa.Array]) -> pa.Array:
    """16 hex digits of each row's content, the same in every version and on every machine."""
    texts = [pc.fill_null(c if pa.types.is_string(c.type) else c.cast(pa.string()), "\x00") for c in columns]
    whole = pc.binary_join_element_wise(*texts, "\x1f")
    return pa.array([blake2b(t.encode(), digest_size=8).hexdigest() for t in whole.to_pylist()], pa.string())


def _nulls(values: pa.Array) -> Mask:
    return np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False), dtype=bool)


def _any(frame: Frame) -> Mask:
    out = np.zeros(len(frame), bool)
    for fault in frame.faults:
        out |= fault.mask
    return out
