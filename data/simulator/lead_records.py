"""The tables about who there is: persons, accounts, leads, their later attributes, consents, merges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.simulator import world as w
from data.simulator.contacts import companies, contacts
from data.simulator.history import FACTS, BlockHistory
from data.simulator.population import BLOCK_LEADS, generator
from data.simulator.text import identifiers, instants, masked, picked
from data.times import DAY, SECOND

Micros = NDArray[np.int64]
CAMPAIGN_DAYS = 91
"""A channel's campaign runs for a quarter."""
OWNERS = 24


@dataclass(frozen=True)
class Clock:
    """Instants of a block: days and seconds of the day (Japan) to microseconds UTC."""

    start_at: int

    def at(self, day: NDArray[np.signedinteger], second: NDArray[np.generic]) -> Micros:
        return self.start_at + day.astype(np.int64) * DAY + second.astype(np.int64) * SECOND


@dataclass(frozen=True)
class LeadTimes:
    """When each lead of the block was created and when that was recorded."""

    occurred: Micros
    recorded: Micros


def lead_times(history: BlockHistory, clock: Clock, seed: int) -> LeadTimes:
    """A card typed in late was collected at the show between 10 and 17 o'clock; a form is recorded within a minute."""
    leads = history.leads
    rng = generator(seed, history.block, FACTS)
    recorded = clock.at(leads.day, leads.time)
    at_show = clock.at(leads.day - leads.late, rng.integers(10 * 3600, 17 * 3600, len(leads)))
    prompt = recorded - rng.integers(1, 40, len(leads)) * SECOND
    return LeadTimes(np.where(leads.late > 0, at_show, prompt), recorded)


def lead_ids(history: BlockHistory, places: NDArray[np.signedinteger]) -> pa.Array:
    return identifiers("L", places.astype(np.int64) + history.block * BLOCK_LEADS + 1)


def person_ids(history: BlockHistory, places: NDArray[np.signedinteger]) -> pa.Array:
    return identifiers("P", places.astype(np.int64) + history.block * BLOCK_LEADS + 1)


def account_ids(history: BlockHistory, accounts: NDArray[np.signedinteger]) -> pa.Array:
    """Null where the account is not known."""
    numbers = np.maximum(accounts, 0).astype(np.int64) + history.block * BLOCK_LEADS + 1
    return masked(identifiers("A", numbers), accounts < 0)


def record(columns: dict[str, pa.Array], source_id: pa.Array, occurred: Micros, recorded: Micros) -> pa.Table:
    """The columns, then the record's own id and times as text."""
    return pa.table(
        {**columns, "source_id": source_id, "occurred_at": instants(occurred), "recorded_at": instants(recorded)}
    )


def lead_tables(history: BlockHistory, times: LeadTimes, world: w.World, seed: int) -> dict[str, pa.Table]:
    rng = generator(seed, history.block, FACTS + 100)
    every = np.arange(len(history.leads))
    company = companies(history.accounts, history.block * BLOCK_LEADS + 1, rng)
    contact = contacts(history.accounts, history.leads, company.domain, history.block * BLOCK_LEADS + 1, rng)
    persons = {
        "person_id": person_ids(history, every),
        "name": contact.name,
        "name_kana": contact.name_kana,
        "email": contact.email,
        "phone": contact.phone,
    }
    return {
        "persons": record(persons, persons["person_id"], times.recorded, times.recorded),
        "accounts": _accounts(history, times, company.name, company.domain),
        "account_attributes": _account_attributes(history, times, rng, world),
        "leads": _leads(history, times, rng, world),
        "consents": _consents(history, times, rng, world),
        "merges": _merges(history, times, rng, world),
    }


def _account_times(history: BlockHistory, times: LeadTimes) -> Micros:
    """An account is known from the moment its first lead is recorded."""
    known = np.flatnonzero(history.leads.account >= 0)
    _, first = np.unique(history.leads.account[known], return_index=True)
    return times.recorded[known[first]]


