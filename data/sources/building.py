"""A block of a file in, rows of every table it speaks of out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.sources import dated
from data.sources.flat import flat_parts
from data.sources.parts import ROW, Origin, Part, lead_ids, part, raw_lead_ids, recorded
from data.sources.people import account_ids, account_part, person_ids, person_part
from data.sources.sections import LeadSection
from data.sources.values import Frame, Mask
from data.times import ROW_STEP

if TYPE_CHECKING:
    from data.sources.mapping import Mapping


def parts_of(frame: Frame, mapping: Mapping, origin: Origin) -> Iterator[Part]:
    """Rows whose lead was rejected are not spoken of again."""
    if frame.file.lead:
        accepted = frame.only(frame.accepts(frame.file.lead.where))
        made = lead_part(accepted, frame.file.lead, origin)
        yield made
        frame = frame.only(_among(frame.numbers, made.rows.column(ROW)))
    if frame.file.person:
        yield person_part(frame.only(frame.accepts(frame.file.person.where)), origin)
    if frame.file.account:
        yield account_part(frame.only(frame.accepts(frame.file.account.where)), origin)
    yield from flat_parts(frame, origin)
    for name, section in frame.file.dated_sections():
        yield dated.dated_part(frame.only(frame.accepts(section.where)), name, section, mapping, origin)


def lead_part(frame: Frame, section: LeadSection, origin: Origin) -> Part:
    ids = raw_lead_ids(frame, section.id)
    occurred = pc.multiply(frame.numbers, ROW_STEP) if origin.by_row else frame.instant(section.created)
    columns = {
        "lead_id": lead_ids(frame, section.id, origin),
        "person_id": person_ids(frame),
        "account_id": account_ids(frame),
        "source_id": ids,
        "occurred_at": occurred,
        "recorded_at": occurred if origin.by_row else recorded(frame, section, occurred),
    }
    cells = {
        "lead_id": section.id,
        "source_id": section.id,
        "occurred_at": section.created,
        "recorded_at": section.recorded,
    }
    return part(tables.LEADS, frame, origin, columns, {k: c.column for k, c in cells.items() if c})


def _among(numbers: pa.Array, kept: pa.ChunkedArray) -> Mask:
    return np.asarray(pc.is_in(numbers, value_set=kept.combine_chunks()).to_numpy(zero_copy_only=False), dtype=bool)
