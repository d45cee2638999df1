"""Random small companies: the same records as one LeadHistory a lead and as the tables of a snapshot.

Instants are drawn near each other and on the edges of windows, so that ties,
equal timestamps, late and backdated records are the rule.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import ibis
import pyarrow as pa

from data.records import AccountSummary, Attribute, LeadHistory, Sibling, StageChange, Touchpoint
from data.tables import BY_NAME

DAY = 86_400_000_000
MOMENTS = (
    1_709_208_000_000_000,  # 2024-02-29 12:00 UTC, a leap day
    1_711_846_800_000_000,  # 2024-03-31 01:00 UTC: Berlin's clocks go forward
    1_729_990_800_000_000,  # 2024-10-27 01:00 UTC: and back
    1_735_657_200_000_000,  # 2025-01-01 00:00 in Tokyo
    1_740_322_800_000_000,  # 2025-02-24 00:00 in Tokyo, a Monday
)
AGES = (
    0,
    1,
    2,
    DAY - 1,
    DAY,
    DAY + 1,
    7 * DAY,
    7 * DAY + 1,
    30 * DAY,
    30 * DAY + 1,
    90 * DAY,
    365 * DAY,
    365 * DAY + 1,
    3_650 * DAY,
)
KINDS = (
    "page_view",
    "pricing_view",
    "download",
    "email_sent",
    "email_clicked",
    "email_unsubscribed",
    "meeting",
    "自社種別",
)
STAGES = ("new", "mql", "sql", "opportunity", "won", "lost", "recycled", "demo")
REASONS = (None, "予算なし", "no answer", "Ärger")
TEXTS = ("", "a", "ab", "é", "髙", "部長", "役員", "yes", "𠮷野家")

Choose = Callable[[Sequence], object]
"""Picks one: `random.choice`, or hypothesis drawing from `sampled_from`."""


@dataclass(frozen=True)
class World:
    """Leads with their accounts; ids are unique across worlds with different `name`."""

    name: str
    as_of: int
    leads: tuple[LeadHistory, ...]
    account_of: dict[str, str | None]


def world(choose: Choose, name: str, size: int = 3, busy: int = 6) -> World:
    as_of = choose(MOMENTS)
    accounts = {account: account_attributes(choose, as_of) for account in (f"{name}/x", f"{name}/y")}
    bare = [lead(choose, f"{name}/{number}", as_of, busy) for number in range(choose(range(1, size + 1)))]
    account_of = {h.lead_id: choose((None, *accounts)) for h in bare}
    return World(name, as_of, tuple(with_account(h, bare, account_of, accounts) for h in bare), account_of)


def lead(choose: Choose, lead_id: str, as_of: int, busy: int) -> LeadHistory:
    def moments():
        occurred = instant(choose, as_of)
        return occurred, occurred + choose((0, 0, 1, DAY, -DAY, 40 * DAY))

    def many(build, most):
        return tuple(build(*moments()) for _ in range(choose(range(most + 1))))

    stages = many(lambda o, r: StageChange(choose(STAGES), o, r, choose(REASONS)), 4)
    return LeadHistory(
        lead_id,
        *moments(),
        cycles=tuple((s.occurred_at, s.recorded_at) for s in stages if s.stage == "recycled"),
        stages=stages,
        touchpoints=many(lambda o, r: touchpoint(choose, o, r), busy),
        attributes=many(lambda o, r: attribute(choose, LEAD_ATTRIBUTES, o, r), 5),
    )


def instant(choose: Choose, as_of: int) -> int:
    return as_of - choose(AGES) + choose((0, 0, 0, 1, -1, 3 * DAY, -3 * DAY))


LEAD_ATTRIBUTES = ("job_title_band", "department", "free_mail", "message_length", "渇望度", "signed", "note")
ACCOUNT_ATTRIBUTES = ("industry", "employees")


def touchpoint(choose: Choose, occurred: int, recorded: int) -> Touchpoint:
    return Touchpoint(
        choose(KINDS),
        choose(("lead", "lead", "company", "machine")),
        occurred,
        recorded,
        choose((None, "web", "mail", "展示会")),
        choose((None, "c1", "c2")),
        choose((None, "", "/p")),
    )


def attribute(choose: Choose, names: Sequence[str], occurred: int, recorded: int) -> Attribute:
    text, number = choose(((None, None), (choose(TEXTS), None), (None, choose((0.0, 1.5, -3.0, 1.7e15)))))
    return Attribute(choose(names), occurred, recorded, text, number)


def account_attributes(choose: Choose, as_of: int) -> tuple[Attribute, ...]:
    return tuple(
        attribute(choose, ACCOUNT_ATTRIBUTES, instant(choose, as_of), instant(choose, as_of))
        for _ in range(choose(range(4)))
    )


def with_account(history: LeadHistory, leads, account_of, accounts) -> LeadHistory:
    account = account_of[history.lead_id]
    if account is None:
        return history
    siblings = tuple(
        Sibling(other.lead_id, other.occurred_at, other.recorded_at, other.attributes, other.touchpoints)
        for other in leads
        if other is not history and account_of[other.lead_id] == account
    )
    return replace(history, account=AccountSummary(account, accounts[account], siblings))


def tables_of(worlds: Sequence[World], connection: ibis.BaseBackend, shuffle: random.Random | None = None) -> dict:
    """The worlds' records as snapshot tables of `connection` (DuckDB), in any order."""
    tables = {}
    for name, arrow in arrow_tables(worlds, shuffle).items():
        connection.con.register(f"{name}_arrow", arrow)
        connection.raw_sql(f"create table {name} as select * from {name}_arrow")
        tables[name] = connection.table(name)
    return tables


