"""From rows as files have them to rows the store may have: times filled in, contradictions set aside."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.sources import rejects
from data.sources.called import Called, by_section
from data.sources.changes import flat_rows_to_store
from data.sources.gathering import Gathered
from data.sources.naming import named_records, without_duplicates
from data.sources.parts import AFTER, FILE, OF, ROW, schema_of, stored_form
from data.sources.values import true_in
from data.tables import Table

TWICE = "the same record again with other content; the first is kept"


@dataclass(frozen=True)
class Known:
    """What the store has, read before the import: leads of all sources, flat records of this one."""

    leads: pa.Table = field(default_factory=tables.LEADS.arrow_schema().empty_table)
    flat: dict[Table, pa.Table] = field(default_factory=dict)


@dataclass
class Settled:
    rows: dict[Table, pa.Table] = field(default_factory=dict)
    """Rows with PROVENANCE, each source id once a table."""
    rejects: list[pa.Table] = field(default_factory=list)
    unchanged: dict[Table, int] = field(default_factory=dict)
    """Flat rows that say what the store knows already."""
    rejected_leads: list[pa.Table] = field(default_factory=list)
    check: RowCheck | None = None
    """For rows that come later, too many to be settled together."""
    called: list[Called] = field(default_factory=list)

    def reject(self, table: Table, rows: pa.Table, column: str, reason: str) -> None:
        """Tells of the rows by what their file calls `column`."""
        if rows.num_rows and table == tables.LEADS:
            self.rejected_leads.append(rows)
        for called, some in by_section(rows, self.called):
            name, values = called.told(some, column)
            files, numbers = _whole(some.column(FILE)), _whole(some.column(ROW))
            self.rejects.append(rejects.rejected(files, numbers, table.name, name, values, reason))


def settle(gathered: Gathered, known: Known, *, source: str, now: int, by_row: bool) -> Settled:
    """Pure: the rows to append and the rejections.

    Leads come first; everything else is held against the leads of this import
    and of the store.
    """
    out = Settled(called=gathered.called)
    leads = _leads(gathered, known, source, now, by_row, out)
    check = out.check = RowCheck(
        _places(out.rejected_leads),
        Creations.of(pa.concat_tables([known.leads, stored_form(tables.LEADS, leads)])),
        now,
        by_row,
    )
    for table, rows in gathered.dated.items():
        if table != tables.LEADS:
            _add(out, table, check.sound(table, rows, out))
    for table, rows in gathered.flat.items():
        sound = check.sound(table, rows, out)
        kept, unchanged = flat_rows_to_store(table, sound, known, now=now, by_row=by_row)
        out.unchanged[table] = unchanged
        _add(out, table, kept)
    for table, rows in out.rows.items():
        single, twice = without_duplicates(named_records(rows, source))
        out.rows[table] = single
        out.reject(table, twice, "source_id", TWICE)
    return out


@dataclass(frozen=True)
class RowCheck:
    """What every row beside a lead's own is held against, once all leads are known."""

    spoilt: pa.Array
    """Places of rows whose lead was rejected."""
    creations: Creations
    now: int
    by_row: bool

    def sound(self, table: Table, rows: pa.Table, out: Settled) -> pa.Table:
        """The rows that may be stored, with their times; the others are rejected in `out`."""
        return _sound(table, _without(rows, self.spoilt), self.creations, self.now, self.by_row, out)


def _places(rows: list[pa.Table]) -> pa.Array:
    """File and row of each, as one text."""
    texts = [pc.binary_join_element_wise(r.column(FILE), r.column(ROW).cast(pa.string()), "\x1f") for r in rows]
    return pa.array([t for text in texts for t in text.to_pylist()], pa.string())


def _without(rows: pa.Table, spoilt: pa.Array) -> pa.Table:
    """Rows but those of files' rows whose lead was rejected: they are not spoken of again."""
    if not len(spoilt) or not rows.num_rows:
        return rows
    return rows.filter(pc.invert(pc.is_in(_places([rows]), value_set=spoilt)))


def _add(out: Settled, table: Table, rows: pa.Table) -> None:
    out.rows[table] = pa.concat_tables([out.rows[table], rows]) if table in out.rows else rows


