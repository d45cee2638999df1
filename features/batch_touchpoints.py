"""Features over the lead's own touchpoints: one join and one conditional aggregation; a second for first and last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from data.company import Company
from data.tables import TOUCHPOINT_KINDS
from data.times import DAY, HOUR
from features.as_of import Tables
from features.batch_calendar import with_local_time
from features.batch_visible import KEYS, visible
from features.calendars import week
from features.decay import MILLION, ROUNDING, half_life_hours, weights
from features.declaration import TOUCHPOINT_KINDS_OF_FEATURE, Declaration
from features.merged import span_of
from features.selection import Selection, denominator, selection, selections, weeks_of, window

_COLUMN = {"campaign": "campaign_id"}


@ibis.udf.agg.builtin(name="bit_or")
def _bit_or(bits: int) -> int:  # type: ignore[empty-body]
    """The engine's own; Ibis knows it on DuckDB but not on Spark, which has it too."""


@ibis.udf.scalar.builtin(name="bit_count")
def _bit_count(bits: int) -> int:  # type: ignore[empty-body]
    """The engine's own; Ibis has no name for it."""


KIND_BITS = tuple((kind, 2**number) for number, kind in enumerate(TOUCHPOINT_KINDS))
LONGEST_DAYS_IN_BITS = 50
"""Windows whose days, with some room for clocks that were put forward or back, fit into one 64-bit integer."""
_ROOM = 2


class _Metrics:
    """The conditional aggregates asked for, each once however many features share it."""

    def __init__(self, pairs: Table, flags: dict[Selection, str]) -> None:
        self.pairs = pairs
        self.flags = flags
        self.aggregates: dict[str, Value] = {}
        self.touches: dict[str, tuple[str, Callable[[Table, Value], Value]]] = {}
        """Value column → (column of the instant it is read at, how it is read there)."""
        self.flags_of_touches: set[str] = set()
        self.of_other_kinds: dict[str, Callable[[Table], Value]] = {}
        """What is asked of touchpoints whose kind has no bit: few or none, so read apart."""
        self._names: dict[tuple[object, ...], str] = {}

    def where(self, chosen: Selection, greatest_age: int | None, pairs: Table | None = None) -> Value:
        pairs = self.pairs if pairs is None else pairs
        inside = pairs[self.flags[chosen]]
        return inside if greatest_age is None else inside & (pairs.age <= greatest_age)

    def name(self, key: tuple[object, ...], build: Callable[[], Value]) -> str:
        if key not in self._names:
            self._names[key] = f"t{len(self._names)}"
            self.aggregates[self._names[key]] = build()
        return self._names[key]

    def count(self, chosen: Selection, greatest_age: int | None) -> Value:
        where = self.where(chosen, greatest_age)
        return _[
            self.name(("count", chosen, greatest_age), lambda: ibis.ifelse(where, 1, ibis.null("int64")).count())
        ].fill_null(0)


