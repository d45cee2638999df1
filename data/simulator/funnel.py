"""What happens: one day's step of many lead cycles at once, in state that is all on record.

A *lane* is one lead cycle on one day. `step` draws what happens on that day
from the state at its midnight (Japan) and moves the state on: the process is
Markov in `Lanes`, and every field of `Lanes` is a function of records whose
`recorded_at` lies before that midnight. The history and the continuations
behind the truth run this same step. docs/simulator.md gives the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from data.simulator.population import Accounts, Ints, Leads, Levels, fit_of
from data.simulator.world import (
    CLOSED,
    DISQUALIFIED,
    LOST,
    NEW,
    OPPORTUNITY,
    RECYCLED,
    Calendar,
    Floats,
    World,
)

RIPENING_DAYS = (0, 7, 25, 60, 120)
AGES = 240
"""Ages in a stage beyond this many days count as this many."""
Bools = NDArray[np.bool_]


@dataclass
class Lanes:
    """Open lead cycles, one entry each; days are counted from the start of the period."""

    lead: Ints
    day: Ints
    """The day about to be stepped: all records before its midnight are in the state."""
    stage: Levels
    cycle: Levels
    """Cycles before this one."""
    begun: Ints
    """Day on which the cycle started (occurred)."""
    entered: Ints
    """Day on which the stage was entered (occurred)."""
    known: Ints
    """Day on which that was recorded."""
    last: Ints
    """Day of the lead's newest touchpoint."""
    interest: Floats
    """Σ 2^(−age/7 d) over the lead's touchpoints."""
    intent: Floats
    """Σ 2^(−age/14 d) over its pricing views, downloads, inquiries, seminars and meetings."""
    fit: Floats
    mailable: Bools
    stop: Ints
    """Day from which the cycle is closed as a duplicate."""

    def __len__(self) -> int:
        return len(self.lead)

    def take(self, which: NDArray[np.integer] | Bools) -> Lanes:
        return Lanes(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def copy(self) -> Lanes:
        return Lanes(**{f.name: getattr(self, f.name).copy() for f in fields(self)})


def joined(parts: list[Lanes]) -> Lanes:
    return Lanes(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Lanes)})


@dataclass(frozen=True)
class Sessions:
    """Visits of one day; `at` are places in the lanes, the rest counts by kind."""

    at: NDArray[np.intp]
    page_view: Levels
    pricing_view: Levels
    download: Levels
    ad_click: Levels
    inquiry: Levels
    seminar: Levels
    late: Levels
    """Days by which the seminar is recorded late."""


@dataclass(frozen=True)
class Mails:
    at: NDArray[np.intp]
    opened: Bools
    clicked: Bools
    unsubscribed: Bools


@dataclass(frozen=True)
class Contacts:
    at: NDArray[np.intp]
    kind: Levels
    """0 call by the company, 1 call by the lead, 2 meeting."""
    late: Levels


@dataclass(frozen=True)
class Moves:
    at: NDArray[np.intp]
    to: Levels
    late: Levels


@dataclass(frozen=True)
class Day:
    """All that was recorded on one day of the lanes."""

    sessions: Sessions
    mails: Mails
    contacts: Contacts
    moves: Moves


