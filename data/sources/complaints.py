"""What is wrong with a mapping beyond the shape of its sections: contradictions between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from data.sources.cells import Cell, microseconds
from data.sources.columns import attribute_of, type_of
from data.sources.sections import FileSection, StageSection
from data.tables import STANDARD_ATTRIBUTES

if TYPE_CHECKING:
    from data.sources.mapping import Mapping

ACTORS = ("lead", "company", "machine")


def complaints(mapping: Mapping) -> list[str]:
    """Sentences, each naming its place; empty for a mapping that agrees with itself."""
    return [
        *_of_targets(mapping),
        *(text for i, file in enumerate(mapping.files) for text in _of_file(mapping, i, file)),
        *_of_columns(mapping),
    ]


def _of_targets(mapping: Mapping) -> Iterator[str]:
    for name, target in mapping.targets.items():
        if target.stage not in mapping.stages:
            yield (
                f"targets.{name}.stage: received {target.stage!r}; allowed: {', '.join(mapping.stages)}"
                " (add others to company.extra_stages)"
            )
        if mapping.by_row and (target.horizon or target.recording_lag):
            yield f'targets.{name}: with company.time = "row" a target has no horizon and no recording_lag; remove them'
        if not mapping.by_row and not target.horizon:
            yield f'targets.{name}: needs a horizon, such as horizon = "90d"'


def _of_file(mapping: Mapping, index: int, file: FileSection) -> Iterator[str]:
    place = f"files[{index}] ({file.path})"
    if file.lead and file.join:
        yield f"{place}: has both lead and join; lead creates leads, join adds to leads that are there; keep one"
    if file.lead and not mapping.by_row and (file.lead.created is None):
        yield (
            f"{place}.lead: needs created, the column with the lead's creation time "
            '(data without dates: company.time = "row")'
        )
    if file.lead and file.lead.id is None and not mapping.by_row:
        yield f"{place}.lead: needs id, the column that names the lead"
    if mapping.by_row and (file.touchpoints or file.history):
        yield f'{place}: touchpoints and history need dates; company.time is "row"'
    if _describes(file) and not (file.lead or file.join or file.account):
        yield f"{place}.columns: says nothing of whom they describe; add [files.lead] or [files.join]"
    yield from _of_stages(mapping, place, file)
    yield from _of_touchpoints(mapping, place, file)
    yield from _of_missing_leads(place, file)


def _describes(file: FileSection) -> bool:
    return any(section.known != "outcome" for section in file.columns.values())


def _of_stages(mapping: Mapping, place: str, file: FileSection) -> Iterator[str]:
    for i, section in enumerate(file.stages):
        here = f"{place}.stages[{i}]"
        yield from _unknown_words(f"{here}.stage", section.stage, mapping.stages, "company.extra_stages")
        if mapping.by_row and (section.at or section.known_after):
            yield f'{here}: with company.time = "row" an outcome is known right after its row; remove at, known_after'
        if not mapping.by_row:
            yield from _of_stage_time(mapping, here, section)


def _of_stage_time(mapping: Mapping, here: str, section: StageSection) -> Iterator[str]:
    meant = {section.stage.value, *section.stage.words.values()}
    for name, target in mapping.targets.items():
        if target.stage in meant and microseconds(section.known_after) > microseconds(target.horizon):
            yield (
                f"{here}.known_after: {section.known_after} lies behind the horizon of targets.{name} "
                f"({target.horizon}), which no outcome would then reach; make one of them fit the other"
            )
    if section.at and section.known_after:
        yield f"{here}: has both at and known_after; keep one"
    if not section.at and not section.known_after:
        yield (
            f'{here}: needs at (column with the date) or, for an outcome without dates, known_after = "30d" '
            "(how long after creation it is known)"
        )


def _of_touchpoints(mapping: Mapping, place: str, file: FileSection) -> Iterator[str]:
    for i, section in enumerate(file.touchpoints):
        here = f"{place}.touchpoints[{i}]"
        yield from _unknown_words(f"{here}.kind", section.kind, mapping.touchpoint_kinds, "company.extra_touchpoints")
        yield from _unknown_words(f"{here}.actor", section.actor, ACTORS, "")


def _unknown_words(place: str, cell: Cell, allowed: tuple[str, ...], declare: str) -> Iterator[str]:
    meant = [cell.value] if cell.value is not None else list(cell.words.values())
    for word in meant:
        if word not in allowed:
            more = f" (add others to {declare})" if declare else ""
            yield f"{place}: received {word!r}; allowed: {', '.join(allowed)}{more}"


def _of_missing_leads(place: str, file: FileSection) -> Iterator[str]:
    if file.lead or (file.join and file.join.lead):
        return
    for name, section in file.dated_sections():
        needs = name in {"touchpoints", "stages"} or (name == "history" and not getattr(section, "account", None))
        if needs and getattr(section, "lead", None) is None:
            yield f"{place}.{name}: needs lead, the column with the lead's id"


def _of_columns(mapping: Mapping) -> Iterator[str]:
    """One attribute name must mean one thing; a standard one what the standard says."""
    seen: dict[str, tuple[str, object]] = {}
    for file in mapping.files:
        for name, section, subject in file.declared_columns():
            attribute = attribute_of(name, section)
            place = f"{file.path}: {name}"
            meaning = (type_of(name, section), subject, section.known)
            if attribute in seen and seen[attribute][1] != meaning:
                yield f"columns {seen[attribute][0]} and {place} are both {attribute!r}, unlike in type or known"
            seen[attribute] = (place, meaning)
            yield from _of_standard(place, attribute, type_of(name, section), subject)


def _of_standard(place: str, attribute: str, type_: str, subject: str) -> Iterator[str]:
    standard = STANDARD_ATTRIBUTES.get(attribute)
    if standard and (type_, subject) != (standard[1], standard[0]):
        yield (
            f"column {place}: {attribute!r} is a standard attribute, a {standard[1]} of the {standard[0]}, "
            f"declared as a {type_} of the {subject}; agree with it, or give another name with as ="
        )