def _accounts(history: BlockHistory, times: LeadTimes, name: pa.Array, domain: pa.Array) -> pa.Table:
    a, at = history.accounts, _account_times(history, times)
    ids = account_ids(history, np.arange(len(a)))
    columns = {
        "account_id": ids,
        "name": name,
        "domain": domain,
        "industry": picked(w.INDUSTRIES, a.industry),
        "employee_band": picked(w.EMPLOYEE_BANDS, a.band),
        "prefecture": picked([p for p, _ in w.PREFECTURES], a.prefecture),
        "country": picked(w.COUNTRIES, a.country),
    }
    return record(columns, ids, at, at)


def _account_attributes(history: BlockHistory, times: LeadTimes, rng: np.random.Generator, world: w.World) -> pa.Table:
    """Head count and revenue, bought from a data provider some days later; nothing depends on them beyond the band."""
    a, at = history.accounts, _account_times(history, times)
    bought = at + (rng.geometric(1 / 9, len(a)) * DAY + rng.integers(0, 8 * 3600, len(a)) * SECOND)
    chosen = np.flatnonzero((a.band >= 0) & (rng.random(len(a)) < 0.7) & (bought < world.end_at))
    ids, number = account_ids(history, chosen), a.employees[chosen].astype(np.float64)
    parts = []
    for code, name, values in (("E", "employees", number), ("R", "annual_revenue", a.revenue[chosen])):
        columns = {
            "account_id": ids,
            "name": pa.array([name]).take(pa.array(np.zeros(len(chosen), dtype=np.int8))),
            "text": pa.nulls(len(chosen), pa.string()),
            "number": pa.array(values),
        }
        numbers = chosen + history.block * BLOCK_LEADS + 1
        parts.append(record(columns, identifiers(f"A{code}", numbers), bought[chosen], bought[chosen]))
    return pa.concat_tables(parts)


def _leads(history: BlockHistory, times: LeadTimes, rng: np.random.Generator, world: w.World) -> pa.Table:
    leads, a = history.leads, history.accounts
    every = np.arange(len(leads))
    known = leads.account >= 0
    prefecture = np.where(known, a.prefecture[np.maximum(leads.account, 0)], w.MISSING)
    country = np.where(known, a.country[np.maximum(leads.account, 0)], 0)
    title = leads.job.astype(np.int64) * 4 + np.where(country > 0, 3, leads.title)
    regions = [w.REGIONS.get(name, "その他") for name, _ in w.PREFECTURES]
    length = np.round(np.exp(rng.normal(4.6, 0.7, len(leads)))).clip(5, 2_000)
    ids = lead_ids(history, every)
    columns = {
        "lead_id": ids,
        "person_id": person_ids(history, every),
        "account_id": account_ids(history, leads.account),
        "channel": picked(w.CHANNELS, leads.channel),
        "campaign": campaigns(leads.channel, leads.day - leads.late),
        "job_title": picked([t for row in w.JOB_TITLES for t in row], title),
        "job_title_band": picked(w.JOB_BANDS, leads.job),
        "department": picked(w.DEPARTMENTS, leads.department),
        "free_mail": picked(("no", "yes"), leads.free_mail.astype(np.int8)),
        "mail_matches_account": picked(("no", "yes"), (known & ~leads.free_mail).astype(np.int8)),
        "message_length": pa.array(length, mask=~history.first.inquiry),
        "region": picked([*regions, "海外"], np.where(country > 0, len(regions), prefecture)),
        "current_tool": picked(w.CURRENT_TOOLS, leads.tool),
    }
    return record(columns, ids, times.occurred, times.recorded)


def campaigns(channel: NDArray[np.signedinteger], day: NDArray[np.signedinteger]) -> pa.Array:
    """One campaign a channel and quarter: paid_search-q03."""
    quarter = np.clip(day, 0, None).astype(np.int64) // CAMPAIGN_DAYS
    names = [f"{c}-q{q:02d}" for c in w.CHANNELS for q in range(20)]
    return picked(names, channel.astype(np.int64) * 20 + quarter)


