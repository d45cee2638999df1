"""Online features over the lead's own touchpoints.

Every selection of touchpoints becomes one ascending list of ages in
microseconds, so that a count in a window is one binary search.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from data.company import Company
from data.records import Touchpoint
from data.times import DAY, WEEK
from features.calendars import FIRST_MONDAY, local, offsets, week
from features.decay import decayed_sum, half_life_hours
from features.declaration import Declaration
from features.selection import Selection, denominator, selection, weeks_of, window

if TYPE_CHECKING:
    from features.online import Reducer, Value, View

_KEYS_KEPT = 4096
"""Kinds come from outside; the memory of which selections take them stays bounded."""

_FIELD = {"campaign": "campaign_id"}
_moment = attrgetter("occurred_at")


class Selector:
    """Sorts touchpoints into selections."""

    def __init__(self, selections: Sequence[Selection]) -> None:
        self.selections = tuple(selections)
        self._takers: dict[tuple[str, str], tuple[int, ...]] = {}

    def ages(self, by_key: Mapping[tuple[str, str], list[int]]) -> list[list[int]]:
        """One ascending list of ages a selection."""
        selected: list[list[int]] = [[] for _ in self.selections]
        takers = self._takers
        for key, ages in by_key.items():
            for number in takers[key] if key in takers else self._takers_of(key):
                selected[number] += ages
        for ages in selected:
            ages.sort()
        return selected

    def _takers_of(self, key: tuple[str, str]) -> tuple[int, ...]:
        if len(self._takers) >= _KEYS_KEPT:
            self._takers.clear()
        taking = tuple(n for n, chosen in enumerate(self.selections) if chosen.takes(*key))
        self._takers[key] = taking
        return taking


def ages_by_key(touchpoints: Sequence[Touchpoint], as_of: int) -> dict[tuple[str, str], list[int]]:
    """Ages of the visible touchpoints by (kind, actor), in no order."""
    by_key: dict[tuple[str, str], list[int]] = defaultdict(list)
    for touchpoint in touchpoints:
        occurred_at = touchpoint.occurred_at
        if occurred_at < as_of and touchpoint.recorded_at < as_of:
            by_key[touchpoint.kind, touchpoint.actor].append(as_of - occurred_at)
    return by_key


def in_time_order(touchpoints: Sequence[Touchpoint], as_of: int) -> list[Touchpoint]:
    """The visible touchpoints, oldest first."""
    return sorted([t for t in touchpoints if t.occurred_at < as_of and t.recorded_at < as_of], key=_moment)


def touchpoint_reducer(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    """The function from a view to the value of `d`."""
    return _BUILDERS[d.kind](d, numbers, company)


def _count(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    number, greatest_age = numbers[selection(d)], window(d)
    if greatest_age is None:
        return lambda view: float(len(view.ages[number]))
    return lambda view: float(bisect_right(view.ages[number], greatest_age))


def _distinct_count(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    number, greatest_age, chosen = numbers[selection(d)], window(d), selection(d)
    if d.of == "day":
        return _distinct_days(number, greatest_age, company.timezone)
    if d.of == "kind":
        return lambda view: float(len(_kinds(view, chosen, greatest_age)))
    read = attrgetter(_FIELD.get(d.of, d.of))

    def distinct(view: View) -> Value:
        values = {read(t) for t in view.touchpoints if _takes(chosen, t, view.as_of, greatest_age)}
        return float(len(values - {None}))

    return distinct


def _distinct_days(number: int, greatest_age: int | None, timezone: str) -> Reducer:
    def days(view: View) -> Value:
        ages = _inside(view.ages[number], greatest_age)
        return float(len(set(_local_spans(ages, view.as_of, timezone, 0, DAY))))

    return days


def _local_spans(ages: list[int], as_of: int, timezone: str, first: int, span: int) -> list[int]:
    """Which local day or week (`span`, counted from `first`) each age falls into."""
    changes = offsets(timezone)
    if len(changes) == 1:
        local_as_of = as_of + changes[0][1] - first
        return [(local_as_of - age) // span for age in ages]
    return [(local(as_of - age, timezone) - first) // span for age in ages]


def _kinds(view: View, chosen: Selection, greatest_age: int | None) -> set[str]:
    return {
        kind
        for (kind, actor), ages in view.by_key.items()
        if chosen.takes(kind, actor) and (greatest_age is None or min(ages) <= greatest_age)
    }


def _takes(chosen: Selection, touchpoint: Touchpoint, as_of: int, greatest_age: int | None) -> bool:
    inside = greatest_age is None or as_of - touchpoint.occurred_at <= greatest_age
    return inside and chosen.takes(touchpoint.kind, touchpoint.actor)


def _inside(ages: list[int], greatest_age: int | None) -> list[int]:
    return ages if greatest_age is None else ages[: bisect_right(ages, greatest_age)]


def _days_since_last(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    number, greatest_age = numbers[selection(d)], window(d)

    def days(view: View) -> Value:
        ages = view.ages[number]
        return ages[0] / DAY if ages and (greatest_age is None or ages[0] <= greatest_age) else None

    return days


def _days_since_first(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    number, greatest_age = numbers[selection(d)], window(d)

    def days(view: View) -> Value:
        ages = _inside(view.ages[number], greatest_age)
        return ages[-1] / DAY if ages else None

    return days


def _decayed_sum(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    number, greatest_age, hours = numbers[selection(d)], window(d), half_life_hours(d.half_life_days or 0)
    return lambda view: decayed_sum(_inside(view.ages[number], greatest_age), hours)


def _trend(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    number, whole = numbers[selection(d)], window(d) or 0

    def trend(view: View) -> Value:
        ages = view.ages[number]
        return float(bisect_right(ages, whole // 3) * 3 - bisect_right(ages, whole))

    return trend


def _ratio(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    over, under, greatest_age = numbers[selection(d)], numbers[denominator(d)], window(d)

    def ratio(view: View) -> Value:
        below = len(_inside(view.ages[under], greatest_age))
        return len(_inside(view.ages[over], greatest_age)) / below if below else None

    return ratio


def _active_weeks(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    number, weeks, timezone = numbers[selection(d)], weeks_of(d), company.timezone

    def run_of_weeks(view: View) -> Value:
        recent = _inside(view.ages[number], (weeks + 2) * WEEK)
        active = set(_local_spans(recent, view.as_of, timezone, FIRST_MONDAY, WEEK))
        current = week(local(view.as_of, timezone))
        newest = current if current in active else current - 1
        run = 0
        while run < weeks and newest - run in active:
            run += 1
        return float(run)

    return run_of_weeks


def _touch(d: Declaration, numbers: Mapping[Selection, int], company: Company) -> Reducer:
    chosen, greatest_age, newest = selection(d), window(d), d.kind == "last_touch"
    read: Callable[[Touchpoint], str | None] = attrgetter(_FIELD.get(d.of, d.of))
    better = max if newest else min

    def touch(view: View) -> Value:
        best: tuple[int, str] | None = None
        for t in reversed(view.touchpoints) if newest else view.touchpoints:
            if best is not None and t.occurred_at != best[0]:
                break
            value = read(t)
            if value is not None and _takes(chosen, t, view.as_of, greatest_age):
                found = (t.occurred_at, value)
                best = found if best is None else better(best, found)
        return None if best is None else best[1]

    return touch


_BUILDERS: dict[str, Callable[[Declaration, Mapping[Selection, int], Company], Reducer]] = {
    "count": _count,
    "distinct_count": _distinct_count,
    "days_since_last": _days_since_last,
    "days_since_first": _days_since_first,
    "decayed_sum": _decayed_sum,
    "trend": _trend,
    "ratio": _ratio,
    "active_weeks": _active_weeks,
    "first_touch": _touch,
    "last_touch": _touch,
}
