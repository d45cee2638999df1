"""Features of a company's own columns, as its mapping declares them."""

from __future__ import annotations

from collections.abc import Set

from data.company import Company, CompanyColumn
from features.declaration import Declaration
from features.fit import attribute_words, missing

_KINDS = {"number": "number", "category": "category", "text": "text_length", "date": "days_since_date"}


def column_declarations(company: Company, taken: Set[str]) -> tuple[Declaration, ...]:
    """A feature a usable column, and for numbers, dates and texts whether it is missing.

    A missing category needs no feature of its own: null is a level. Columns
    known only after the outcome and protected ones are never features. A
    column whose name a default feature has (`taken`, lower case) becomes
    `own_<name>`.
    """
    usable = [column for column in company.columns if column.known != "outcome" and not column.protected]
    return tuple(d for column in usable for d in _of_column(column, taken))


def _of_column(column: CompanyColumn, taken: Set[str]) -> tuple[Declaration, ...]:
    name = feature_name(column.name, taken)
    ja, en = column.label_ja or column.name, column.label_en or column.name
    kind = _KINDS[column.type]
    value = Declaration.from_dict(
        {
            "name": name,
            "kind": kind,
            "group": column.group,
            "reason": f"column_{name}",
            **_words(ja, en, kind),
            "unit": {"text_length": "characters", "days_since_date": "days"}.get(kind, ""),
            "null": "not known",
            "direction": 0 if kind == "category" else column.direction,
            "subject": column.subject,
            "attribute": column.name,
        }
    )
    if kind == "category":
        return (value,)
    gap = missing(column.name, ja, en, column.subject, column.group).to_dict()
    return value, Declaration.from_dict({**gap, "name": f"{name}_missing", "reason": f"column_{name}"})


def feature_name(column: str, taken: Set[str]) -> str:
    """The column's name as a feature name: letters, digits and underscores, not one of `taken`."""
    name = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in column)
    return f"own_{name}" if name.lower() in taken else name


def _words(ja: str, en: str, kind: str) -> dict[str, str]:
    if kind == "days_since_date":
        return {"wording_ja": f"{ja}から{{value}}日経過", "wording_en": f"Days since {en}: {{value}}"}
    if kind == "text_length":
        return {"wording_ja": f"{ja}の文字数{{value}}", "wording_en": f"Characters in {en}: {{value}}"}
    words = attribute_words(ja, en, kind)
    # A company's own label may end in a letter or a digit: the value must not run into it.
    return {**words, "wording_ja": f"{ja}:{{value}}"} if kind == "number" else words