def campaign_costs(world: w.World, leads: int, seed: int) -> pa.Table:
    """One row a campaign and quarter; what the leads of its channel cost, with noise."""
    rng = generator(seed, 0, FACTS + 200)
    calendar = w.calendar_of(world)
    quarters = -(-world.days // CAMPAIGN_DAYS)
    share = calendar.arrivals / calendar.arrivals.sum()
    channel, quarter = (g.ravel() for g in np.meshgrid(np.arange(len(w.CHANNELS)), np.arange(quarters), indexing="ij"))
    part = np.add.reduceat(share, np.arange(0, world.days, CAMPAIGN_DAYS), axis=0)[quarter, channel]
    cost = np.array(w.CHANNEL_COST)[channel] * leads * part * np.exp(rng.normal(0, 0.15, len(channel)))
    day = quarter * CAMPAIGN_DAYS
    at = Clock(world.start_at).at(day, np.zeros(len(day)))
    names = campaigns(channel, day)
    # A bill arrives while its quarter runs, so that the last one is on record too.
    columns = {"campaign_id": names, "channel": picked(w.CHANNELS, channel), "cost": pa.array(np.round(cost, -3))}
    return record(columns, names, at, at + DAY)


def _consents(history: BlockHistory, times: LeadTimes, rng: np.random.Generator, world: w.World) -> pa.Table:
    """Scoring on legitimate interest and marketing by consent at creation; withdrawals later."""
    leads, n = history.leads, len(history.leads)
    every = np.arange(n)
    objects = np.flatnonzero(rng.random(n) < world.scoring_objection)
    objected = times.recorded[objects] + rng.geometric(1 / 60, len(objects)) * DAY
    in_time = objected < world.end_at
    objects, objected = objects[in_time], objected[in_time]
    letters = history.letters
    left = np.flatnonzero(letters.unsubscribed)
    unsubscribed = Clock(world.start_at).at(letters.day[left], rng.integers(13 * 3600, 22 * 3600, len(left)))
    place = np.where(leads.channel == 5, 2, 0)
    parts = (
        (every, "S", "scoring", True, 0, times.recorded, place),
        (every, "M", "marketing", leads.mailable, 1, times.recorded, place),
        (objects, "O", "scoring", False, 2, objected, np.ones(len(objects), dtype=np.int64)),
        (letters.lead[left], "U", "marketing", False, 1, unsubscribed, np.ones(len(left), dtype=np.int64)),
    )
    return pa.concat_tables([_consent(history, *part) for part in parts])


def _consent(
    history: BlockHistory,
    lead: NDArray[np.signedinteger],
    code: str,
    purpose: str,
    granted: bool | NDArray[np.bool_],
    basis: int,
    at: Micros,
    place: NDArray[np.int64],
) -> pa.Table:
    n = len(lead)
    same = np.zeros(n, dtype=np.int8)
    columns = {
        "person_id": person_ids(history, lead),
        "purpose": picked((purpose,), same),
        "granted": picked(("false", "true"), np.broadcast_to(granted, n).astype(np.int8)),
        "basis": picked(("legitimate_interest", "consent", "objection"), same + basis),
        "text_version": picked(("privacy-2024-04",), same),
        "place": picked(("form", "mail", "trade_show"), place),
    }
    return record(columns, identifiers(f"C{code}", lead + np.int64(history.block * BLOCK_LEADS + 1)), at, at)


def _merges(history: BlockHistory, times: LeadTimes, rng: np.random.Generator, world: w.World) -> pa.Table:
    """Duplicates found: the later lead and its person go into the earlier."""
    leads = history.leads
    ends = np.flatnonzero((leads.original >= 0) & (leads.stop_day < world.days))
    at = Clock(world.start_at).at(leads.stop_day[ends], rng.integers(9 * 3600, 18 * 3600, len(ends)))
    numbers = ends + np.int64(history.block * BLOCK_LEADS + 1)
    parts = []
    for code, subject, ids in (("P", "person", person_ids), ("L", "lead", lead_ids)):
        columns = {
            "subject": picked((subject,), np.zeros(len(ends), dtype=np.int8)),
            "from_id": ids(history, ends),
            "into_id": ids(history, leads.original[ends]),
            "undone": picked(("false",), np.zeros(len(ends), dtype=np.int8)),
        }
        parts.append(record(columns, identifiers(f"D{code}", numbers), at, at))
    return pa.concat_tables(parts)
