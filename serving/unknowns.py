"""When there is too little to judge a lead by, and what to find out about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.company import Company
from training.bundle import Bundle
from training.parts import CategoryColumn, CategoryTerm, NumberColumn, NumberTerm

Value = float | str | None

MOST_ASKED = 2
LEAST_KNOWN_SHARE = 0.5
_ASKABLE = {
    "industry": ("業種", "industry"),
    "employee_band": ("従業員規模", "company size"),
    "employees": ("従業員数", "number of employees"),
    "job_title_band": ("役職", "job title"),
    "job_title": ("役職", "job title"),
    "department": ("部署", "department"),
    "annual_revenue": ("年商", "annual revenue"),
    "prefecture": ("都道府県", "prefecture"),
    "country": ("国", "country"),
}
"""Standard attributes a salesperson can find out, the most telling first."""
_OF_TOUCHPOINTS = frozenset({"count", "distinct_count", "decayed_sum", "days_since_last", "days_since_first"})
_OF_ATTRIBUTES = frozenset({"number", "category", "days_since_date", "text_length"})


@dataclass(frozen=True)
class Unknowns:
    """What to find out, in words; `ask` are attribute names."""

    ja: str
    en: str
    ask: tuple[str, ...]


class Profile:
    """The attributes a model has learned from: those it never saw filled in are not worth asking for."""

    def __init__(self, bundle: Bundle) -> None:
        scorer = bundle.scorer.scorer
        parts = zip(scorer.columns, scorer.linear.terms, strict=True)
        learned = [_is_learned(column, term) for column, term in parts]
        numbered = list(enumerate(bundle.declarations))
        self._attributes = [(i, d.attribute) for i, d in numbered if d.kind in _OF_ATTRIBUTES and learned[i]]
        self._deeds = [i for i, d in numbered if d.kind in _OF_TOUCHPOINTS and d.actor == "lead"]
        self._labels = {**_labels_of_columns(bundle.company), **_ASKABLE}

    def unknowns(self, values: Sequence[Value]) -> Unknowns | None:
        """What to ask when the lead has done nothing yet and most of its profile is unknown; else None."""
        if any(values[i] for i in self._deeds):
            return None
        known = {name: values[i] is not None for i, name in self._attributes}
        if sum(known.values()) >= LEAST_KNOWN_SHARE * len(known):
            return None
        asked: dict[tuple[str, str], str] = {}
        for name in (*_ASKABLE, *self._labels):
            if known.get(name) is False:
                asked.setdefault(self._labels[name], name)
        return _in_words(list(asked.values())[:MOST_ASKED], self._labels) if asked else None


def _is_learned(column: NumberColumn | CategoryColumn, term: NumberTerm | CategoryTerm) -> bool:
    """Whether training saw values of the feature: a category's levels, a number's slope in the linear part."""
    return (
        bool(column.levels) if isinstance(column, CategoryColumn) else isinstance(term, NumberTerm) and term.slope != 0
    )


def _labels_of_columns(company: Company) -> dict[str, tuple[str, str]]:
    usable = [c for c in company.columns if c.group == "fit" and not c.protected and c.known != "outcome"]
    return {c.name: (c.label_ja or c.name, c.label_en or c.name) for c in usable}


def _in_words(names: Sequence[str], labels: dict[str, tuple[str, str]]) -> Unknowns:
    ja = "・".join(labels[name][0] for name in names)
    en = " and ".join(labels[name][1] for name in names)
    return Unknowns(
        ja=f"判断材料が不足しています。{ja}をご確認ください",
        en=f"There is too little to judge by. Please find out the {en}",
        ask=tuple(names),
    )