def arrow_tables(worlds: Sequence[World], shuffle: random.Random | None = None) -> dict[str, pa.Table]:
    rows: dict[str, list[dict]] = {name: [] for name in _TABLES}
    for w in worlds:
        for number, history in enumerate(w.leads):
            _add_lead(rows, history, w.account_of[history.lead_id])
            if history.account and not any(
                w.account_of[h.lead_id] == history.account.account_id for h in w.leads[:number]
            ):
                _add(rows, "account_attributes", history.account.attributes, account_id=history.account.account_id)
    tables = {}
    for name, records in rows.items():
        if shuffle:
            shuffle.shuffle(records)
        schema = BY_NAME[name].snapshot_schema()
        named = [{"source": "test", "source_id": str(n), **record} for n, record in enumerate(records)]
        tables[name] = pa.Table.from_pylist(named, schema=pa.schema([field.with_nullable(True) for field in schema]))
    return tables


_TABLES = ("leads", "lead_cycles", "lead_attributes", "account_attributes", "touchpoints", "stage_changes")


def _add_lead(rows, history: LeadHistory, account_id: str | None) -> None:
    own = {"lead_id": history.lead_id, "occurred_at": history.occurred_at, "recorded_at": history.recorded_at}
    rows["leads"].append({**own, "account_id": account_id})
    rows["lead_cycles"].append({**own, "cycle_id": history.lead_id, "opened_by": "created"})
    for number, (start, recorded) in enumerate(history.cycles):
        cycle = {"cycle_id": f"{history.lead_id}~{number}", "opened_by": "recycled"}
        rows["lead_cycles"].append({**own, **cycle, "occurred_at": start, "recorded_at": recorded})
    _add(rows, "stage_changes", history.stages, lead_id=history.lead_id)
    _add(rows, "touchpoints", history.touchpoints, lead_id=history.lead_id)
    _add(rows, "lead_attributes", history.attributes, lead_id=history.lead_id)


def _add(rows, table: str, records, **key) -> None:
    rows[table] += [{**{slot: getattr(r, slot) for slot in r.__slots__}, **key} for r in records]
