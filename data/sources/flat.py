"""Columns that describe a lead or an account → attribute rows, one a value.

What was known at creation waits for the lead's creation; what became known
later counts from this import; what is known only after the outcome is kept out.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.sources.columns import ColumnSection, Subject, attribute_of, subject_of, type_of
from data.sources.parts import AFTER, TIMES, Origin, Part, joined, lead_ids, part, recorded
from data.sources.people import account_cell, account_ids, waiting
from data.sources.values import Frame
from data.tables import Table

TABLE_OF: dict[Subject, Table] = {"lead": tables.LEAD_ATTRIBUTES, "account": tables.ACCOUNT_ATTRIBUTES}


def flat_parts(frame: Frame, origin: Origin) -> Iterator[Part]:
    """One part a declared column of the block, and one for the length of the message."""
    file = frame.file
    if not (file.lead or file.join or file.account):
        return
    frame = frame.only(frame.accepts(file.join.where)) if file.join else frame
    subjects = {"lead": lead_ids(frame, None, origin) if file.lead_cell or file.lead else None}
    subjects["account"] = account_ids(frame)
    for column, section in file.columns.items():
        if section.known != "outcome":
            subject = subject_of(column, section, file.column_subject)
            yield _column_part(frame.again(), origin, column, section, subject, subjects[subject])
    if file.lead and file.lead.message:
        lengths = pc.cast(pc.utf8_length(frame.text(file.lead.message)), pa.float64())
        yield _attribute_part(frame, origin, "message_length", "", "lead", subjects["lead"], None, lengths, later=False)


def _column_part(
    frame: Frame, origin: Origin, column: str, section: ColumnSection, subject: Subject, ids: pa.Array
) -> Part:
    text, number = typed_values(frame, column, section)
    later = section.known == "later"
    dates = type_of(column, section) == "date"
    return _attribute_part(
        frame, origin, attribute_of(column, section), column, subject, ids, text, number, later=later, dates=dates
    )


def typed_values(frame: Frame, column: str, section: ColumnSection) -> tuple[pa.Array | None, pa.Array | None]:
    """(text, number) of the column, one of them None, as its type says."""
    kind = type_of(column, section)
    if kind == "number":
        return None, frame.number_in(column, section.missing, section.decimal)
    if kind == "date":
        return None, frame.instant_in(column, section.missing, section.format).cast(pa.float64())
    return frame.text(section.cell(column)), None


def _attribute_part(
    frame: Frame,
    origin: Origin,
    name: str,
    column: str,
    subject: Subject,
    ids: pa.Array,
    text: pa.Array | None,
    number: pa.Array | None,
    *,
    later: bool,
    dates: bool = False,
) -> Part:
    table = TABLE_OF[subject]
    names = pa.repeat(pa.scalar(name), len(frame))
    values = {"text": text, "number": number}
    columns = {
        f"{subject}_id": ids,
        "name": names,
        "source_id": joined(ids, names),
        **{k: v for k, v in values.items() if v is not None},
        **(_now(frame, origin) if later else _known_at(frame, origin, subject, ids)),
    }
    told = {"text": column, "number": column} if column else {}
    owner = frame.file.lead_cell if subject == "lead" else account_cell(frame.file)
    told |= {f"{subject}_id": owner.column} if owner else {}
    return part(table, frame, origin, columns, told, flat=True, instants=TIMES | ({"number"} if dates else set()))


def _known_at(frame: Frame, origin: Origin, subject: Subject, ids: pa.Array) -> dict[str, pa.Array]:
    """An account file's own dates where it has them, else the creation that is waited for."""
    account = frame.file.account
    if account is None or account.at is None or frame.file.lead:
        return waiting(frame, origin, subject, ids)
    occurred = frame.instant(account.at)
    return {"occurred_at": occurred, "recorded_at": recorded(frame, account, occurred)}


def _now(frame: Frame, origin: Origin) -> dict[str, pa.Array]:
    moment = pa.repeat(pa.scalar(origin.now, pa.int64()), len(frame))
    return {"occurred_at": moment, "recorded_at": moment, AFTER: pa.nulls(len(frame), pa.int64())}