class Engine:
    """A world's rates as lookup tables, ready to step lanes."""

    def __init__(self, world: World, calendar: Calendar) -> None:
        self.behaviour, self.hazards, self.calendar = world.behaviour, world.hazards, calendar
        self.late_outcomes, self.late_outcome_days = world.late_outcomes, world.late_outcome_days
        b, h = self.behaviour, self.hazards
        self.fade = np.exp2(-np.arange(2_000) / b.age_half_life).astype(np.float32) * np.float32(b.sessions_base)
        self.interest_decay = np.float32(2 ** (-1 / b.interest_half_life))
        self.intent_decay = np.float32(2 ** (-1 / b.intent_half_life))
        self.late_interest = np.exp2(-np.arange(16) / b.interest_half_life).astype(np.float32)
        self.late_intent = np.exp2(-np.arange(16) / b.intent_half_life).astype(np.float32)
        ripe = [np.interp(np.arange(AGES + 1), RIPENING_DAYS, row) for row in h.ripening]
        ripe.append(np.full(AGES + 1, -np.inf))
        self.advance_by_age = (np.array(ripe) + np.array([*h.advance, 0.0])[:, None]).astype(np.float32)
        self.by_stage = {
            name: np.array([*getattr(h, name), 0.0], dtype=np.float32)
            for name in ("give_up", "fit", "fit_give_up", "interest", "intent", "silence", "silence_give_up")
        }
        self.stage_sessions = np.array(b.stage_sessions, dtype=np.float32)
        self.mail_sent = np.array(b.mail_sent, dtype=np.float32)
        self.contact = np.array(b.company_contact, dtype=np.float32)
        self.pricing = np.array(b.pricing, dtype=np.float32)
        self.inquiry = np.array(b.inquiry, dtype=np.float32)
        self.meeting = np.array(b.meeting, dtype=np.float32)
        self.returns = np.array([*h.give_up_returns, 0.0], dtype=np.float32)

    def step(self, lanes: Lanes, rng: np.random.Generator) -> Day:
        """Draw one day of every lane and move their state to the next midnight.

        A lane that ends its cycle is CLOSED afterwards, and nothing happens in it any more; opening the
        next cycle is the caller's.
        """
        moves = self._moves(lanes, rng)
        sessions, mails, contacts = self._touchpoints(lanes, rng)
        self._remember(lanes, sessions, mails, contacts)
        self._advance(lanes, moves)
        lanes.day += 1
        return Day(sessions, mails, contacts, moves)

    def log_hazards(self, lanes: Lanes) -> tuple[Floats, Floats]:
        """Of going on and of giving up, for a business day without a fiscal peak."""
        stage = lanes.stage
        silence = np.minimum(lanes.day - lanes.last, int(self.hazards.silence_cap)).astype(np.float32)
        of = self.by_stage
        excited = 1 / (1 + np.exp((self.hazards.intent_threshold - lanes.intent) / self.hazards.intent_width))
        go = self.advance_by_age[stage, np.minimum(lanes.day - lanes.entered, AGES)]
        go += of["fit"][stage] * lanes.fit
        go += of["interest"][stage] * np.minimum(lanes.interest * np.float32(0.1), 1)
        go += of["intent"][stage] * excited.astype(np.float32)
        go += of["silence"][stage] * np.minimum(silence, 30)
        go += np.float32(self.hazards.later_cycle) * (lanes.cycle > 0)
        stop = of["give_up"][stage] + of["fit_give_up"][stage] * lanes.fit + of["silence_give_up"][stage] * silence
        return go, stop

    def _moves(self, lanes: Lanes, rng: np.random.Generator) -> Moves:
        draw = rng.random(len(lanes), dtype=np.float32)
        go, stop = self.log_hazards(lanes)
        go += self.calendar.advance[lanes.day, lanes.stage]
        stop += self.calendar.give_up[lanes.day, lanes.stage]
        going = draw < np.minimum(-np.expm1(-np.exp(go)), 0.7)
        stopping = draw > 1 - np.minimum(-np.expm1(-np.exp(stop)), 0.25)
        duplicate = (lanes.day >= lanes.stop) & (lanes.stage != CLOSED)
        at = np.flatnonzero(going | stopping | duplicate)
        stage = lanes.stage[at]
        returned = rng.random(len(at), dtype=np.float32) < self.returns[stage]
        given_up = np.where(returned, RECYCLED, np.where(stage == OPPORTUNITY, LOST, DISQUALIFIED))
        to = np.where(duplicate[at], DISQUALIFIED, np.where(going[at], stage + 1, given_up))
        late = self._late(rng, lanes, at, self.late_outcomes, self.late_outcome_days)
        return Moves(at, to.astype(np.int8), np.where(duplicate[at], 0, late).astype(np.int8))

    def _late(self, rng: np.random.Generator, lanes: Lanes, at: NDArray[np.intp], share: float, most: int) -> Levels:
        """Days of backdating: never to before the day after the newest stage change was recorded."""
        late = np.where(rng.random(len(at)) < share, rng.integers(1, most + 1, len(at)), 0)
        return np.minimum(late, np.maximum(lanes.day[at] - lanes.known[at] - 1, 0)).astype(np.int8)

    def _touchpoints(self, lanes: Lanes, rng: np.random.Generator) -> tuple[Sessions, Mails, Contacts]:
        """At most one session, mail or contact a lane and day."""
        b, stage, day = self.behaviour, lanes.stage, lanes.day
        draw = rng.random(len(lanes), dtype=np.float32)
        rate = self.fade[np.minimum(day - lanes.begun, 1_999)]
        rate = rate + np.float32(b.sessions_per_interest) * np.minimum(lanes.interest, np.float32(b.interest_cap))
        visits = np.minimum(rate * self.stage_sessions[stage] * self.calendar.sessions[day], np.float32(0.6))
        open_day = self.calendar.business[day]
        mailed = visits + self.mail_sent[stage] * (open_day & lanes.mailable)
        met = mailed + self.contact[stage] * open_day
        return (
            self._sessions(lanes, np.flatnonzero(draw < visits), rng),
            self._mails(lanes, np.flatnonzero((draw >= visits) & (draw < mailed)), rng),
            self._contacts(lanes, np.flatnonzero((draw >= mailed) & (draw < met)), rng),
        )

    def _sessions(self, lanes: Lanes, at: NDArray[np.intp], rng: np.random.Generator) -> Sessions:
        b, n, stage = self.behaviour, len(at), lanes.stage[at]
        chance = rng.random((5, n), dtype=np.float32)
        seminar = (chance[4] < b.seminar) & self.calendar.business[lanes.day[at]]
        return Sessions(
            at,
            np.minimum(rng.geometric(1 - b.pages, n), 12).astype(np.int8),
            (chance[0] < self.pricing[stage]).astype(np.int8) + (chance[0] < self.pricing[stage] * 0.35),
            (chance[1] < b.download).astype(np.int8),
            (chance[2] < b.ad_click).astype(np.int8),
            (chance[3] < self.inquiry[stage]).astype(np.int8),
            seminar.astype(np.int8),
            np.where(seminar, self._late(rng, lanes, at, b.late, b.late_days), 0).astype(np.int8),
        )

    def _mails(self, lanes: Lanes, at: NDArray[np.intp], rng: np.random.Generator) -> Mails:
        b = self.behaviour
        chance = rng.random((3, len(at)), dtype=np.float32)
        opened = chance[0] < b.mail_opened + b.mail_opened_interest * np.minimum(lanes.interest[at], 10)
        return Mails(at, opened, opened & (chance[1] < b.mail_clicked), chance[2] < b.mail_unsubscribed)

    def _contacts(self, lanes: Lanes, at: NDArray[np.intp], rng: np.random.Generator) -> Contacts:
        chance = rng.random((2, len(at)), dtype=np.float32)
        call = np.where(chance[1] < self.behaviour.inbound, 1, 0)
        kind = np.where(chance[0] < self.meeting[lanes.stage[at]], 2, call).astype(np.int8)
        return Contacts(at, kind, self._late(rng, lanes, at, self.behaviour.late, self.behaviour.late_days))

    def _remember(self, lanes: Lanes, sessions: Sessions, mails: Mails, contacts: Contacts) -> None:
        s, at = sessions, sessions.at
        now = s.page_view + s.pricing_view + s.download + s.ad_click + s.inquiry
        lanes.interest[at] += now + s.seminar * self.late_interest[s.late]
        lanes.intent[at] += s.pricing_view + s.download + s.inquiry + s.seminar * self.late_intent[s.late]
        lanes.last[at] = lanes.day[at]
        read = mails.at[mails.opened]
        lanes.interest[read] += 1 + mails.clicked[mails.opened].astype(np.float32)
        lanes.last[read] = lanes.day[read]
        lanes.mailable[mails.at[mails.unsubscribed]] = False
        own = contacts.kind > 0
        came, late = contacts.at[own], contacts.late[own]
        lanes.interest[came] += self.late_interest[late]
        lanes.intent[came] += self.late_intent[late] * (contacts.kind[own] == 2)
        lanes.last[came] = np.maximum(lanes.last[came], lanes.day[came] - late)
        lanes.interest *= self.interest_decay
        lanes.intent *= self.intent_decay

    def _advance(self, lanes: Lanes, moves: Moves) -> None:
        at = moves.at
        lanes.known[at] = lanes.day[at]
        lanes.entered[at] = lanes.day[at] - moves.late
        lanes.stage[at] = np.where(moves.to <= OPPORTUNITY, moves.to, CLOSED)


