"""Who there is: accounts and leads of one block, drawn before anything happens.

A block is `BLOCK_LEADS` leads with the accounts they belong to; its random
numbers come from a seed sequence keyed by (seed, block), so a block is the
same whichever others are simulated, in whatever order or process.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulator.world import (
    CHANNELS,
    COUNTRY_SHARE,
    CURRENT_TOOL_SHARE,
    DEPARTMENT_SHARE,
    EMPLOYEE_BAND_EDGES,
    EMPLOYEE_BAND_SHARE,
    INDUSTRY_SHARE,
    JOB_BAND_SHARE,
    JOB_TITLES,
    MISSING,
    PREFECTURES,
    Calendar,
    Fit,
    World,
)

BLOCK_LEADS = 10_000
Ints = NDArray[np.int32]
Levels = NDArray[np.int8]


@dataclass(frozen=True)
class Accounts:
    """Columns of the block's accounts; levels index the tuples of `world`."""

    industry: Levels
    band: Levels
    employees: Ints
    country: Levels
    prefecture: Levels
    revenue: NDArray[np.float64]
    first_day: Ints
    """Day on which its first lead was recorded."""

    def __len__(self) -> int:
        return len(self.industry)


@dataclass(frozen=True)
class Leads:
    """Columns of the block's leads in order of recording."""

    account: Ints
    """Number within the block; MISSING where the company is not known."""
    day: Ints
    """Day on which the creation was recorded."""
    late: Levels
    """Days by which it was recorded late."""
    time: Ints
    """Second of that day (Japan) at which it was recorded."""
    channel: Levels
    job: Levels
    title: Levels
    department: Levels
    tool: Levels
    free_mail: NDArray[np.bool_]
    mailable: NDArray[np.bool_]
    """Agreed to marketing mail."""
    original: Ints
    """The lead of the same person that was there first; MISSING where there is none."""
    stop_day: Ints
    """Day on which the duplicate is found and closed; beyond all days where there is none."""
    person: Ints
    """Number that all facts of the person are drawn by; equal for duplicates."""

    def __len__(self) -> int:
        return len(self.account)


NEVER = 1_000_000


def generator(seed: int, block: int, stream: int) -> np.random.Generator:
    """The random numbers of one block for one purpose."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, block, stream))))


def draw_accounts(world: World, count: int, rng: np.random.Generator) -> Accounts:
    band = _levels(rng, EMPLOYEE_BAND_SHARE, count)
    edges = np.array(EMPLOYEE_BAND_EDGES, dtype=np.float64)
    low, high = edges[band], edges[band + 1]
    employees = np.floor(low * (high / low) ** rng.random(count)).astype(np.int32)
    country = _levels(rng, COUNTRY_SHARE, count)
    revenue = np.round(employees * 18.0 * np.exp(rng.normal(0.0, 0.5, count))) * 1_000_000
    hidden = rng.random(count) < world.missing_employee_band
    prefecture = _levels(rng, [share for _, share in PREFECTURES], count)
    industry = _levels(rng, INDUSTRY_SHARE, count)
    return Accounts(
        industry=np.where(rng.random(count) < world.missing_industry, MISSING, industry).astype(np.int8),
        band=np.where(hidden, MISSING, band).astype(np.int8),
        employees=np.where(hidden, MISSING, employees).astype(np.int32),
        country=country,
        prefecture=np.where(country == 0, prefecture, MISSING).astype(np.int8),
        revenue=np.where(hidden, np.nan, revenue),
        first_day=np.full(count, NEVER, dtype=np.int32),
    )


def draw_block(world: World, calendar: Calendar, count: int, rng: np.random.Generator) -> tuple[Accounts, Leads]:
    """`count` leads in order of recording and the accounts that have at least one of them."""
    accounts = draw_accounts(world, max(int(count / world.leads_per_account), 1), rng)
    leads = _in_order(_with_duplicates(world, _draw_leads(world, calendar, accounts, count, rng), rng))
    return _used(accounts, leads)


def _draw_leads(world: World, calendar: Calendar, accounts: Accounts, count: int, rng: np.random.Generator) -> Leads:
    day, channel = _arrivals(calendar, count, rng)
    late = _late_cards(world, calendar, day, channel, rng)
    job = _levels(rng, JOB_BAND_SHARE, count)
    free_mail = rng.random(count) < world.free_mail_share
    unknown = free_mail & (rng.random(count) < world.free_mail_without_account)
    weight = np.cumsum(np.where(accounts.band == MISSING, 1.0, 1.0 + 0.55 * accounts.band))
    account = np.searchsorted(weight, rng.random(count) * weight[-1]).astype(np.int32)
    tool = _levels(rng, CURRENT_TOOL_SHARE, count)
    return Leads(
        account=np.where(unknown, MISSING, account).astype(np.int32),
        day=np.minimum(day + late, world.days - 1).astype(np.int32),
        late=late.astype(np.int8),
        time=rng.integers(8 * 3600, 22 * 3600, count, dtype=np.int32),
        channel=channel.astype(np.int8),
        job=job,
        title=rng.integers(0, len(JOB_TITLES[0]) - 1, count, dtype=np.int8),
        department=_levels(rng, DEPARTMENT_SHARE, count),
        tool=np.where(rng.random(count) < world.missing_tool, MISSING, tool).astype(np.int8),
        free_mail=free_mail,
        mailable=rng.random(count) < world.marketing_consent,
        original=np.full(count, MISSING, dtype=np.int32),
        stop_day=np.full(count, NEVER, dtype=np.int32),
        person=np.arange(count, dtype=np.int32),
    )


def _arrivals(calendar: Calendar, count: int, rng: np.random.Generator) -> tuple[Ints, Levels]:
    weights = np.cumsum(calendar.arrivals.ravel())
    cell = np.searchsorted(weights, rng.random(count) * weights[-1])
    day, channel = np.divmod(cell, len(CHANNELS))
    return day.astype(np.int32), channel.astype(np.int8)


def _late_cards(world: World, calendar: Calendar, day: Ints, channel: Levels, rng: np.random.Generator) -> Levels:
    """Days until a card collected at a trade show is typed in."""
    late = (channel == CHANNELS.index("trade_show")) & (rng.random(len(day)) < world.late_cards)
    late &= day < world.days - 6
    return np.where(late, rng.integers(1, 6, len(day)), 0).astype(np.int8)


def _with_duplicates(world: World, leads: Leads, rng: np.random.Generator) -> Leads:
    """Some leads become a second, later lead of another's person."""
    from dataclasses import replace

    count = len(leads)
    original = rng.integers(0, count, count, dtype=np.int32)
    day = leads.day[original] + 1 + rng.geometric(1 / 35, count)
    chosen = (rng.random(count) < world.duplicates) & (day < world.days)
    chosen &= ~chosen[original] & (leads.channel != CHANNELS.index("trade_show"))
    found = np.minimum(day + 2 + rng.geometric(1 / 40, count), NEVER)
    same = {
        name: np.where(chosen, getattr(leads, name)[original], getattr(leads, name))
        for name in ("account", "job", "title", "department", "tool", "free_mail", "mailable", "person")
    }
    return replace(
        leads,
        **same,
        day=np.where(chosen, day, leads.day).astype(np.int32),
        original=np.where(chosen, original, MISSING).astype(np.int32),
        stop_day=np.where(chosen, found, NEVER).astype(np.int32),
    )


