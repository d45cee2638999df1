"""Rows that each say which value one attribute took when, as CRMs keep property histories."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.sources.columns import ColumnSection, Subject, attribute_of, type_of
from data.sources.flat import TABLE_OF, typed_values
from data.sources.parts import Origin, Part, joined, lead_ids, part, recorded
from data.sources.sections import HistorySection
from data.sources.values import Frame, true_in


def history_part(frame: Frame, section: HistorySection, origin: Origin) -> Part:
    """Attribute rows for the names that are declared; other names are passed over."""
    names = frame.text(section.name)
    subject: Subject = "account" if section.account else "lead"
    ids = frame.text(section.account) if section.account else lead_ids(frame, section.lead, origin)
    attributes, text, number = _values(frame, section, names)
    frame.skipped |= true_in(pc.is_null(attributes))
    occurred = frame.instant(section.at)
    source_id = frame.text(section.id) if section.id else joined(ids, attributes, occurred.cast(pa.string()))
    columns = {
        f"{subject}_id": ids,
        "name": attributes,
        "text": text,
        "number": number,
        "source_id": source_id,
        "occurred_at": occurred,
        "recorded_at": recorded(frame, section, occurred),
    }
    owner = section.account or section.lead or frame.file.lead_cell
    cells = {"occurred_at": section.at, "recorded_at": section.recorded, "name": section.name}
    cells |= {"source_id": section.id, f"{subject}_id": owner}
    named = {name: cell.column for name, cell in cells.items() if cell}
    return part(TABLE_OF[subject], frame, origin, columns, named)


def _values(frame: Frame, section: HistorySection, names: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """(attribute, text, number) a row: each declared name read by its own type."""
    attributes, text = pa.nulls(len(frame), pa.string()), pa.nulls(len(frame), pa.string())
    number = pa.nulls(len(frame), pa.float64())
    for name, column in section.columns.items():
        if column.known != "outcome":
            rows = true_in(pc.equal(names, name))
            found_text, found_number = _of_one(frame, section, column, name, rows)
            attributes = pc.if_else(pa.array(rows), attribute_of(name, column), attributes)
            text = _put(text, rows, found_text)
            number = _put(number, rows, found_number)
    return attributes, text, number


def _of_one(
    frame: Frame, section: HistorySection, column: ColumnSection, name: str, rows: np.ndarray
) -> tuple[pa.Array | None, pa.Array | None]:
    """Values of the rows that hold this name; what cannot be read becomes a fault of the whole block."""
    own = frame.only(rows)
    found = typed_values(own, _value_column(section, type_of(name, column)), column)
    for fault in own.faults:
        mask = np.zeros(len(frame), bool)
        mask[np.flatnonzero(rows)[fault.mask]] = True
        frame.fault(mask, fault.column, f"{name}: {fault.reason}")
    return found


def _value_column(section: HistorySection, kind: str) -> str:
    own = section.number if kind in {"number", "date"} else section.text
    cell = section.value or own or section.text or section.number
    assert cell is not None
    return cell.column


def _put(into: pa.Array, rows: np.ndarray, values: pa.Array | None) -> pa.Array:
    return into if values is None else pc.replace_with_mask(into, pa.array(rows), values)