def _leads(gathered: Gathered, known: Known, source: str, now: int, by_row: bool, out: Settled) -> pa.Table:
    rows = gathered.dated.get(tables.LEADS)
    if rows is None:
        return schema_of(tables.LEADS).empty_table()
    rows = rows if by_row else _past(tables.LEADS, rows, now, out)
    rows, twice = without_duplicates(rows)
    out.reject(tables.LEADS, twice, "source_id", "the same lead id again with other content; the first is kept")
    elsewhere = known.leads.filter(pc.not_equal(known.leads.column("source"), source)).column("lead_id")
    taken = true_in(pc.is_in(rows.column("lead_id"), value_set=_whole(elsewhere)))
    out.reject(
        tables.LEADS,
        rows.filter(taken),
        "source_id",
        "another source has a lead of this id; declare id_prefix in this mapping",
    )
    out.rows[tables.LEADS] = rows.filter(~taken)
    return out.rows[tables.LEADS]


def _past(table: Table, rows: pa.Table, now: int, out: Settled) -> pa.Table:
    future = true_in(pc.greater(rows.column("occurred_at"), now))
    out.reject(table, rows.filter(future), "occurred_at", "a time after this import; is the time zone or format right?")
    return rows.filter(~future)


def _sound(table: Table, rows: pa.Table, creations: Creations, now: int, by_row: bool, out: Settled) -> pa.Table:
    """The rows whose lead is known, with times that can be true."""
    if "lead_id" in table.column_names():
        unknown = ~creations.has_leads(rows.column("lead_id"))
        out.reject(table, rows.filter(unknown), "lead_id", "no such lead in these files or in the store")
        rows = rows.filter(~unknown)
    rows = creations.filled(rows, now)
    rows = rows if by_row else _past(table, rows, now, out)
    if table == tables.STAGE_CHANGES:
        early = creations.before(rows)
        reason = 'before the lead was created; correct it, or declare before_creation = "at_creation"'
        out.reject(table, rows.filter(early), "occurred_at", reason)
        rows = rows.filter(~early)
    return rows


class Creations:
    """When each lead, and the first lead of each person and account, was created."""

    def __init__(self, keys: pd.Index, occurred: np.ndarray, recorded: np.ndarray) -> None:
        self._keys, self._occurred, self._recorded = keys, occurred, recorded

    @staticmethod
    def of(leads: pa.Table) -> Creations:
        frame = leads.select(["lead_id", "person_id", "account_id", "occurred_at", "recorded_at"]).to_pandas()
        pieces = []
        for subject in ("lead", "person", "account"):
            ids = frame[f"{subject}_id"]
            one = pd.DataFrame({"key": f"{subject}:" + ids, "at": frame["occurred_at"], "known": frame["recorded_at"]})
            pieces.append(one[ids.notna()])
        every = pd.concat(pieces).sort_values(["at", "known"], kind="stable").drop_duplicates("key")
        return Creations(pd.Index(every["key"]), every["at"].to_numpy("int64"), every["known"].to_numpy("int64"))

    def has_leads(self, lead_ids: pa.ChunkedArray) -> np.ndarray:
        return self._places(pc.binary_join_element_wise("lead", lead_ids, ":")) >= 0

    def before(self, rows: pa.Table) -> np.ndarray:
        """Which rows happened before their lead was created."""
        places = self._places(pc.binary_join_element_wise("lead", rows.column("lead_id"), ":"))
        return rows.column("occurred_at").to_numpy() < self._occurred[places]

    def filled(self, rows: pa.Table, now: int) -> pa.Table:
        """Rows with their times; what waits for a creation that never comes is known from `now`."""
        waits = true_in(pc.is_valid(rows.column(OF)))
        if not waits.any():
            return rows
        places = self._places(rows.column(OF))
        start = np.where(places >= 0, self._occurred[places] if len(self._occurred) else now, now)
        known = np.where(places >= 0, self._recorded[places] if len(self._recorded) else now, now)
        after = pc.fill_null(rows.column(AFTER), 0).to_numpy()
        occurred, recorded = _times(rows, waits, start + after, known)
        return _with_times(rows, occurred, recorded)

    def _places(self, keys: pa.ChunkedArray) -> np.ndarray:
        return self._keys.get_indexer(keys.to_pandas())


def _times(rows: pa.Table, waits: np.ndarray, earliest: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Null times become the earliest; times there are pushed up to it."""
    undated = true_in(pc.is_null(rows.column("occurred_at")))
    given = pc.fill_null(rows.column("occurred_at"), 0).to_numpy()
    occurred = np.where(undated, earliest, np.where(waits, np.maximum(given, earliest), given))
    told = pc.fill_null(rows.column("recorded_at"), 0).to_numpy()
    recorded = np.where(undated, np.maximum(known, occurred), np.where(waits, np.maximum(told, occurred), told))
    return occurred, recorded


def _with_times(rows: pa.Table, occurred: np.ndarray, recorded: np.ndarray) -> pa.Table:
    for name, values in (("occurred_at", occurred), ("recorded_at", recorded)):
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), pa.array(values, pa.int64()))
    return rows


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
