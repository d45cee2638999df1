"""The tables about what happened: touchpoints, stage changes, owners, opportunities and their leads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.simulator import world as w
from data.simulator.history import CLOCK, SESSION_KINDS, BlockHistory, Steps
from data.simulator.lead_records import Clock, LeadTimes, Micros, account_ids, campaigns, lead_ids, record
from data.simulator.population import BLOCK_LEADS, generator
from data.simulator.text import identifiers, masked, picked
from data.times import SECOND

KINDS = (*SESSION_KINDS, "trade_show", "email_sent", "email_opened", "email_clicked", "email_unsubscribed", "call",
         "meeting")  # fmt: skip
ACTORS = ("lead", "company", "machine")
LEAD, COMPANY, MACHINE = range(3)
KIND = {name: place for place, name in enumerate(KINDS)}
DETAILS = (
    "/", "/product", "/product/features", "/case-studies", "/case-studies/manufacturing", "/security",
    "/company", "/blog", "/pricing", "/pricing/plans",
    "導入事例集", "選び方ガイド", "製品カタログ", "活用セミナー", "業界別セミナー",
)  # fmt: skip
DETAIL_RANGE = {"page_view": (0, 8), "pricing_view": (8, 10), "download": (10, 13), "seminar": (13, 15)}
HOURS = np.cumsum((1, 0, 0, 0, 0, 0, 1, 3, 8, 14, 15, 14, 7, 13, 14, 14, 13, 11, 7, 5, 4, 4, 3, 0))
"""Cumulated weight of the hours of the day (Japan) in which sessions begin."""
STAGE_CHANNELS = ("web", "email", "webinar", "trade_show", "sales")
CHANNEL_OF_KIND = (0, 0, 0, -1, 0, 2, 3, 1, 1, 1, 1, 4, 4)
"""Channel by kind; −1: the lead's own advertising channel."""


@dataclass(frozen=True)
class Touches:
    """Touchpoints before they become text; one entry each."""

    lead: NDArray[np.int32]
    kind: NDArray[np.int8]
    actor: NDArray[np.int8]
    occurred: Micros
    recorded: Micros


def event_tables(
    history: BlockHistory, times: LeadTimes, occurred: Micros, recorded: Micros, world: w.World, seed: int
) -> dict[str, pa.Table]:
    """`occurred` and `recorded` are those of the stage changes."""
    rng = generator(seed, history.block, CLOCK)
    clock = Clock(world.start_at)
    touches = _in_order(
        _united(
            [
                *_first_touches(history, times, rng),
                *_visits(history, clock, rng),
                *_letters(history, clock, rng, world),
                *_talks(history, clock, rng),
            ]
        )
    )
    deals = _amounts(history, rng)
    return {
        "touchpoints": _touchpoints(history, touches, world, rng),
        "stage_changes": _stage_changes(history, occurred, recorded, deals),
        "lead_attributes": _owners(history, occurred, recorded),
        "opportunities": _opportunities(history, occurred, recorded, deals),
        "opportunity_leads": _opportunity_leads(history, occurred, recorded),
    }


def _touches(
    lead: NDArray[np.signedinteger], kind: str | NDArray[np.int8], actor: int | NDArray[np.int8], occurred: Micros,
    recorded: Micros,
) -> Touches:  # fmt: skip
    n = len(lead)
    code = np.full(n, KIND[kind], dtype=np.int8) if isinstance(kind, str) else kind
    who = np.full(n, actor, dtype=np.int8) if isinstance(actor, int) else actor
    return Touches(lead.astype(np.int32), code, who, occurred, recorded)


def _united(parts: list[Touches]) -> Touches:
    return Touches(*(np.concatenate([getattr(p, f) for p in parts]) for f in Touches.__dataclass_fields__))


def _in_order(touches: Touches) -> Touches:
    """By lead, then by time of recording."""
    order = np.lexsort((touches.occurred, touches.recorded, touches.lead))
    return Touches(*(getattr(touches, f)[order] for f in Touches.__dataclass_fields__))


