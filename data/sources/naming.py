"""Record names: content stands in where the source has no id; the same record twice is one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.sources.parts import FILE, PROVENANCE, fingerprints
from data.sources.values import true_in

_TRAVELLING = {f.name for f in PROVENANCE}


def named_records(rows: pa.Table, source: str) -> pa.Table:
    """Rows with a source id each; those without get a fingerprint of their content.

    Equal rows of one file stay apart (two page views in one second are two);
    equal rows of overlapping files are the same.
    """
    nameless = true_in(pc.is_null(rows.column("source_id")))
    if not nameless.any():
        return rows
    some = rows.filter(nameless)
    marks = pd.Series(content_marks(some).to_pandas())
    nth = marks.groupby([some.column(FILE).to_pandas(), marks]).cumcount()
    marks = marks.where(nth == 0, marks + "#" + nth.astype(str))
    names = rows.column("source_id").to_pandas()
    names[np.flatnonzero(nameless)] = marks.to_numpy()
    return rows.set_column(rows.schema.get_field_index("source_id"), "source_id", pa.array(names, pa.string()))


def content_marks(rows: pa.Table) -> pa.Array:
    """What stands in for the name of each row that has none, before equal ones are counted."""
    content = [c for c in rows.schema.names if c not in _TRAVELLING | {"source", "source_id"}]
    return fingerprints([rows.column(c).combine_chunks() for c in content])


def without_duplicates(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """(each source id once, later rows of the same id with other content); equal repeats vanish."""
    names = rows.column("source_id").to_pandas()
    again = names.duplicated(keep="first").to_numpy()
    if not again.any():
        return rows, rows.slice(0, 0)
    shared = names.duplicated(keep=False).to_numpy()
    content = [c for c in rows.schema.names if c not in _TRAVELLING]
    marks = pd.Series(fingerprints([_whole(rows.filter(shared).column(c)) for c in content]).to_pandas())
    first = marks.groupby(names[shared].to_numpy()).transform("first")
    differs = np.zeros(len(names), bool)
    differs[np.flatnonzero(shared)] = (marks != first).to_numpy()
    return rows.filter(~again), rows.filter(differs)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
