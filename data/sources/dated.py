"""Sections of dated records → rows: touchpoints, stage changes, attribute histories, opportunities and the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.sources.cells import Cell, Timed, microseconds
from data.sources.complaints import ACTORS
from data.sources.histories import history_part
from data.sources.parts import AFTER, OF, Origin, Part, joined, lead_ids, part, pseudonyms, recorded
from data.sources.sections import HistorySection, StageSection
from data.sources.values import Frame, true_in
from data.tables import Table
from data.times import MICROSECOND, ROW_OUTCOME_DELAY

if TYPE_CHECKING:
    from data.sources.mapping import Mapping

OUTCOME = "outcome"
"""Stands in the source id of an outcome that is a flat column."""
Kind = Literal["lead", "person", "text", "number", "boolean"]


@dataclass(frozen=True)
class Shape:
    """A section's table, and for each of its columns the section's key and how to read it."""

    table: Table
    columns: dict[str, tuple[str, Kind]]


SHAPES: dict[str, Shape] = {
    "touchpoints": Shape(
        tables.TOUCHPOINTS,
        {
            "lead_id": ("lead", "lead"),
            "kind": ("kind", "text"),
            "actor": ("actor", "text"),
            "channel": ("channel", "text"),
            "campaign_id": ("campaign", "text"),
            "detail": ("detail", "text"),
        },
    ),
    "stages": Shape(
        tables.STAGE_CHANGES,
        {
            "lead_id": ("lead", "lead"),
            "stage": ("stage", "text"),
            "reason": ("reason", "text"),
            "actor": ("actor", "text"),
            "amount": ("amount", "number"),
        },
    ),
    "opportunities": Shape(
        tables.OPPORTUNITIES,
        {
            "opportunity_id": ("opportunity", "text"),
            "account_id": ("account", "text"),
            "stage": ("stage", "text"),
            "amount": ("amount", "number"),
        },
    ),
    "opportunity_leads": Shape(
        tables.OPPORTUNITY_LEADS,
        {"opportunity_id": ("opportunity", "text"), "lead_id": ("lead", "lead"), "role": ("role", "text")},
    ),
    "consents": Shape(
        tables.CONSENTS,
        {
            "person_id": ("person", "person"),
            "purpose": ("purpose", "text"),
            "granted": ("granted", "boolean"),
            "basis": ("basis", "text"),
            "text_version": ("text_version", "text"),
            "place": ("place", "text"),
        },
    ),
    "merges": Shape(
        tables.MERGES,
        {
            "subject": ("subject", "text"),
            "from_id": ("from_id", "person"),
            "into_id": ("into_id", "person"),
            "undone": ("undone", "boolean"),
        },
    ),
    "campaign_costs": Shape(
        tables.CAMPAIGN_COSTS,
        {"campaign_id": ("campaign", "text"), "channel": ("channel", "text"), "cost": ("cost", "number")},
    ),
}


def dated_part(frame: Frame, name: str, section: Timed, mapping: Mapping, origin: Origin) -> Part:
    """The block's rows as the section called `name` reads them."""
    if isinstance(section, HistorySection):
        return history_part(frame, section, origin)
    shape = SHAPES[name]
    cells = {column: getattr(section, key) for column, (key, _) in shape.columns.items()}
    columns = {column: _read(frame, cells[column], kind, origin) for column, (_, kind) in shape.columns.items()}
    _complain_of_words(frame, name, columns, cells, mapping)
    times = (
        _stage_times(frame, section, columns, origin) if isinstance(section, StageSection) else _times(frame, section)
    )
    named = {column: cell.column for column, cell in _cells_told(frame, section, cells).items() if cell}
    columns |= {"source_id": _source_ids(frame, section, columns, times), **times}
    flat = isinstance(section, StageSection) and not section.at
    return part(shape.table, frame, origin, columns, named, flat=flat)


def _cells_told(frame: Frame, section: Timed, cells: dict[str, Cell | None]) -> dict[str, Cell | None]:
    own = {"source_id": getattr(section, "id", None), "occurred_at": getattr(section, "at", None)}
    lead = {"lead_id": cells["lead_id"] or frame.file.lead_cell} if "lead_id" in cells else {}
    return {**cells, **lead, **own, "recorded_at": section.recorded}


def _read(frame: Frame, cell: Cell | None, kind: Kind, origin: Origin) -> pa.Array:
    if kind == "lead":
        return lead_ids(frame, cell, origin)
    if kind == "person":
        return pseudonyms(frame.text(cell))
    if kind == "boolean" and cell:
        return frame.boolean(cell)
    return frame.number(cell) if kind == "number" else frame.text(cell)


def _times(frame: Frame, section: Timed) -> dict[str, pa.Array]:
    occurred = frame.instant(getattr(section, "at", None))
    return {"occurred_at": occurred, "recorded_at": recorded(frame, section, occurred)}


def _stage_times(
    frame: Frame, section: StageSection, columns: dict[str, pa.Array], origin: Origin
) -> dict[str, pa.Array]:
    """Dated, or waiting for the lead's creation; rows that report no change are passed over."""
    if section.at:
        undated = _nulls(frame.present(section.at.column, section.at.missing))
        frame.skipped |= undated & (_nulls(columns["stage"]) | (section.stage.value is not None))
        times = _times(frame, section)
        at_least = section.before_creation == "at_creation"
        return {**times, **(_after(frame, columns["lead_id"], 0) if at_least else {})}
    frame.skipped |= _nulls(columns["stage"])
    # The last moment of the time declared, so that a horizon of the same length holds it.
    delay = ROW_OUTCOME_DELAY if origin.by_row else max(microseconds(section.known_after) - MICROSECOND, 0)
    return _after(frame, columns["lead_id"], delay)


def _after(frame: Frame, leads: pa.Array, delay: int) -> dict[str, pa.Array]:
    return {OF: joined("lead", leads), AFTER: pa.repeat(pa.scalar(delay, pa.int64()), len(frame))}


def _source_ids(frame: Frame, section: Timed, columns: dict[str, pa.Array], times: dict[str, pa.Array]) -> pa.Array:
    """The source's own id; a stage change's lead, stage and time; null where content must name the record."""
    own = getattr(section, "id", None)
    if own:
        ids = frame.text(own)
        frame.fault(_nulls(ids) & ~frame.skipped, own.column, "no id: the cell is empty or means missing")
        return ids
    if not isinstance(section, StageSection):
        return pa.nulls(len(frame), pa.string())
    if not section.at:
        return joined(columns["lead_id"], OUTCOME, section.stage.column or str(section.stage.value))
    return joined(columns["lead_id"], columns["stage"], times["occurred_at"].cast(pa.string()))


def _complain_of_words(
    frame: Frame, name: str, columns: dict[str, pa.Array], cells: dict[str, Cell | None], mapping: Mapping
) -> None:
    known: dict[str, dict[str, tuple[str, ...]]] = {
        "touchpoints": {"kind": mapping.touchpoint_kinds, "actor": ACTORS},
        "stages": {"stage": mapping.stages},
        "merges": {"subject": ("person", "lead", "account")},
    }
    for column, words in known.get(name, {}).items():
        cell, given = cells[column], columns[column]
        if cell and cell.column:
            wrong = pc.and_(pc.is_valid(given), pc.invert(pc.is_in(given, value_set=pa.array(words, pa.string()))))
            what = f"unknown {column}; translate it with words, or add it to the mapping's company section"
            frame.fault(true_in(wrong) & ~frame.skipped, cell.column, what)


def _nulls(values: pa.Array) -> np.ndarray:
    return true_in(pc.is_null(values))
