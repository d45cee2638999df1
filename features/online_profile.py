"""Online features over the cycle, its stages, the calendar and attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from data.company import Company
from data.records import Attribute, LeadHistory, StageChange
from data.tables import GIVEN_UP_STAGES, TERMINAL_STAGES
from data.times import DAY
from features import calendars
from features.declaration import Declaration
from features.selection import funnel_rank

if TYPE_CHECKING:
    from features.online import Reducer, Value, View


def current_cycle(history: LeadHistory, as_of: int) -> tuple[int | None, bool, int]:
    """Start of the visible cycle that began last, whether recycling opened it, and how many cycles are visible.

    At the same instant a recycled cycle is later than the creation.
    """
    known = history.occurred_at < as_of and history.recorded_at < as_of
    start, recycled, cycles = (history.occurred_at, False, 1) if known else (None, False, 0)
    for began, recorded_at in history.cycles:
        if began < as_of and recorded_at < as_of:
            cycles += 1
            if start is None or began >= start:
                start, recycled = began, True
    return start, recycled, cycles


def newest_stage(
    stages: Sequence[StageChange], as_of: int, cycle_start: int | None, recycled: bool
) -> StageChange | None:
    """The cycle's newest visible stage change; a terminal one at the instant of recycling ended the cycle before."""
    newest, newest_key = None, None
    for change in stages if cycle_start is not None else ():
        began = change.occurred_at
        if not (cycle_start <= began < as_of and change.recorded_at < as_of):  # type: ignore[operator]
            continue
        if recycled and began == cycle_start and change.stage in TERMINAL_STAGES:
            continue
        key = (began, change.recorded_at, funnel_rank(change.stage), change.stage)
        if newest_key is None or key > newest_key:
            newest, newest_key = change, key
    return newest


def newest_by_name(attributes: Sequence[Attribute], as_of: int) -> dict[str, Attribute]:
    """The newest visible value of each attribute."""
    newest: dict[str, Attribute] = {}
    for attribute in attributes:
        occurred_at, recorded_at = attribute.occurred_at, attribute.recorded_at
        if occurred_at >= as_of or recorded_at >= as_of:
            continue
        known = newest.get(attribute.name)
        if known is None or (occurred_at, recorded_at) > (known.occurred_at, known.recorded_at):
            newest[attribute.name] = attribute
        elif occurred_at == known.occurred_at and recorded_at == known.recorded_at:
            newest[attribute.name] = _greater(known, attribute)
    return newest


def _greater(one: Attribute, other: Attribute) -> Attribute:
    """Two values of one instant as one: the greater text and the greater number, any before none."""
    texts = [a.text for a in (one, other) if a.text is not None]
    numbers = [a.number for a in (one, other) if a.number is not None]
    return Attribute(
        one.name,
        one.occurred_at,
        one.recorded_at,
        text=max(texts, default=None),
        number=max(numbers, default=None),
    )


def stage_reducer(d: Declaration) -> Reducer:
    return _STAGES[d.kind]


def _lead_age(view: View) -> Value:
    return None if view.cycle_start is None else (view.as_of - view.cycle_start) / DAY


def _stage(view: View) -> Value:
    return None if view.stage is None else view.stage.stage


def _stage_age(view: View) -> Value:
    return None if view.stage is None else (view.as_of - view.stage.occurred_at) / DAY


def _times_recycled(view: View) -> Value:
    return float(view.cycles - 1) if view.cycles else None


def _return_reason(view: View) -> Value:
    said = [
        (c.occurred_at, c.recorded_at, c.reason)
        for c in view.stages
        if c.reason is not None
        and c.stage in GIVEN_UP_STAGES
        and c.occurred_at < view.as_of
        and c.recorded_at < view.as_of
    ]
    return max(said)[2] if said else None


_STAGES: dict[str, Reducer] = {
    "lead_age": _lead_age,
    "stage": _stage,
    "stage_age": _stage_age,
    "times_recycled": _times_recycled,
    "return_reason": _return_reason,
}


def calendar_reducer(d: Declaration, company: Company) -> Reducer:
    timezone, fiscal_year_start = company.timezone, company.fiscal_year_start
    if d.of == "days_to_quarter_end":
        return lambda view: float(
            calendars.days_to_quarter_end(calendars.local(view.as_of, timezone), fiscal_year_start)
        )
    read = _OF_CREATION[d.of]

    def of_creation(view: View) -> Value:
        return None if view.created is None else float(read(calendars.local(view.created, timezone)))

    return of_creation


_OF_CREATION: dict[str, Callable[[int], int]] = {
    "creation_hour": calendars.hour,
    "creation_weekday": calendars.weekday,
    "creation_month": calendars.month,
}


def attribute_reducer(d: Declaration) -> Reducer:
    read, name = _ATTRIBUTES[d.kind], d.attribute
    if d.subject == "account":
        return lambda view: read(view.newest_account.get(name), view.as_of)
    return lambda view: read(view.newest_lead.get(name), view.as_of)


def _number(attribute: Attribute | None, as_of: int) -> Value:
    return None if attribute is None or attribute.number is None else float(attribute.number)


def _category(attribute: Attribute | None, as_of: int) -> Value:
    return None if attribute is None else attribute.text


def _days_since_date(attribute: Attribute | None, as_of: int) -> Value:
    return None if attribute is None or attribute.number is None else (as_of - attribute.number) / DAY


def _text_length(attribute: Attribute | None, as_of: int) -> Value:
    if attribute is None or attribute.number is not None:
        return _number(attribute, as_of)
    return None if attribute.text is None else float(len(attribute.text))


def _missing(attribute: Attribute | None, as_of: int) -> Value:
    return 1.0 if attribute is None or (attribute.text is None and attribute.number is None) else 0.0


_ATTRIBUTES: dict[str, Callable[[Attribute | None, int], Value]] = {
    "number": _number,
    "category": _category,
    "days_since_date": _days_since_date,
    "text_length": _text_length,
    "missing": _missing,
}
