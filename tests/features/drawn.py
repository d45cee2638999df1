"""Hard cases, drawn by Hypothesis and each put in on purpose; the truth about every row, from the oracle.

A case changes a drawn world so that the thing surely is in it; `cases_in`
looks for it again in the finished records, without knowing what was put in.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from data.company import Company
from data.records import Attribute, LeadHistory, StageChange, Touchpoint
from features.declaration import Declaration
from tests.features import oracle
from tests.features.merge_worlds import Merges, history_as_of, merges_in, read_as
from tests.features.worlds import KINDS, MOMENTS, Choose, World, lead, touchpoint, world

DAY = oracle.DAY
LEAP_DAY = MOMENTS[0]
BUSY = 10_000


@dataclass(frozen=True)
class Case:
    """A world, its merges, and what was recorded after the instants at which it is looked at (`told`)."""

    world: World
    merges: Merges
    told: World
    instants: tuple[int, ...]


@dataclass(frozen=True)
class Asked:
    """One row: what the engines are given, and the truth."""

    history: LeadHistory
    cycle_id: str | None
    cycle_start: int | None
    as_of: int
    expected: list


def companies(examples: int, drawn_from: int | None = None) -> list[Case]:
    """`examples` drawn sets of all cases, and one lead with ten thousand touchpoints.

    Always the same ones; other ones with a seed to draw from.
    """
    found: list[Case] = [_busy_case()]

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=drawn_from is None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        def choose(options):
            return data.draw(st.sampled_from(options))

        found.extend(_case(choose, name, f"{name}{len(found)}") for name in PUT_IN)

    (collect if drawn_from is None else seed(drawn_from)(collect))()
    return found


def asked(cases: list[Case], of: Company, wanted: tuple[Declaration, ...]) -> list[Asked]:
    """Every lead that stands for itself at every instant of its case. The truth is worked out from what was known."""
    rows = []
    for case in cases:
        for lead_, told in zip(case.world.leads, case.told.leads, strict=True):
            for t in case.instants:
                known = history_as_of(case.world, case.merges, lead_, t)
                if known is None:
                    continue
                start, recycled, _n = oracle.cycle(known, t)
                cycle_id = None if start is None else lead_.lead_id + ("~0" if recycled else "")
                expected = [oracle.value(d, known, t, of) for d in wanted]
                given_ = history_as_of(case.told, case.merges, told, t)
                assert given_ is not None
                rows.append(Asked(given_, cycle_id, start, t, expected))
    return rows


def _case(choose: Choose, put_in: str, name: str) -> Case:
    w = PUT_IN[put_in](choose, world(choose, name, size=3, busy=4))
    merges = merges_in(choose, w, choose((1, 2, 3))) if put_in == "merge" else []
    if put_in == "merge":
        first, last = w.leads[0].lead_id, w.leads[-1].lead_id
        merges.append(
            (
                "lead",
                merges[0][1]._replace(
                    from_id=last, into_id=first, occurred_at=w.as_of - DAY, recorded_at=w.as_of - DAY
                ),
            )
        )
    if put_in == "the future":
        return Case(w, merges, _told(choose, w), (w.as_of, w.as_of - 7 * DAY))
    return Case(w, merges, w, (w.as_of, w.as_of + 3 * DAY))


def _with(w: World, number: int, **more: tuple) -> World:
    """More records for one lead, where its siblings see them too."""
    changed = replace(w.leads[number], **{k: (*getattr(w.leads[number], k), *v) for k, v in more.items()})
    leads = []
    for history in (*w.leads[:number], changed, *w.leads[number + 1 :]):
        account = history.account
        if account:
            siblings = tuple(
                replace(s, touchpoints=changed.touchpoints, attributes=changed.attributes)
                if s.lead_id == changed.lead_id
                else s
                for s in account.siblings
            )
            leads.append(replace(history, account=replace(account, siblings=siblings)))
        else:
            leads.append(history)
    return replace(w, leads=tuple(leads))


def _ties(choose: Choose, w: World) -> World:
    """The same instants twice, with other values."""
    at = w.as_of - choose((1, 2, DAY, 7 * DAY))
    touches = tuple(Touchpoint(choose(KINDS), "lead", at, at, channel, "c1", None) for channel in ("web", "mail"))
    values = tuple(Attribute("department", at, at, text) for text in ("営業", "製造"))
    stages = tuple(StageChange(stage, at, at) for stage in ("mql", "sql"))
    return _with(w, 0, touchpoints=touches, attributes=values, stages=stages)


def _one_instant(choose: Choose, w: World) -> World:
    """One occurred_at, recorded at different times."""
    at = w.as_of - 3 * DAY
    return _with(w, 0, touchpoints=tuple(replace(touchpoint(choose, at, at), recorded_at=at + n) for n in (0, 5, DAY)))


def _leap_day(choose: Choose, w: World) -> World:
    shift = LEAP_DAY - w.as_of
    at = w.as_of + shift - choose((1, 60_000_000))
    return _with(replace(w, as_of=LEAP_DAY), 0, touchpoints=(Touchpoint("page_view", "lead", at, at, "web"),))


def _late(choose: Choose, w: World) -> World:
    at = w.as_of - choose((DAY, 40 * DAY))
    return _with(w, 0, touchpoints=(Touchpoint("download", "lead", at, w.as_of + choose((0, 1, DAY)), "event"),))


def _backdated(choose: Choose, w: World) -> World:
    """Known long after it happened, but in time; and one said to be recorded before it happened."""
    at = w.as_of - choose((60 * DAY, 200 * DAY))
    touches = (Touchpoint("seminar", "lead", at, w.as_of - 1, "event"), Touchpoint("meeting", "lead", at, at - DAY))
    return _with(w, 0, touchpoints=touches)


def _empty(choose: Choose, w: World) -> World:
    bare = replace(w.leads[0], touchpoints=(), attributes=(), stages=(), cycles=(), account=None)
    unknown = LeadHistory(f"{w.name}/unknown", w.as_of + 10 * DAY, w.as_of + 10 * DAY)
    return World(w.name, w.as_of, (bare, unknown), {bare.lead_id: None, unknown.lead_id: None})


def _two_leads(choose: Choose, w: World) -> World:
    other = lead(choose, f"{w.name}/other", w.as_of, busy=4)
    return replace(w, leads=(*w.leads, other), account_of={**w.account_of, other.lead_id: None})


def _as_drawn(choose: Choose, w: World) -> World:
    return w


PUT_IN: dict[str, Callable[[Choose, World], World]] = {
    "ties": _ties,
    "one instant": _one_instant,
    "leap day": _leap_day,
    "late": _late,
    "backdated": _backdated,
    "empty": _empty,
    "merge": _two_leads,
    "the future": _as_drawn,
}


def _told(choose: Choose, w: World) -> World:
    """The world with records that happened, or became known, at or after its as-of time."""
    t = w.as_of
    for number in range(len(w.leads)):
        times = choose(((t, t), (t, t - DAY), (t - DAY, t), (t + DAY, t + DAY), (t - 400 * DAY, t)))
        w = _with(
            w,
            number,
            touchpoints=(Touchpoint(choose(KINDS), "lead", *times, "web", "c1", "/p"),),
            stages=(StageChange(choose(("won", "mql")), *times),),
            attributes=(Attribute("department", *times, "later"), Attribute("渇望度", *times, None, 9.0)),
            cycles=(times,),
        )
    return w


def _busy_case() -> Case:
    rng = random.Random(1)
    as_of = MOMENTS[4]
    history = lead(rng.choice, "busy", as_of, busy=0)
    times = [as_of - rng.randrange(1, 500 * DAY) for _ in range(BUSY)]
    touches = tuple(
        Touchpoint(rng.choice(KINDS), "lead", t, t + rng.choice((0, DAY)), rng.choice(("web", None))) for t in times
    )
    w = World("busy", as_of, (replace(history, touchpoints=touches),), {"busy": None})
    return Case(w, [], w, (as_of,))


def cases_in(cases: list[Case]) -> Counter:
    """How often each case is really there, read from the records."""
    found: Counter = Counter()
    for case in cases:
        for history in case.world.leads:
            found.update(_seen_in(history, case))
        standing = [(h, t) for h in case.world.leads for t in case.instants]
        found["merge"] += sum(read_as(case.merges, "lead", h.lead_id, t) != h.lead_id for h, t in standing)
        found["the future"] += sum(
            any(p.occurred_at >= case.world.as_of or p.recorded_at >= case.world.as_of for p in told.touchpoints)
            for told, known in zip(case.told.leads, case.world.leads, strict=True)
            if len(told.touchpoints) > len(known.touchpoints)
        )
    return found


def _seen_in(history: LeadHistory, case: Case) -> set[str]:
    t = max(case.instants)
    touches = history.touchpoints
    visible = [p for p in touches if oracle.before(p, t)]
    moments = Counter((p.occurred_at, p.recorded_at) for p in visible)
    instants = {p.occurred_at: {q.recorded_at for q in visible if q.occurred_at == p.occurred_at} for p in visible[:50]}
    leap = (LEAP_DAY // DAY * DAY, LEAP_DAY // DAY * DAY + DAY)
    found = {
        "ties": any(n > 1 for n in moments.values()),
        "one instant": any(len(recorded) > 1 for recorded in instants.values()),
        "leap day": any(leap[0] <= p.occurred_at < leap[1] for p in visible),
        "late": any(p.occurred_at < min(case.instants) <= p.recorded_at for p in touches),
        "backdated": any(p.recorded_at - p.occurred_at > 30 * DAY for p in visible)
        and any(p.recorded_at < p.occurred_at for p in visible),
        "empty": not (touches or history.stages or history.attributes),
        "ten thousand": len(visible) > 0.99 * BUSY,
    }
    return {name for name, there in found.items() if there}
