"""What an import works out by itself from what the mapping gives it: bands, flags, spellings.

Contact data stay in `persons`; only these flags go downstream. What the source
gives itself is not worked out again.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.people import bands, normalise
from data.sources.gathering import Gathered
from data.sources.parts import AFTER, FILE, OF, ROW, schema_of
from data.tables import Table

SPELT: dict[str, Callable[[str], str | None]] = {
    "prefecture": lambda text: normalise.prefecture(text) or text,
    "country": bands.country,
    "employee_band": lambda text: text.replace("-", "–").replace("〜", "–").replace("~", "–"),
}
"""Attribute → its one spelling; what is not understood stays as written."""
WORKED_OUT: dict[str, tuple[str, str, Callable[..., str | None]]] = {
    "job_title_band": ("job_title", "text", bands.job_title_band),
    "employee_band": ("employees", "number", bands.employee_band),
}
"""Attribute → what it is worked out from."""


def with_derived(gathered: Gathered) -> Gathered:
    """The same rows, spelt alike, with the attributes that follow from them."""
    for group in (gathered.dated, gathered.flat):
        for table in (tables.LEAD_ATTRIBUTES, tables.ACCOUNT_ATTRIBUTES):
            if table in group:
                group[table] = _completed(_spelt(group[table]), _names(gathered, table))
    flags = _mail_flags(gathered)
    if flags is not None:
        before = gathered.flat.get(tables.LEAD_ATTRIBUTES, schema_of(tables.LEAD_ATTRIBUTES).empty_table())
        gathered.flat[tables.LEAD_ATTRIBUTES] = pa.concat_tables([before, flags])
    return gathered


def _names(gathered: Gathered, table: Table) -> set[str]:
    """Attributes that the files themselves give."""
    groups = (gathered.dated, gathered.flat)
    return {name for g in groups if table in g for name in pc.unique(g[table].column("name")).to_pylist()}


def _spelt(rows: pa.Table) -> pa.Table:
    for name, spell in SPELT.items():
        mask = pc.equal(rows.column("name"), name)
        if pc.any(mask).as_py():
            new = pc.replace_with_mask(
                _whole(rows.column("text")), _whole(mask), _mapped(rows.filter(mask).column("text"), spell)
            )
            rows = rows.set_column(rows.schema.get_field_index("text"), rows.schema.field("text"), new)
    return rows


def _completed(rows: pa.Table, given: set[str]) -> pa.Table:
    out = [rows]
    for name, (source, column, work) in WORKED_OUT.items():
        found = rows.filter(pc.equal(rows.column("name"), source))
        if found.num_rows and name not in given:
            names = pa.repeat(pa.scalar(name), found.num_rows)
            values = {
                "name": names,
                "text": _mapped(found.column(column), work),
                "number": pa.nulls(found.num_rows, pa.float64()),
            }
            ids = pc.binary_join_element_wise(found.column("source_id"), "band", ":")
            out.append(_with(found, {**values, "source_id": ids}))
    return pa.concat_tables(out)


def _mail_flags(gathered: Gathered) -> pa.Table | None:
    """free_mail and mail_matches_account of the leads of this import, from persons and accounts of it."""
    leads, persons = gathered.dated.get(tables.LEADS), _rows(gathered, tables.PERSONS)
    if leads is None or persons is None:
        return None
    mail = _last(persons, "person_id", _mapped(persons.column("email"), normalise.mail_domain))
    domains = _domains_of(leads, mail, "person_id")
    known = _names(gathered, tables.LEAD_ATTRIBUTES)
    flags = {"free_mail": [None if d is None else normalise.is_free_mail(d) for d in domains]}
    accounts = _rows(gathered, tables.ACCOUNTS)
    if accounts is not None:
        web = _last(accounts, "account_id", _mapped(accounts.column("domain"), normalise.web_domain))
        theirs = _domains_of(leads, web, "account_id")
        pairs = zip(domains, theirs, strict=True)
        flags["mail_matches_account"] = [normalise.same_organisation(a, b) if a and b else None for a, b in pairs]
    parts = [
        _flag(leads, name, values)
        for name, values in flags.items()
        if name not in known and any(v is not None for v in values)
    ]
    return pa.concat_tables(parts) if parts else None


def _rows(gathered: Gathered, table: Table) -> pa.Table | None:
    parts = [g[table] for g in (gathered.dated, gathered.flat) if table in g]
    return pa.concat_tables(parts) if parts else None


def _last(rows: pa.Table, key: str, values: pa.Array) -> dict[str, str]:
    pairs = zip(rows.column(key).to_pylist(), values.to_pylist(), strict=True)
    return {k: v for k, v in pairs if k is not None and v is not None}


def _domains_of(leads: pa.Table, domains: dict[str, str], key: str) -> list[str | None]:
    return [domains.get(one) for one in leads.column(key).to_pylist()]


def _flag(leads: pa.Table, name: str, values: list[bool | None]) -> pa.Table:
    count = leads.num_rows
    ids = leads.column("lead_id")
    texts = pa.array([None if v is None else "yes" if v else "no" for v in values], pa.string())
    filled = {
        "lead_id": ids, "name": pa.repeat(pa.scalar(name), count), "text": texts, "source": leads.column("source"),
        "source_id": pc.binary_join_element_wise(ids, name, ":"), ROW: leads.column(ROW), FILE: leads.column(FILE),
        OF: pc.binary_join_element_wise("lead", ids, ":"), AFTER: pa.repeat(pa.scalar(0), count),
    }  # fmt: skip
    schema = schema_of(tables.LEAD_ATTRIBUTES)
    return pa.table([filled.get(f.name, pa.nulls(count, f.type)) for f in schema], schema=schema)


def _mapped(values: pa.ChunkedArray, work: Callable[..., str | None]) -> pa.Array:
    """`work` on each different value once."""
    codes = _whole(values.dictionary_encode())
    done = pa.array([None if v is None else work(v) for v in codes.dictionary.to_pylist()], pa.string())
    return done.take(codes.indices)


def _with(rows: pa.Table, values: dict[str, pa.Array]) -> pa.Table:
    for name, new in values.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), new)
    return rows


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
