"""Every feature said again, slowly and without cleverness, straight from its sentence in the catalogue.

Shares nothing with the interpreters but the declarations and the records.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from data.company import Company
from data.records import Attribute, LeadHistory, StageChange, Touchpoint
from features.declaration import Declaration

DAY = 86_400_000_000
HOUR = 3_600_000_000
TERMINAL = {"won", "lost", "disqualified"}


def before(record, t):
    return record.occurred_at < t and record.recorded_at < t


def local(t: int, company: Company) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t)).astimezone(ZoneInfo(company.timezone))


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def selected(d: Declaration, touchpoints, t, kinds=None, actor=None, window="declared") -> list[Touchpoint]:
    kinds = d.touchpoints if kinds is None else kinds
    but_not = d.except_touchpoints if kinds is d.touchpoints else ()
    actor = d.actor if actor is None else actor
    days = d.window_days if window == "declared" else window
    found = [p for p in touchpoints if before(p, t)]
    found = [p for p in found if not kinds or p.kind in kinds]
    found = [p for p in found if p.kind not in but_not]
    found = [p for p in found if actor in ("", p.actor)]
    return [p for p in found if days is None or t - days * DAY <= p.occurred_at < t]


def part(p: Touchpoint, of: str, company: Company):
    if of == "day":
        return local(p.occurred_at, company).date()
    return {"kind": p.kind, "channel": p.channel, "campaign": p.campaign_id, "detail": p.detail}[of]


def cycle(history: LeadHistory, t: int) -> tuple[int | None, bool, int]:
    """Start of the current cycle, whether it was opened by recycling, how many are visible."""
    starts = [(history.occurred_at, 0)] if before(history, t) else []
    starts += [(start, 1) for start, recorded in history.cycles if start < t and recorded < t]
    if not starts:
        return None, False, 0
    start, recycled = max(starts)
    return start, bool(recycled), len(starts)


def stage_now(history: LeadHistory, t: int) -> StageChange | None:
    start, recycled, _n = cycle(history, t)
    if start is None:
        return None
    changes = [s for s in history.stages if before(s, t) and s.occurred_at >= start]
    if recycled:
        changes = [s for s in changes if not (s.stage in TERMINAL and s.occurred_at == start)]
    order = ["recycled", "new", None, "mql", "sql", "opportunity", "won", "lost", "disqualified"]

    def rank(stage):
        return order.index(stage) if stage in order else 2

    return max(changes, key=lambda s: (s.occurred_at, s.recorded_at, rank(s.stage), s.stage), default=None)


def attribute_now(attributes, name: str, t: int) -> tuple[str | None, float | None]:
    """(text, number) of the newest; where several are newest, the greatest of each."""
    seen: list[Attribute] = [a for a in attributes if a.name == name and before(a, t)]
    if not seen:
        return None, None
    newest = max((a.occurred_at, a.recorded_at) for a in seen)
    tied = [a for a in seen if (a.occurred_at, a.recorded_at) == newest]
    texts = sorted(a.text for a in tied if a.text is not None)
    numbers = sorted(a.number for a in tied if a.number is not None)
    return (texts[-1] if texts else None), (numbers[-1] if numbers else None)


def value(d: Declaration, history: LeadHistory, t: int, company: Company) -> float | str | None:
    kind = d.kind
    known = before(history, t)
    if kind.startswith("account_"):
        return account_value(d, history, t) if known and history.account else None
    if kind in ("number", "category", "text_length", "days_since_date", "missing"):
        return profile_value(d, history, t, known)
    if kind in ("lead_age", "stage", "stage_age", "times_recycled", "return_reason"):
        return cycle_value(d, history, t)
    if kind == "calendar":
        return calendar_value(d, history, t, known, company)
    return touch_value(d, history, t, company)


def touch_value(d, history, t, company):
    touches = selected(d, history.touchpoints, t)
    match d.kind:
        case "count":
            return float(len(touches))
        case "distinct_count":
            return float(len({part(p, d.of, company) for p in touches} - {None}))
        case "days_since_last":
            return min(((t - p.occurred_at) / DAY for p in touches), default=None)
        case "days_since_first":
            return max(((t - p.occurred_at) / DAY for p in touches), default=None)
        case "decayed_sum":
            return sum(millionths((t - p.occurred_at) // HOUR, d.half_life_days * 24) for p in touches) / 1_000_000
        case "trend":
            newest_third = [p for p in touches if (t - p.occurred_at) * 3 <= d.window_days * DAY]
            return float(3 * len(newest_third) - len(touches))
        case "ratio":
            below = selected(d, history.touchpoints, t, kinds=d.denominator, actor="")
            return len(touches) / len(below) if below else None
        case "active_weeks":
            weeks = {
                monday(local(p.occurred_at, company).date()) for p in selected(d, history.touchpoints, t, window=None)
            }
            week = monday(local(t, company).date())
            if week not in weeks:
                week -= timedelta(days=7)
            run = 0
            while week in weeks and run < d.window_days // 7:
                run, week = run + 1, week - timedelta(days=7)
            return float(run)
        case "first_touch" | "last_touch":
            found = sorted(
                (p.occurred_at, part(p, d.of, company)) for p in touches if part(p, d.of, company) is not None
            )
            return (found[0] if d.kind == "first_touch" else found[-1])[1] if found else None


def millionths(hours: int, half_life_hours: float) -> int:
    exact = 1_000_000 * math.pow(2, -hours / half_life_hours)
    return math.floor(exact) + (1 if exact - math.floor(exact) > 0.5 - 1e-9 else 0)


def cycle_value(d, history, t):
    start, _recycled, cycles = cycle(history, t)
    stage = stage_now(history, t)
    match d.kind:
        case "lead_age":
            return None if start is None else (t - start) / DAY
        case "stage":
            return stage.stage if stage else None
        case "stage_age":
            return (t - stage.occurred_at) / DAY if stage else None
        case "times_recycled":
            return float(cycles - 1) if cycles else None
        case "return_reason":
            ended = [s for s in history.stages if before(s, t) and s.stage in ("recycled", "lost", "disqualified")]
            given = sorted((s.occurred_at, s.recorded_at, s.reason) for s in ended if s.reason is not None)
            return given[-1][2] if given else None


def calendar_value(d, history, t, known, company):
    if d.of == "days_to_quarter_end":
        today = local(t, company).date()
        quarter_starts = {(company.fiscal_year_start - 1 + 3 * k) % 12 + 1 for k in range(4)}
        day = today + timedelta(days=1)
        while not (day.day == 1 and day.month in quarter_starts):
            day += timedelta(days=1)
        return float((day - today).days)
    if not known:
        return None
    created = local(history.occurred_at, company)
    return float(
        {"creation_hour": created.hour, "creation_weekday": created.weekday(), "creation_month": created.month}[d.of]
    )


def profile_value(d, history, t, known):
    if d.subject == "account":
        attributes = history.account.attributes if known and history.account else ()
    else:
        attributes = history.attributes
    text, number = attribute_now(attributes, d.attribute, t)
    match d.kind:
        case "category":
            return text
        case "number":
            return number
        case "days_since_date":
            return None if number is None else (t - number) / DAY
        case "text_length":
            return number if number is not None else (None if text is None else float(len(text)))
        case "missing":
            return 1.0 if text is None and number is None else 0.0


def account_value(d, history, t):
    others = [s for s in history.account.siblings if before(s, t)]
    everyone = [history, *others]
    match d.kind:
        case "account_leads":
            return float(len(others))
        case "account_count":
            return float(sum(len(selected(d, s.touchpoints, t)) for s in others))
        case "account_distinct":
            active = [s for s in everyone if selected(d, s.touchpoints, t)]
            return float(len({attribute_now(s.attributes, d.attribute, t)[0] for s in active} - {None}))
        case "account_seen":
            return float(any(attribute_now(s.attributes, d.attribute, t)[0] in d.values for s in everyone))
