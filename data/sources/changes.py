"""Current state against the store: what is new, what has changed, what is known already.

A value that differs from the newest one known is a change found by this
import, recorded now; nothing that was stored is overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.sources.parts import OF
from data.tables import Table

if TYPE_CHECKING:
    from data.sources.settling import Known

KEYS: dict[Table, tuple[str, ...]] = {
    tables.PERSONS: ("person_id",),
    tables.ACCOUNTS: ("account_id",),
    tables.LEAD_ATTRIBUTES: ("lead_id", "name"),
    tables.ACCOUNT_ATTRIBUTES: ("account_id", "name"),
    tables.STAGE_CHANGES: ("lead_id",),
}
"""What a flat row describes: rows of one key are versions of one thing."""
SHARED = (tables.PERSONS, tables.ACCOUNTS, tables.ACCOUNT_ATTRIBUTES)
"""Tables whose subject several leads may speak of."""
_NOT_CONTENT = {"source", "source_id", "occurred_at", "recorded_at"}


def flat_rows_to_store(table: Table, rows: pa.Table, known: Known, *, now: int, by_row: bool) -> tuple[pa.Table, int]:
    """(rows to append, how many say what is known already)."""
    rows = runs(table, rows) if table in SHARED else rows
    stored = known.flat.get(table)
    if stored is None or not stored.num_rows or by_row:
        return rows, 0
    if table == tables.STAGE_CHANGES:
        return _outcomes(rows, stored, known, now)
    return _changed(table, rows, stored, now)


def runs(table: Table, rows: pa.Table) -> pa.Table:
    """What leads say of a shared subject, in order of time, without repetitions; the last word at one time counts."""
    spoken = pc.starts_with(pc.fill_null(rows.column(OF), ""), "lead:")
    told = rows.filter(spoken)
    if not told.num_rows:
        return rows
    told = told.take(pc.sort_indices(told, [("occurred_at", "ascending")]))
    key, content = _keys(table, told), _contents(table, told)
    at = pd.Series(told.column("occurred_at").to_numpy())
    last = ~pd.DataFrame({"k": key, "at": at}).duplicated(keep="last")
    before = content[last].groupby(key[last]).shift()
    starts = np.flatnonzero(last)[(content[last] != before).to_numpy()]
    told = told.take(pa.array(starts))
    ids = pc.binary_join_element_wise(told.column("source_id"), told.column("occurred_at").cast(pa.string()), "@")
    return pa.concat_tables([rows.filter(pc.invert(spoken)), _with(told, "source_id", ids)])


def _changed(table: Table, rows: pa.Table, stored: pa.Table, now: int) -> tuple[pa.Table, int]:
    there = rows.column("source_id").to_pandas().isin(stored.column("source_id").to_pandas()).to_numpy()
    key, content = _keys(table, rows), _contents(table, rows)
    last = ~key.duplicated(keep="last").to_numpy()
    latest = key.map(_latest(table, stored))
    same = (content == latest).to_numpy()
    known_already = there & last & same
    moved = there & last & ~same
    unmoved = rows.filter(~(known_already | moved))
    return pa.concat_tables([unmoved, _found_now(rows.filter(moved), now)]), int(known_already.sum())


def _outcomes(rows: pa.Table, stored: pa.Table, known: Known, now: int) -> tuple[pa.Table, int]:
    """Outcomes without dates: those of leads known before, but not yet so, are found now."""
    mine = stored.filter(pc.match_substring(stored.column("source_id"), ":outcome:"))
    if not mine.num_rows:
        return rows, 0
    names = rows.column("source_id").to_pandas()
    newest = mine.to_pandas().assign(name=lambda f: f["source_id"].str.replace(r"@\d+$", "", regex=True))
    newest = (
        newest.sort_values("occurred_at", kind="stable").drop_duplicates("name", keep="last").set_index("name")["stage"]
    )
    same = (names.map(newest) == rows.column("stage").to_pandas()).to_numpy()
    old_lead = rows.column("lead_id").to_pandas().isin(known.leads.column("lead_id").to_pandas()).to_numpy()
    moved = old_lead & ~same
    return pa.concat_tables([rows.filter(~old_lead & ~same), _found_now(rows.filter(moved), now)]), int(same.sum())


def _found_now(rows: pa.Table, now: int) -> pa.Table:
    moment = pa.repeat(pa.scalar(now, pa.int64()), rows.num_rows)
    rows = _with(_with(rows, "occurred_at", moment), "recorded_at", moment)
    ids = rows.column("source_id")
    return _with(rows, "source_id", pc.binary_join_element_wise(ids, str(now), "@"))


def _latest(table: Table, stored: pa.Table) -> pd.Series:
    """Newest content by key."""
    frame = pd.DataFrame(
        {
            "key": _keys(table, stored),
            "content": _contents(table, stored),
            "at": stored.column("occurred_at").to_numpy(),
            "known": stored.column("recorded_at").to_numpy(),
        }
    )
    newest = frame.sort_values(["at", "known"], kind="stable").drop_duplicates("key", keep="last")
    return newest.set_index("key")["content"]


def _keys(table: Table, rows: pa.Table) -> pd.Series:
    return _texts(rows, list(KEYS[table]))


def _contents(table: Table, rows: pa.Table) -> pd.Series:
    return _texts(rows, [c.name for c in table.columns if c.name not in {*_NOT_CONTENT, *KEYS[table], "loaded_at"}])


def _texts(rows: pa.Table, columns: list[str]) -> pd.Series:
    pieces = [pc.fill_null(rows.column(c).cast(pa.string()), "\x00") for c in columns]
    return pc.binary_join_element_wise(*pieces, "\x1f").to_pandas()


def _with(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
