"""Persons and accounts as rows: contact data on one side, companies on the other."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.sources.cells import Cell, Timed
from data.sources.parts import AFTER, OF, Origin, Part, joined, lead_ids, part, pseudonyms, raw_lead_ids, recorded
from data.sources.sections import FileSection
from data.sources.values import Frame
from data.tables import Table


def person_ids(frame: Frame) -> pa.Array:
    """The person's id, else (where the file has contact data) one person a lead."""
    file = frame.file
    cell = (file.person and file.person.id) or (file.lead and file.lead.person)
    ids = pseudonyms(frame.text(cell or None))
    return pc.coalesce(ids, joined("lead", raw_lead_ids(frame, None))) if file.person and file.lead else ids


def account_ids(frame: Frame) -> pa.Array:
    """The account's id, else (where the file describes accounts) one account a lead."""
    file = frame.file
    ids = frame.text(account_cell(file))
    return (
        pc.coalesce(ids, joined("lead", raw_lead_ids(frame, None))) if file.lead and describes_accounts(frame) else ids
    )


def account_cell(file: FileSection) -> Cell | None:
    """The column with the account's id."""
    own, join, lead = file.account and file.account.id, file.join and file.join.account, file.lead and file.lead.account
    return own or join or lead or None


def describes_accounts(frame: Frame) -> bool:
    return frame.file.account is not None or any(
        subject == "account" for _, _, subject in frame.file.declared_columns()
    )


def waiting(frame: Frame, origin: Origin, subject: str, ids: pa.Array) -> dict[str, pa.Array]:
    """Times still open: the creation of the row's lead, else of the first lead of `subject` `ids`."""
    of = joined("lead", lead_ids(frame, None, origin)) if frame.file.lead else joined(subject, ids)
    return {OF: of, AFTER: pa.repeat(pa.scalar(0), len(frame))}


def person_part(frame: Frame, origin: Origin) -> Part:
    section = frame.file.person
    assert section is not None
    ids = person_ids(frame)
    cells = {k: getattr(section, k) for k in ("name", "name_kana", "email", "phone")}
    columns = {k: frame.text(c) for k, c in cells.items()}
    if section.family_name or section.given_name:
        columns["name"] = pc.coalesce(columns["name"], _full_name(frame, section.family_name, section.given_name))
    named = {k: c.column for k, c in cells.items() if c}
    return _versions(tables.PERSONS, frame, origin, section, {"person_id": ids, **columns}, named)


def _full_name(frame: Frame, family: Cell | None, given: Cell | None) -> pa.Array:
    return pc.binary_join_element_wise(frame.text(family), frame.text(given), " ", null_handling="skip")


def account_part(frame: Frame, origin: Origin) -> Part:
    section = frame.file.account
    assert section is not None
    columns = {"account_id": account_ids(frame), "name": frame.text(section.name), "domain": frame.text(section.domain)}
    cells = {"account_id": section.id, "name": section.name, "domain": section.domain}
    return _versions(tables.ACCOUNTS, frame, origin, section, columns, {k: c.column for k, c in cells.items() if c})


def _versions(
    table: Table, frame: Frame, origin: Origin, section: Timed, columns: dict[str, pa.Array], named: dict[str, str]
) -> Part:
    """Versions of a person or account: dated where the section has `at`, else current state."""
    ids = columns[table.columns[0].name]
    at = getattr(section, "at", None)
    if at is None:
        times = waiting(frame, origin, table.name.removesuffix("s"), ids)
        return part(table, frame, origin, {**columns, "source_id": ids, **times}, named, flat=True)
    occurred = frame.instant(at)
    times = {"occurred_at": occurred, "recorded_at": recorded(frame, section, occurred)}
    source_id = joined(ids, occurred.cast(pa.string()))
    return part(table, frame, origin, {**columns, "source_id": source_id, **times}, {**named, "occurred_at": at.column})
