"""Features over attributes of the lead and of its account."""

from __future__ import annotations

from collections.abc import Sequence, Set

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from data.company import Company
from data.times import DAY
from features.as_of import Tables
from features.batch_visible import KEYS, current_values, holding
from features.declaration import ATTRIBUTE_KINDS, Declaration
from features.merged import span_of

_SOURCES: dict[str, tuple[str, ...]] = {
    "category": ("text",),
    "number": ("number",),
    "days_since_date": ("number",),
    "text_length": ("number", "text"),
    "missing": ("number", "text"),
}


def profile_part(
    tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company
) -> tuple[Table | None, dict[str, Value]]:
    """The newest attribute values by row, and each feature over them."""
    wanted = [d for d in declarations if d.kind in ATTRIBUTE_KINDS]
    if not wanted:
        return None, {}
    names = _names(wanted)
    columns = rows.select(*KEYS, "account_id")
    if any(d.subject == "lead" for d in wanted):
        found = _newest_values(tables["lead_attributes"], rows.select(*KEYS), "lead_id", names["lead"])
        columns = columns.left_join(found, list(KEYS)).drop("lead_id_right", "as_of_right")
    if any(d.subject == "account" for d in wanted):
        moments = rows.filter(rows.account_id.notnull()).select("account_id", "as_of").distinct()
        found = _newest_values(tables["account_attributes"], moments, "account_id", names["account"])
        columns = columns.left_join(found, ["account_id", "as_of"]).drop("account_id_right", "as_of_right")
    return columns.drop("account_id"), {d.name: _value(d, names) for d in wanted}


def _names(wanted: Sequence[Declaration]) -> dict[str, dict[tuple[str, str], str]]:
    """(attribute, text or number) → column, by subject; features of one attribute share it."""
    names: dict[str, dict[tuple[str, str], str]] = {"lead": {}, "account": {}}
    for d in wanted:
        of_subject = names[d.subject]
        for source in _SOURCES[d.kind]:
            of_subject.setdefault((d.attribute, source), f"{d.subject}{len(of_subject)}")
    return names


def _newest_values(attributes: Table, rows: Table, key: str, names: dict[tuple[str, str], str]) -> Table:
    pairs = holding(values_of(attributes, key, {attribute for attribute, _source in names}), rows, key)
    found = {column: pairs[source].max(where=pairs.name == name) for (name, source), column in names.items()}
    return pairs.group_by(key, "as_of").aggregate(**found)


def values_of(attributes: Table, key: str, names: Set[str]) -> Table:
    """`current_values` of the attributes in `names`."""
    attributes = attributes.filter(attributes.name.isin(sorted(names)))
    columns = (key, "name", "text", "number", "occurred_at", "recorded_at", *span_of(attributes))
    return current_values(attributes.select(*columns), key)


def _value(d: Declaration, names: dict[str, dict[tuple[str, str], str]]) -> Value:
    values = [_[names[d.subject][d.attribute, source]] for source in _SOURCES[d.kind]]
    if d.kind == "missing":
        return (values[0].isnull() & values[1].isnull()).cast("int64").cast("float64")
    if d.kind == "text_length":
        return ibis.coalesce(values[0], values[1].length().cast("float64"))
    return (_.as_of - values[0]) / DAY if d.kind == "days_since_date" else values[0]
