"""One block's whole history, as numbers: every record with the day and second it happened and was recorded.

Runs the funnel over the period lane by lane and day by day, then spreads each
day's happenings over the hours. Nothing random here moves the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.simulator.funnel import Beginnings, Day, Engine, Lanes, beginnings, joined, opening_lanes, reopened
from data.simulator.population import BLOCK_LEADS, Accounts, Ints, Leads, Levels, draw_block, generator
from data.simulator.world import CLOSED, RECYCLED, Calendar, World, calendar_of

POPULATION, BEGINNING, FUNNEL, CLOCK, SAMPLE, FACTS, TRUTH = range(7)
"""Streams of random numbers of a block; a change in one leaves the others alone."""


@dataclass(frozen=True)
class Steps:
    """Stage changes: one entry each."""

    lead: Ints
    cycle: Levels
    """Cycles before the one it happened in."""
    to: Levels
    day: Ints
    """Recorded on."""
    late: Levels


@dataclass(frozen=True)
class Visits:
    lead: Ints
    day: Ints
    counts: Levels
    """[visit, kind of SESSION_KINDS]"""
    late: Levels
    """Of the seminar."""


@dataclass(frozen=True)
class Letters:
    lead: Ints
    day: Ints
    opened: NDArray[np.bool_]
    clicked: NDArray[np.bool_]
    unsubscribed: NDArray[np.bool_]


@dataclass(frozen=True)
class Talks:
    lead: Ints
    day: Ints
    kind: Levels
    """0 call by the company, 1 call by the lead, 2 meeting."""
    late: Levels


SESSION_KINDS = ("page_view", "pricing_view", "download", "ad_click", "inquiry", "seminar")


@dataclass(frozen=True)
class BlockHistory:
    block: int
    accounts: Accounts
    leads: Leads
    first: Beginnings
    visits: Visits
    letters: Letters
    talks: Talks
    steps: Steps
    sampled: Lanes
    """Open cycles at sampled Monday midnights, for the truth."""
    created: Lanes
    """Sampled leads right after their creation."""
    at_end: Lanes
    """Sampled cycles that are open at the end."""


@dataclass(frozen=True)
class SampleShares:
    """Chances with which states are kept for the truth: of a cycle on a Monday, a creation, a cycle open at the end."""

    monday: float = 0.0
    created: float = 0.0
    at_end: float = 0.0


def block_sizes(leads: int) -> list[int]:
    """Leads of each block: full ones, then the rest."""
    full, rest = divmod(leads, BLOCK_LEADS)
    return [BLOCK_LEADS] * full + ([rest] if rest else [])


def simulate_block(world: World, seed: int, block: int, count: int, shares: SampleShares) -> BlockHistory:
    calendar = calendar_of(world)
    accounts, leads = draw_block(world, calendar, count, generator(seed, block, POPULATION))
    first = beginnings(leads, generator(seed, block, BEGINNING))
    opening = opening_lanes(world, calendar, accounts, leads, first)
    record = _Record(world, calendar, leads, shares, generator(seed, block, SAMPLE))
    record.begin(opening)
    _run(world, Engine(world, calendar), opening, generator(seed, block, FUNNEL), record)
    return record.history(block, accounts, leads, first, opening)


def _run(world: World, engine: Engine, lanes: Lanes, rng: np.random.Generator, record: _Record) -> None:
    """Step all lanes until each has ended or reached the end; each has a day of its own."""
    lanes = lanes.copy()
    while len(lanes):
        over = lanes.day >= world.days
        if over.any():
            record.end(lanes.take(over))
        going = ~over & (lanes.stage != CLOSED)
        if not going.any():
            return
        if over.any() or going.mean() < 0.9:
            lanes = lanes.take(going)
        record.before(lanes)
        cycle, day = lanes.cycle.copy(), lanes.day.copy()
        happened = engine.step(lanes, rng)
        later = reopened(world, engine, lanes, happened.moves, rng)
        record.after(lanes, day, cycle, happened, later)


class _Record:
    """Collects what each step of the lanes gives, and samples states for the truth."""

    def __init__(
        self, world: World, calendar: Calendar, leads: Leads, shares: SampleShares, rng: np.random.Generator
    ) -> None:
        self.world, self.calendar, self.shares, self.rng = world, calendar, shares, rng
        self.visits: list[tuple[NDArray[Any], ...]] = []
        self.letters: list[tuple[NDArray[Any], ...]] = []
        self.talks: list[tuple[NDArray[Any], ...]] = []
        self.steps: list[tuple[NDArray[Any], ...]] = []
        self.mondays: list[Lanes] = []
        self.ended: list[Lanes] = []
        # Histories that a merge joins depend on two lanes at once: no truth is claimed for them.
        self.single = leads.original < 0
        self.single[leads.original[leads.original >= 0]] = False
        self.created = np.empty(0, dtype=np.intp)

    def begin(self, lanes: Lanes) -> None:
        self.created = np.flatnonzero((self.rng.random(len(lanes)) < self.shares.created) & self.single)

    def before(self, lanes: Lanes) -> None:
        monday = np.flatnonzero((self.calendar.weekday[lanes.day] == 0) & (lanes.stage != CLOSED))
        self.mondays.append(self._sample(lanes, monday, self.shares.monday))

    def end(self, lanes: Lanes) -> None:
        open_now = np.flatnonzero((lanes.stage != CLOSED) & (lanes.day == self.world.days))
        self.ended.append(self._sample(lanes, open_now, self.shares.at_end))

    def _sample(self, lanes: Lanes, places: NDArray[np.intp], share: float) -> Lanes:
        chosen = places[self.rng.random(len(places)) < share]
        return lanes.take(chosen[self.single[lanes.lead[chosen]]])

    def after(self, lanes: Lanes, day: Ints, cycle: Levels, happened: Day, later: NDArray[np.intp]) -> None:
        s, m, c, v = happened.sessions, happened.mails, happened.contacts, happened.moves
        lead = lanes.lead
        counts = np.stack([s.page_view, s.pricing_view, s.download, s.ad_click, s.inquiry, s.seminar], axis=1)
        self.visits.append((lead[s.at], day[s.at], counts, s.late))
        self.letters.append((lead[m.at], day[m.at], m.opened, m.clicked, m.unsubscribed))
        self.talks.append((lead[c.at], day[c.at], c.kind, c.late))
        self.steps.append((lead[v.at], cycle[v.at], v.to, day[v.at], v.late))
        back = later[lanes.day[later] <= self.world.days]
        again = np.full(len(back), RECYCLED, dtype=np.int8)
        self.steps.append((lead[back], cycle[back], again, lanes.day[back] - 1, np.zeros(len(back), dtype=np.int8)))

    def history(self, block: int, accounts: Accounts, leads: Leads, first: Beginnings, opening: Lanes) -> BlockHistory:
        none = opening.take(np.empty(0, dtype=np.intp))
        return BlockHistory(
            block,
            accounts,
            leads,
            first,
            Visits(*_stacked(self.visits)),
            Letters(*_stacked(self.letters)),
            Talks(*_stacked(self.talks)),
            Steps(*_stacked(self.steps)),
            joined([none, *self.mondays]),
            opening.take(self.created),
            joined([none, *self.ended]),
        )


def _stacked(parts: list[tuple[NDArray[Any], ...]]) -> list[NDArray[Any]]:
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