def _in_order(leads: Leads) -> Leads:
    """Sorted by the time of recording, references renumbered."""
    order = np.lexsort((leads.time, leads.day))
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    columns = {name: getattr(leads, name)[order] for name in leads.__dataclass_fields__}
    columns["original"] = np.where(columns["original"] >= 0, place[columns["original"]], MISSING).astype(np.int32)
    columns["person"] = place[columns["person"]]
    return Leads(**columns)


def _used(accounts: Accounts, leads: Leads) -> tuple[Accounts, Leads]:
    """Only accounts with a lead, renumbered in order of their first lead."""
    from dataclasses import replace

    known = np.flatnonzero(leads.account >= 0)
    ids, first = np.unique(leads.account[known], return_index=True)
    ids = ids[np.argsort(first, kind="stable")]
    place = np.full(len(accounts), MISSING, dtype=np.int32)
    place[ids] = np.arange(len(ids), dtype=np.int32)
    kept = {name: getattr(accounts, name)[ids] for name in accounts.__dataclass_fields__}
    kept["first_day"] = leads.day[known][np.sort(first)].astype(np.int32)
    account = np.where(leads.account >= 0, place[leads.account], MISSING).astype(np.int32)
    return Accounts(**kept), replace(leads, account=account)


def fit_of(fit: Fit, accounts: Accounts, leads: Leads) -> NDArray[np.float32]:
    """How well each lead fits, on the log scale, from its recorded attributes alone (docs/simulator.md)."""
    band = _of_account(accounts.band, leads)
    industry = _of_account(accounts.industry, leads)
    small, large = (band == 0) | (band == 1), band >= 3
    executive = leads.job == 4
    total = _effect(fit.size, band) + _effect(fit.job, leads.job)
    total += executive * (fit.executive_small * (band <= 1) * (band >= 0) + fit.executive_large * large)
    total += _effect(fit.channel, leads.channel) + small * _effect(fit.channel_small, leads.channel)
    total += large * _effect(fit.channel_large, leads.channel)
    total += _effect(fit.industry, industry) + _effect(fit.tool, leads.tool)
    total += fit.free_mail * leads.free_mail
    return (fit.scale * total).astype(np.float32)


def _of_account(levels: Levels, leads: Leads) -> Levels:
    return np.where(leads.account >= 0, levels[np.maximum(leads.account, 0)], MISSING).astype(np.int8)


def _effect(effects: tuple[float, ...], levels: Levels) -> NDArray[np.float64]:
    """The level's effect; MISSING (−1) takes the last one."""
    return np.array(effects)[levels]


def _levels(rng: np.random.Generator, shares: tuple[float, ...] | list[float], count: int) -> Levels:
    edges = np.cumsum(shares)
    return np.searchsorted(edges, rng.random(count) * edges[-1]).clip(0, len(edges) - 1).astype(np.int8)
