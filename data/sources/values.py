"""Evaluates the cells of a mapping on one block of rows: texts, numbers, instants, with what could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.sources import figures, instants
from data.sources.cells import Cell, Scalar, token_text
from data.sources.sections import FileSection

LONGEST = 100_000
"""Bytes of one value; more is a mistake of the file."""
Mask = np.ndarray
"""Booleans, one a row of the block."""


@dataclass(frozen=True)
class Fault:
    """Rows of a block that a table cannot take, and why; `raw` is what stood in `column`."""

    mask: Mask
    column: str
    raw: pa.Array
    reason: str


@dataclass
class Frame:
    """A block of one file with the settings that say how to read it."""

    rows: pa.Table
    numbers: pa.Array
    file: FileSection
    timezone: str
    missing: tuple[str, ...]
    """Tokens that mean missing where neither the file nor the cell names its own."""
    faults: list[Fault] = field(default_factory=list)
    skipped: Mask = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        self.skipped = np.zeros(self.rows.num_rows, bool)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def only(self, mask: Mask) -> Frame:
        """The rows where `mask` holds, without faults so far."""
        chosen = pa.array(mask)
        return replace(self, rows=self.rows.filter(chosen), numbers=self.numbers.filter(chosen), faults=[])

    def again(self) -> Frame:
        """The same rows, without faults so far."""
        return replace(self, faults=[])

    def raw(self, column: str) -> pa.Array:
        return _combined(self.rows.column(column))

    def text(self, cell: Cell | None) -> pa.Array:
        """Trimmed text, translated; null where empty or missing."""
        if cell is None:
            return pa.nulls(len(self), pa.string())
        if cell.value is not None:
            return pa.repeat(pa.scalar(token_text(cell.value)), len(self))
        found = as_text(self.present(cell.column, cell.missing))
        found = self._translated(found, cell) if cell.words else found
        return pc.binary_join_element_wise(cell.prefix, found, "") if cell.prefix else found

    def present(self, column: str, missing: Sequence[str] | None = None) -> pa.Array:
        """The column with null for what is empty or means missing; text stays text, typed stays typed."""
        values = self.raw(column)
        tokens = (
            missing if missing is not None else self.file.missing if self.file.missing is not None else self.missing
        )
        if pa.types.is_string(values.type):
            values = self._sane(column, pc.utf8_trim_whitespace(values))
            return _without(values, values, ("", *tokens))
        return _without(values, as_text(values), tokens) if tokens else values

    def _sane(self, column: str, values: pa.Array) -> pa.Array:
        """The texts but those that no store should hold."""
        long = pc.greater(pc.binary_length(values), LONGEST)
        dead = pc.match_substring(values, "\x00")
        self.fault(true_in(long), column, f"a value of more than {LONGEST:,} bytes: is a quote left open?")
        self.fault(true_in(dead), column, "a NUL character inside the value")
        return values if not self.faults else pc.if_else(pc.or_(long, dead), pa.scalar(None, pa.string()), values)

    def _translated(self, values: pa.Array, cell: Cell) -> pa.Array:
        known = pa.array(list(cell.words), pa.string())
        meant = pa.array([token_text(v) for v in cell.words.values()], pa.string())
        places = pc.index_in(values, value_set=known)
        if cell.others == "skip":
            self.skipped |= true_in(pc.is_null(places))
        return pc.coalesce(meant.take(places), values)

    def number(self, cell: Cell | None) -> pa.Array:
        if cell is None:
            return pa.nulls(len(self), pa.float64())
        if cell.value is not None:
            return pa.repeat(pa.scalar(float(cell.value)), len(self))
        return self.number_in(cell.column, cell.missing, cell.decimal)

    def number_in(self, column: str, missing: Sequence[str] | None, decimal: str | None) -> pa.Array:
        given = self.present(column, missing)
        read = figures.numbers(given, decimal=decimal or self.file.decimal)
        tokens = _figures(missing if missing is not None else self.file.missing or self.missing)
        self._unread(column, given, read, f"not {figures.EXPECTED}")
        return (
            pc.if_else(pc.is_in(read, value_set=tokens), pa.scalar(None, pa.float64()), read) if len(tokens) else read
        )

    def instant(self, cell: Cell | None) -> pa.Array:
        if cell is None or cell.value is not None:
            return pa.nulls(len(self), pa.int64())
        return self.instant_in(cell.column, cell.missing, cell.format, cell.timezone)

    def instant_in(self, column: str, missing: Sequence[str] | None, form: str = "", timezone: str = "") -> pa.Array:
        given = self.present(column, missing)
        form = form or self.file.dates
        zone = timezone or self.file.timezone or self.timezone
        read = instants.instants(given, timezone=zone, form=form)
        self._unread(column, given, read, f"not a time of the form {form}" if form else f"not {instants.EXPECTED}")
        return read

    def boolean(self, cell: Cell) -> pa.Array:
        given = pc.utf8_lower(self.text(cell))
        yes, no = pa.array(["true", "yes", "1"]), pa.array(["false", "no", "0"])
        read = pc.if_else(pc.is_in(given, value_set=yes), True, pc.if_else(pc.is_in(given, value_set=no), False, None))
        self._unread(cell.column, given, read, "neither true nor false (translate it with words)")
        return read

    def accepts(self, where: dict[str, tuple[str, ...]]) -> Mask:
        """Rows in which every column named holds one of its tokens."""
        mask = np.ones(len(self), bool)
        for column, tokens in where.items():
            given = pc.utf8_trim_whitespace(as_text(self.raw(column)))
            mask &= true_in(pc.is_in(given, value_set=pa.array(tokens, pa.string())))
        return mask

    def fault(self, mask: Mask, column: str, reason: str, raw: pa.Array | None = None) -> None:
        if mask.any():
            given = raw if raw is not None else self._shown(column)
            self.faults.append(Fault(mask, column, as_text(given), reason))

    def _shown(self, column: str) -> pa.Array:
        return self.raw(column) if column in self.rows.column_names else pa.nulls(len(self), pa.string())

    def _unread(self, column: str, given: pa.Array, read: pa.Array, reason: str) -> None:
        self.fault(true_in(pc.and_(pc.is_valid(given), pc.is_null(read))), column, reason)


def as_text(values: pa.Array) -> pa.Array:
    """Any column as text: times in ISO, whole floats without their ".0"."""
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_floating(values.type):
        whole = pc.equal(values, pc.trunc(values))
        return pc.if_else(whole, _whole(values, whole), values.cast(pa.string()))
    return values.cast(pa.string())


def _whole(values: pa.Array, whole: pa.Array) -> pa.Array:
    small = pc.and_(whole, pc.less(pc.abs(values), 2.0**62))
    return pc.coalesce(pc.if_else(small, values, None).cast(pa.int64()).cast(pa.string()), values.cast(pa.string()))


def _without(values: pa.Array, texts: pa.Array, tokens: Sequence[str]) -> pa.Array:
    gone = pc.is_in(texts, value_set=pa.array(tokens, pa.string()))
    return pc.if_else(gone, pa.scalar(None, values.type), values)


def _figures(tokens: Sequence[Scalar]) -> pa.Array:
    """The tokens that are numbers, so that 999 also stands for 999.0."""
    read = figures.numbers(pa.array([str(t) for t in tokens], pa.string()))
    return read.drop_null()


def true_in(values: pa.Array) -> Mask:
    """A mask of where Arrow booleans are true; null is false."""
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)


def _combined(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.array([], column.type)