def _spread(lead: NDArray[np.int32], counts: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Place repeated by count, and 0, 1, … within each."""
    places = np.repeat(np.arange(len(lead)), counts)
    starts = np.cumsum(counts) - counts
    return places, np.arange(len(places)) - np.repeat(starts, counts)


def _first_touches(history: BlockHistory, times: LeadTimes, rng: np.random.Generator) -> list[Touches]:
    """What led up to the creation happened in the minutes before, and became known with it."""
    first, leads = history.first, history.leads
    every = np.arange(len(leads), dtype=np.int32)
    usual = np.array([KIND[k] for k in ("download", "download", "download", "inquiry", "seminar", "trade_show",
                                        "inquiry", "inquiry")], dtype=np.int8)  # fmt: skip
    kind = np.where(first.inquiry, KIND["inquiry"], usual[leads.channel]).astype(np.int8)
    out = [_touches(every, kind, LEAD, times.occurred, times.recorded)]
    for name, counts in (("page_view", first.pages), ("pricing_view", first.pricing), ("ad_click", first.clicked_ad)):
        places, nth = _spread(every, counts.astype(np.int64))
        before = {"page_view": 40, "pricing_view": 25, "ad_click": 800}[name]
        at = times.occurred[places] - (before + nth * 45 + rng.integers(0, 20, len(places))) * SECOND
        out.append(_touches(places, name, LEAD, at, times.recorded[places]))
    return out


def _visits(history: BlockHistory, clock: Clock, rng: np.random.Generator) -> list[Touches]:
    v = history.visits
    hour = np.searchsorted(HOURS, rng.random(len(v.lead)) * HOURS[-1], side="right")
    begins = clock.at(v.day, hour * 3600 + rng.integers(0, 3600, len(v.lead)))
    out = []
    for column, name in enumerate(SESSION_KINDS[:-1]):
        places, nth = _spread(v.lead, v.counts[:, column].astype(np.int64))
        at = begins[places] + (column * 70 + nth * 50 + rng.integers(0, 40, len(places))) * SECOND
        out.append(_touches(v.lead[places], name, LEAD, at, at + rng.integers(0, 5, len(places)) * SECOND))
    came = np.flatnonzero(v.counts[:, -1])
    out.append(_attended(v.lead[came], v.day[came], v.late[came], "seminar", clock, rng))
    return out


def _attended(
    lead: NDArray[np.int32],
    day: NDArray[np.int32],
    late: NDArray[np.int8],
    kind: str | NDArray[np.int8],
    clock: Clock,
    rng: np.random.Generator,
    actor: int | NDArray[np.int8] = LEAD,
) -> Touches:
    """Meetings of people: in office hours, typed in within two hours or `late` days afterwards."""
    n = len(lead)
    occurred = clock.at(day - late, rng.integers(9 * 3600, 17 * 3600, n))
    prompt = occurred + rng.integers(60, 7200, n) * SECOND
    typed = clock.at(day, rng.integers(9 * 3600, 18 * 3600, n))
    return _touches(lead, kind, actor, occurred, np.where(late > 0, typed, prompt))


def _letters(history: BlockHistory, clock: Clock, rng: np.random.Generator, world: w.World) -> list[Touches]:
    """A mail goes out in the morning; a machine may open it within a minute, the lead within hours."""
    m, n = history.letters, len(history.letters.lead)
    sent = clock.at(m.day, rng.integers(8 * 3600, 11 * 3600, n))
    read = sent + np.minimum(rng.exponential(2.5 * 3600, n) + 120, 12 * 3600).astype(np.int64) * SECOND
    machine = rng.random(n) < world.behaviour.machine_opened
    out = [_touches(m.lead, "email_sent", COMPANY, sent, sent)]
    fetched = sent + rng.integers(2, 50, n) * SECOND
    out.append(_touches(m.lead[machine], "email_opened", MACHINE, fetched[machine], fetched[machine]))
    for kind, which, wait in (
        ("email_opened", m.opened, 0),
        ("email_clicked", m.clicked, 40),
        ("email_unsubscribed", m.unsubscribed, 90),
    ):
        at = read[which] + wait * SECOND
        out.append(_touches(m.lead[which], kind, LEAD, at, at))
    return out


def _talks(history: BlockHistory, clock: Clock, rng: np.random.Generator) -> list[Touches]:
    t = history.talks
    kind = np.where(t.kind == 2, KIND["meeting"], KIND["call"]).astype(np.int8)
    actor = np.where(t.kind == 0, COMPANY, LEAD).astype(np.int8)
    return [_attended(t.lead, t.day, t.late, kind, clock, rng, actor)]


def _touchpoints(history: BlockHistory, t: Touches, world: w.World, rng: np.random.Generator) -> pa.Table:
    lead_channel = history.leads.channel[t.lead]
    by_kind = np.array(CHANNEL_OF_KIND)[t.kind]
    channel = np.where(by_kind >= 0, by_kind, len(STAGE_CHANNELS) + lead_channel)
    starts = np.searchsorted(t.lead, np.arange(len(history.leads)))
    nth = np.arange(len(t.lead)) - starts[t.lead]
    numbers = t.lead + np.int64(history.block * BLOCK_LEADS + 1)
    day = (t.occurred - world.start_at) // (86_400 * SECOND)
    low, high = np.array([DETAIL_RANGE.get(kind, (w.MISSING, 0)) for kind in KINDS])[t.kind].T
    detail = np.where(low >= 0, low + (rng.random(len(t.lead)) * (high - low)).astype(np.int64), w.MISSING)
    advertised = (t.kind == KIND["ad_click"]) | (t.kind == KIND["trade_show"])
    columns = {
        "lead_id": lead_ids(history, t.lead),
        "kind": picked(KINDS, t.kind),
        "actor": picked(ACTORS, t.actor),
        "channel": picked((*STAGE_CHANNELS, *w.CHANNELS), channel),
        "campaign_id": masked(campaigns(lead_channel, day), ~advertised),
        "detail": picked(DETAILS, detail),
    }
    return record(columns, identifiers("T", numbers, 7, ("-", nth, 4)), t.occurred, t.recorded)


def step_times(history: BlockHistory, clock: Clock, seed: int) -> tuple[Micros, Micros]:
    """When each stage change occurred and was recorded: 9:00 to 18:30, evenly; `truth` counts on that."""
    steps, rng = history.steps, generator(seed, history.block, CLOCK + 100)
    n = len(steps.lead)
    occurred = clock.at(steps.day - steps.late, rng.integers(9 * 3600, 18 * 3600 + 1800, n))
    typed = clock.at(steps.day, rng.integers(9 * 3600, 19 * 3600, n))
    return occurred, np.where(steps.late > 0, typed, occurred + rng.integers(0, 1800, n) * SECOND)


def _amounts(history: BlockHistory, rng: np.random.Generator) -> NDArray[np.float64]:
    """Value of the deal a lead would make, yen; it grows with the company."""
    leads = history.leads
    band = np.where(leads.account >= 0, history.accounts.band[np.maximum(leads.account, 0)], 1).clip(0)
    base = np.array([0.45, 0.8, 1.5, 2.8, 6.0, 14.0])[band] * 1_000_000
    return np.round(base * np.exp(rng.normal(0, 0.55, len(leads))), -4)


def step_ids(history: BlockHistory, steps: Steps) -> pa.Array:
    """S, the lead, the number of earlier cycles, the stage: a cycle reaches each stage at most once."""
    return step_names(steps.lead + np.int64(history.block * BLOCK_LEADS + 1), steps.cycle, steps.to)


def step_names(
    lead_number: NDArray[np.int64], cycle: NDArray[np.signedinteger], to: NDArray[np.signedinteger]
) -> pa.Array:
    return identifiers("S", lead_number, 7, ("-", cycle.astype(np.int64), 2), ("-", to.astype(np.int64), 1))


REASONS = (*w.RETURN_REASONS, *w.DISQUALIFY_REASONS, *w.LOST_REASONS, w.DUPLICATE)


def _reasons(history: BlockHistory, occurred: Micros) -> NDArray[np.int64]:
    """Place in REASONS by a fixed mixing of lead and time; −1 where a step needs none."""
    s = history.steps
    dice = ((occurred // SECOND) * 2_654_435_761 + s.lead) % 4
    base = np.select([s.to == w.RECYCLED, s.to == w.DISQUALIFIED, s.to == w.LOST], [0, 4, 8], w.MISSING)
    duplicate = (s.to == w.DISQUALIFIED) & (s.day >= history.leads.stop_day[s.lead])
    return np.where(duplicate, 12, np.where(base >= 0, base + dice, w.MISSING))


def _stage_changes(history: BlockHistory, occurred: Micros, recorded: Micros, deals: NDArray[np.float64]) -> pa.Table:
    s = history.steps
    by_sales = s.to >= w.SQL
    columns = {
        "lead_id": lead_ids(history, s.lead),
        "stage": picked(w.STAGE_NAMES, s.to),
        "reason": picked(REASONS, _reasons(history, occurred)),
        "actor": picked(("marketing", "sales"), by_sales.astype(np.int8)),
        "amount": pa.array(deals[s.lead], mask=s.to != w.WON),
    }
    return record(columns, step_ids(history, s), occurred, recorded)


OWNER_NAMES = tuple(f"sales-{n:02d}" for n in range(1, 25))


def _owners(history: BlockHistory, occurred: Micros, recorded: Micros) -> pa.Table:
    """A salesperson is put in charge when the lead becomes an MQL."""
    s = history.steps
    at = np.flatnonzero(s.to == w.MQL)
    owner = (s.lead[at].astype(np.int64) * 7 + s.cycle[at]) % len(OWNER_NAMES)
    columns = {
        "lead_id": lead_ids(history, s.lead[at]),
        "name": picked(("owner",), np.zeros(len(at), dtype=np.int8)),
        "text": picked(OWNER_NAMES, owner),
        "number": pa.nulls(len(at), pa.float64()),
    }
    numbers = s.lead[at] + np.int64(history.block * BLOCK_LEADS + 1)
    return record(columns, identifiers("O", numbers, 7, ("-", s.cycle[at], 2)), occurred[at], recorded[at])


OPPORTUNITY_STAGES = {w.OPPORTUNITY: "提案", w.WON: "受注", w.LOST: "失注", w.RECYCLED: "保留"}


def _in_opportunity(history: BlockHistory) -> NDArray[np.bool_]:
    """Steps into an opportunity, and those that end one."""
    s = history.steps
    key = s.lead.astype(np.int64) * 64 + s.cycle
    opened, lost = key[s.to == w.OPPORTUNITY], key[s.to == w.LOST]
    back_later = (s.to == w.RECYCLED) & np.isin(key, lost)
    return (s.to >= w.OPPORTUNITY) & (s.to != w.DISQUALIFIED) & np.isin(key, opened) & ~back_later


def _opportunity_ids(history: BlockHistory, at: NDArray[np.intp]) -> pa.Array:
    s = history.steps
    numbers = s.lead[at] + np.int64(history.block * BLOCK_LEADS + 1)
    return identifiers("Q", numbers, 7, ("-", s.cycle[at], 2))


def _opportunities(history: BlockHistory, occurred: Micros, recorded: Micros, deals: NDArray[np.float64]) -> pa.Table:
    """A version when it opens, with a first estimate, and one when it ends, with the true amount."""
    s = history.steps
    at = np.flatnonzero(_in_opportunity(history))
    estimate = np.round(deals[s.lead[at]] * (0.8 + 0.1 * (s.lead[at] % 6)), -4)
    amount = np.where(s.to[at] == w.OPPORTUNITY, estimate, deals[s.lead[at]])
    columns = {
        "opportunity_id": _opportunity_ids(history, at),
        "account_id": account_ids(history, history.leads.account[s.lead[at]]),
        "stage": picked([OPPORTUNITY_STAGES.get(n) for n in range(8)], s.to[at]),
        "amount": pa.array(amount),
    }
    numbers = s.lead[at] + np.int64(history.block * BLOCK_LEADS + 1)
    ids = identifiers("V", numbers, 7, ("-", s.cycle[at], 2), ("-", s.to[at], 1))
    return record(columns, ids, occurred[at], recorded[at])


def _opportunity_leads(history: BlockHistory, occurred: Micros, recorded: Micros) -> pa.Table:
    s = history.steps
    at = np.flatnonzero(s.to == w.OPPORTUNITY)
    decides = (history.leads.job[s.lead[at]] >= 3).astype(np.int8)
    ids = _opportunity_ids(history, at)
    columns = {
        "opportunity_id": ids,
        "lead_id": lead_ids(history, s.lead[at]),
        "role": picked(("担当者", "決裁者"), decides),
    }
    return record(columns, ids, occurred[at], recorded[at])
