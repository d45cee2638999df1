"""What the columns of a table's rows are called in their file, for whoever is told of a row that was not taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.sources.parts import CALLED
from data.sources.values import true_in
from data.times import render_instant

STANDS_FOR = {"source_id": ("text", "number", "lead_id", "account_id", "person_id", "opportunity_id")}
"""A record's name that the import put together itself is told by what it was put together from."""


@dataclass(frozen=True)
class Called:
    """How one section of one file names and writes what became columns of a table."""

    columns: tuple[tuple[str, str], ...] = ()
    """(column of the table, column of the file)."""
    instants: frozenset[str] = frozenset()
    """Columns of the table that hold microseconds."""
    timezone: str = "UTC"
    id_prefix: str = ""
    """Stands before lead ids that the file writes without it."""

    def told(self, rows: pa.Table, column: str) -> tuple[str, pa.Array]:
        """The file's column behind `column`, empty where none is, and its values as the file may have them."""
        mine = dict(self.columns)
        chain = [name for name in (column, *STANDS_FOR.get(column, ())) if name in rows.column_names]
        found = next((name for name in chain if name in mine), column)
        values = self._written(found, rows.column(found))
        if found in ("text", "number"):
            values = pc.coalesce(*(self._written(name, rows.column(name)) for name in ("text", "number")))
        return mine.get(found, ""), values

    def _written(self, column: str, values: pa.ChunkedArray) -> pa.Array:
        if column in self.instants:
            # A date among numbers is a float.
            found = values.cast(pa.int64(), safe=False).to_pylist()
            return pa.array([None if v is None else _told(v, self.timezone) for v in found], pa.string())
        texts = _whole(values.cast(pa.string()))
        return pc.utf8_slice_codeunits(texts, len(self.id_prefix)) if column == "lead_id" else texts


def _told(instant: int, timezone: str) -> str:
    """As the calendar says it; beyond the years 1 to 9999, which it does not know, in microseconds."""
    try:
        return render_instant(instant, timezone)
    except (ValueError, OverflowError):
        return str(instant)


def by_section(rows: pa.Table, called: Sequence[Called]) -> Iterator[tuple[Called, pa.Table]]:
    """The rows section by section; those that no file says in this form come with a `Called` that knows nothing."""
    numbers = rows.column(CALLED)
    for number in pc.unique(numbers).to_pylist():
        if number is None:
            yield Called(instants=frozenset({"occurred_at"})), rows.filter(pc.is_null(numbers))
        else:
            yield called[number], rows.filter(pa.array(np.asarray(true_in(pc.equal(numbers, number)))))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