def touchpoints_part(
    tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company
) -> tuple[Table | None, dict[str, Value]]:
    """The aggregates by row, and each feature as an expression over them."""
    wanted = [d for d in declarations if d.kind in TOUCHPOINT_KINDS_OF_FEATURE]
    if not wanted:
        return None, {}
    flags = {chosen: f"s{number}" for number, chosen in enumerate(selections(wanted))}
    touchpoints = flagged(tables["touchpoints"], flags, company.timezone)
    moments = with_local_time(rows.select(*KEYS), "as_of", "as_of_local", company.timezone)
    moments = moments.select(*KEYS, as_of_day=moments.as_of_local // DAY, as_of_week=week(moments.as_of_local))
    pairs = visible(touchpoints, moments, "lead_id")
    metrics = _Metrics(pairs.mutate(age=pairs.as_of - pairs.occurred_at), flags)
    values = {d.name: _VALUES[d.kind](d, metrics) for d in wanted}
    columns = metrics.pairs.group_by(*KEYS).aggregate(**metrics.aggregates)
    if metrics.touches:
        columns = _beside(columns, _touched(touchpoints, columns, metrics))
    if metrics.of_other_kinds:
        columns = _beside(columns, _of_other_kinds(touchpoints, moments, metrics))
    return columns, values


def _beside(columns: Table, more: Table) -> Table:
    return columns.left_join(more, list(KEYS)).drop(*(f"{key}_right" for key in KEYS))


def _of_other_kinds(touchpoints: Table, moments: Table, metrics: _Metrics) -> Table:
    pairs = visible(touchpoints.filter(touchpoints.kind_bit == 0), moments, "lead_id")
    pairs = pairs.mutate(age=pairs.as_of - pairs.occurred_at)
    return pairs.group_by(*KEYS).aggregate(**{name: build(pairs) for name, build in metrics.of_other_kinds.items()})


def _touched(touchpoints: Table, edges: Table, metrics: _Metrics) -> Table:
    """The values at the instants found: of two at one instant the greater (first: the lesser)."""
    numbered = enumerate(metrics.touches.values())
    asked = ibis.union(
        *(edges.select(*KEYS, occurred_at=edges[edge], feature=ibis.literal(n)) for n, (edge, _read) in numbered)
    )
    pairs = visible(taken(touchpoints, sorted(metrics.flags_of_touches)), asked, ("lead_id", "occurred_at"))
    found = {name: read(pairs, pairs.feature == n) for n, (name, (_edge, read)) in enumerate(metrics.touches.items())}
    return pairs.group_by(*KEYS).aggregate(**found)


def flagged(touchpoints: Table, flags: dict[Selection, str], timezone: str) -> Table:
    """Touchpoints with one boolean a selection and their local day and week.

    What can be said of a touchpoint is said once a touchpoint, not once a
    pair; engines drop the columns nobody reads.
    """
    touchpoints = with_local_time(touchpoints, "occurred_at", "local_at", timezone)
    return touchpoints.select(
        "lead_id",
        "occurred_at",
        "recorded_at",
        "kind",
        "channel",
        "campaign_id",
        "detail",
        *span_of(touchpoints),
        kind_bit=touchpoints.kind.cases(*KIND_BITS, else_=0).cast("int64"),
        day=touchpoints.local_at // DAY,
        week=week(touchpoints.local_at),
        **{name: takes(touchpoints, chosen) for chosen, name in flags.items()},
    )


def taken(flagged_touchpoints: Table, flags: Iterable[str]) -> Table:
    """Those of them that any of `flags` is set for."""
    return flagged_touchpoints.filter(ibis.or_(*(flagged_touchpoints[flag] for flag in flags)))


def takes(touchpoints: Table, chosen: Selection) -> Value:
    """Whether the selection takes each touchpoint."""
    taken: Value = ibis.literal(True)
    if chosen.kinds:
        taken = touchpoints.kind.isin(chosen.kinds)
    if chosen.but_not:
        taken = taken & touchpoints.kind.notin(chosen.but_not)
    return taken & (touchpoints.actor == chosen.actor) if chosen.actor else taken


def _count(d: Declaration, m: _Metrics) -> Value:
    return m.count(selection(d), window(d)).cast("float64")


def _distinct_count(d: Declaration, m: _Metrics) -> Value:
    column = m.pairs[_COLUMN.get(d.of, d.of)]
    where = m.where(selection(d), window(d))
    key = (d.of, selection(d), window(d))
    if d.of == "kind":
        bits = m.name(("kinds", *key), lambda: _bit_or(ibis.ifelse(where, m.pairs.kind_bit, ibis.null("int64"))))
        m.of_other_kinds[f"{bits}_others"] = lambda pairs: pairs.kind.nunique(
            where=m.where(selection(d), window(d), pairs)
        )
        return (_ones(bits) + _[f"{bits}_others"].fill_null(0)).cast("float64")
    if d.of == "day" and d.window_days and d.window_days <= LONGEST_DAYS_IN_BITS:
        back = _between(m.pairs.as_of_day - m.pairs.day + _ROOM, d.window_days + 2 * _ROOM)
        return _ones(m.name(("days", *key), lambda: _bit_or(_bit(back, where)))).cast("float64")
    return _[m.name(("distinct", *key), lambda: column.nunique(where=where))].fill_null(0).cast("float64")


def _ones(bits: str) -> Value:
    return _bit_count(_[bits].fill_null(0)).cast("int64")


def _between(number: Value, most: int) -> Value:
    """`number`, at least 0 and at most `most`."""
    return ibis.greatest(ibis.least(number, most), 0)


def _bit(number: Value, where: Value) -> Value:
    """The bit `number`, null where it does not count.

    A power and not a shift: a shift of 1 by 40 is 64 bits wide on one engine
    and 32 on another.
    """
    return ibis.ifelse(where, ibis.literal(2.0).pow(number).cast("int64"), ibis.null("int64"))


def _days_since_last(d: Declaration, m: _Metrics) -> Value:
    where = m.where(selection(d), window(d))
    return _[m.name(("last", selection(d), window(d)), lambda: m.pairs.age.min(where=where))] / DAY


def _days_since_first(d: Declaration, m: _Metrics) -> Value:
    where = m.where(selection(d), window(d))
    return _[m.name(("first", selection(d), window(d)), lambda: m.pairs.age.max(where=where))] / DAY


def _decayed_sum(d: Declaration, m: _Metrics) -> Value:
    hours = half_life_hours(d.half_life_days or 0)
    # Whole numbers only under the division: Spark takes 168.0 for a decimal and rounds to six digits.
    power = ibis.literal(2.0).pow((-(m.pairs.age // HOUR)).cast("float64") / hours)
    millionths = (power * MILLION + ROUNDING).floor().cast("int64")
    # Those too old to weigh anything are left out before their power is taken.
    where = m.where(selection(d), window(d)) & (m.pairs.age < len(weights(hours)) * HOUR)
    weighed = ibis.ifelse(where, millionths, ibis.null("int64"))
    name = m.name(("decay", hours, selection(d), window(d)), lambda: weighed.sum())
    return _[name].cast("int64").fill_null(0) / MILLION


def _trend(d: Declaration, m: _Metrics) -> Value:
    whole = window(d) or 0
    return (m.count(selection(d), whole // 3) * 3 - m.count(selection(d), whole)).cast("float64")


def _ratio(d: Declaration, m: _Metrics) -> Value:
    return m.count(selection(d), window(d)) / m.count(denominator(d), window(d)).nullif(0)


def _active_weeks(d: Declaration, m: _Metrics) -> Value:
    """Weeks as bits of one integer, the week of as_of lowest; the run is the low bits without a gap."""
    weeks = weeks_of(d)
    back = m.pairs.as_of_week - m.pairs.week
    where = m.where(selection(d), None) & back.between(0, weeks)
    # Clipped, for an engine may compute before it filters: a touchpoint ten years old must not overflow the integer.
    bit = _bit(_between(back, weeks), where)
    bits = _[m.name(("weeks", selection(d), weeks), lambda: _bit_or(bit))].fill_null(0)
    # Adding one carries through the ones at the low end: they are what changes, but for the last bit.
    run_bits = ibis.ifelse((bits & 1) == 1, bits, bits >> 1)
    run = _bit_count((run_bits ^ (run_bits + 1)) >> 1).cast("int64")
    return ibis.least(run, weeks).cast("float64")


def _touch(d: Declaration, m: _Metrics) -> Value:
    of, newest = _COLUMN.get(d.of, d.of), d.kind == "last_touch"
    where = m.where(selection(d), window(d)) & m.pairs[of].notnull()
    at = m.pairs.occurred_at
    edge = m.name(
        (d.kind, d.of, selection(d), window(d)), lambda: at.max(where=where) if newest else at.min(where=where)
    )

    def read(pairs: Table, this: Value) -> Value:
        there = this & pairs[m.flags[selection(d)]]
        return pairs[of].max(where=there) if newest else pairs[of].min(where=there)

    m.touches[f"{edge}_value"] = edge, read
    m.flags_of_touches.add(m.flags[selection(d)])
    return _[f"{edge}_value"]


_VALUES: dict[str, Callable[[Declaration, _Metrics], Value]] = {
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
