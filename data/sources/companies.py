"""Several mappings, one company: what each declares, and what they declare together."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from data.company import Company
from data.errors import DataRefused
from data.store.operational import Store

if TYPE_CHECKING:
    from data.sources.mapping import Mapping

KIND = "declared"
"""Under which the store keeps what each mapping declared, newest last."""


@dataclass(frozen=True)
class Declared:
    """What one mapping file of one source says of the company."""

    source: str
    mapping: str
    """Name of the mapping file: an edited one replaces what it said before."""
    company: Company

    @staticmethod
    def by(mapping: Mapping) -> Declared:
        return Declared(mapping.source, mapping.place.name, mapping.company_declared())

    def keep(self, store: Store, now: int) -> None:
        if self not in all_declared(store):
            document = {"source": self.source, "mapping": self.mapping, "company": self.company.to_json()}
            store.record_run(KIND, json.dumps(document, ensure_ascii=False), now=now)


def all_declared(store: Store) -> list[Declared]:
    """The newest declaration of each mapping, in the order of first import."""
    newest: dict[tuple[str, str], Declared] = {}
    for _, document in store.runs(KIND):
        raw: dict[str, Any] = json.loads(document)
        found = Declared(raw["source"], raw["mapping"], Company.from_json(raw["company"]))
        newest[found.source, found.mapping] = found
    return list(newest.values())


def merged_company(store: Store, mapping: Mapping) -> Company:
    """What the company is with this mapping's word. Raises DataRefused where mappings contradict each other."""
    own = Declared.by(mapping)
    others = [d for d in all_declared(store) if (d.source, d.mapping) != (own.source, own.mapping)]
    company = own.company
    for other in others:
        company = _together(company, other)
    if not company.targets:
        raise DataRefused(
            f"mapping {mapping.place}",
            "no target",
            expected="what to predict",
            remedy='add [targets.won] with stage = "won" and a horizon',
        )
    return company


def _together(company: Company, other: Declared) -> Company:
    theirs = other.company
    for name in ("time", "timezone", "currency", "fiscal_year_start"):
        _must_agree(f"company.{name}", getattr(company, name), getattr(theirs, name), other)
    return replace(
        company,
        targets=_union("target", company.targets, theirs.targets, other),
        columns=_union("column", company.columns, theirs.columns, other),
        extra_stages=tuple(dict.fromkeys((*theirs.extra_stages, *company.extra_stages))),
        history_from={**theirs.history_from, **company.history_from},
    )


def _union(what: str, mine: tuple[Any, ...], theirs: tuple[Any, ...], other: Declared) -> tuple[Any, ...]:
    by_name = {one.name: one for one in theirs}
    for one in mine:
        if one.name in by_name:
            _must_agree(f"{what} {one.name}", asdict(one), asdict(by_name[one.name]), other)
        by_name[one.name] = one
    return tuple(by_name.values())


def _must_agree(subject: str, mine: Any, theirs: Any, other: Declared) -> None:
    if mine != theirs:
        raise DataRefused(
            subject,
            str(mine),
            expected=f"{theirs}, as the mapping {other.mapping} of source {other.source} declares",
            remedy="make the mappings agree; import the corrected one first",
        )