@dataclass(frozen=True)
class Beginnings:
    """What each lead did in the minutes before it became known."""

    pages: Levels
    pricing: Levels
    inquiry: Bools
    """Made itself known by an inquiry rather than as its channel usually does."""
    clicked_ad: Bools


def beginnings(leads: Leads, rng: np.random.Generator) -> Beginnings:
    """Trade-show leads left a card and nothing else."""
    n = len(leads)
    online = leads.channel != 5
    inquiry = online & ((rng.random(n) < 0.16) | np.isin(leads.channel, (3, 6, 7)))
    return Beginnings(
        pages=np.where(online, np.minimum(rng.geometric(0.38, n), 15), 0).astype(np.int8),
        pricing=(online & (rng.random(n) < np.where(inquiry, 0.45, 0.14))).astype(np.int8),
        inquiry=inquiry,
        clicked_ad=np.isin(leads.channel, (0, 2)) & (rng.random(n) < 0.85),
    )


def opening_lanes(world: World, calendar: Calendar, accounts: Accounts, leads: Leads, first: Beginnings) -> Lanes:
    """Every lead at the midnight after it was recorded."""
    engine = Engine(world, calendar)
    touches = 1 + first.pages + first.pricing + first.clicked_ad
    fit = fit_of(world.fit, accounts, leads) + calendar.channel_quality[leads.day, leads.channel]
    age = leads.late + 1
    strong = first.pricing + (leads.channel != 5)
    intent = strong * np.exp2(-age / world.behaviour.intent_half_life)
    return Lanes(
        lead=np.arange(len(leads), dtype=np.int32),
        day=leads.day + np.int32(1),
        stage=np.full(len(leads), NEW, dtype=np.int8),
        cycle=np.zeros(len(leads), dtype=np.int8),
        begun=leads.day - leads.late,
        entered=leads.day - leads.late,
        known=leads.day.copy(),
        last=leads.day - leads.late,
        interest=(touches * engine.late_interest[age]).astype(np.float32),
        intent=intent.astype(np.float32),
        fit=fit.astype(np.float32),
        mailable=leads.mailable.copy(),
        stop=leads.stop_day.copy(),
    )


def reopened(world: World, engine: Engine, lanes: Lanes, moves: Moves, rng: np.random.Generator) -> NDArray[np.intp]:
    """Open the next cycle of lanes that were recycled, or were lost and return later; the places of the latter.

    A lost lane that returns sleeps for 90 to 240 days: its day jumps ahead, its interest fades.
    """
    back = moves.at[moves.to == RECYCLED]
    lanes.stage[back] = NEW
    lanes.begun[back] = lanes.entered[back]
    lanes.cycle[back] += 1
    lost = moves.at[moves.to == LOST]
    later = lost[rng.random(len(lost)) < world.lost_recycled]
    wait = rng.integers(90, 241, len(later)).astype(np.int32)
    lanes.interest[later] *= np.exp2(-wait / world.behaviour.interest_half_life).astype(np.float32)
    lanes.intent[later] *= np.exp2(-wait / world.behaviour.intent_half_life).astype(np.float32)
    lanes.day[later] += wait
    lanes.stage[later] = NEW
    lanes.cycle[later] += 1
    for column in (lanes.begun, lanes.entered, lanes.known):
        column[later] = lanes.day[later] - 1
    return later
