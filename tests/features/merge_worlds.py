"""Small companies some of whose leads and accounts are found to be the same; who is read as whom, asked anew."""

from __future__ import annotations

import random
from dataclasses import replace

import ibis
import pyarrow as pa

from data.people.merges import Merge
from data.records import AccountSummary, LeadHistory, Sibling
from data.tables import MERGES
from tests.features import oracle
from tests.features.worlds import Choose, World, world

DAY = oracle.DAY
Merges = list[tuple[str, Merge]]


def drawn_world(rng: random.Random, number: int) -> tuple[World, Merges]:
    """A world and merges of its leads and accounts around its as-of time, some of them taken back, some in rings."""
    w = world(rng.choice, f"m{number}", size=4)
    return w, merges_in(rng.choice, w, rng.randrange(4))


def merges_in(choose: Choose, w: World, count: int) -> Merges:
    """`count` merges of the world's leads and accounts, and of some that they are taken back."""
    merges: Merges = []
    for _ in range(count):
        subject = choose(["lead", "lead", "account"])
        ids = [h.lead_id for h in w.leads] if subject == "lead" else [f"{w.name}/x", f"{w.name}/y"]
        occurred = w.as_of + choose([-40 * DAY, -DAY, -1, 0, 1, DAY])
        recorded = occurred + choose([0, 0, 2 * DAY])
        merges.append((subject, Merge(choose(ids), choose(ids), False, occurred, recorded)))
        if choose((True, False, False)):
            merges.append(
                (subject, merges[-1][1]._replace(undone=True, occurred_at=occurred + DAY, recorded_at=recorded + DAY))
            )
    return merges


def read_as(merges: Merges, subject: str, one: str | None, t: int) -> str | None:
    """Follows, from `one`, the newest merge visible before t."""
    path = [one]
    while True:
        seen = [
            m for s, m in merges if s == subject and m.from_id == path[-1] and max(m.occurred_at, m.recorded_at) < t
        ]
        newest = max(seen, key=lambda m: (m.occurred_at, m.recorded_at, m.undone, m.into_id), default=None)
        if newest is None or newest.undone:
            return path[-1]
        if newest.into_id in path:
            return min(path[path.index(newest.into_id) :])
        path.append(newest.into_id)


def history_as_of(w: World, merges: Merges, lead: LeadHistory, t: int) -> LeadHistory | None:
    """The lead with all that is read as it by t; None where it is read as another one."""
    alike = {h.lead_id: [o for o in w.leads if read_as(merges, "lead", o.lead_id, t) == h.lead_id] for h in w.leads}
    standing = {h.lead_id: read_as(merges, "lead", h.lead_id, t) == h.lead_id for h in w.leads}
    if not standing[lead.lead_id]:
        return None

    def joined(of: LeadHistory) -> LeadHistory:
        return replace(
            of,
            touchpoints=tuple(p for o in alike[of.lead_id] for p in o.touchpoints),
            attributes=tuple(a for o in alike[of.lead_id] for a in o.attributes),
        )

    account = read_as(merges, "account", w.account_of[lead.lead_id], t) if w.account_of[lead.lead_id] else None
    if account is None:
        return replace(joined(lead), account=None)
    in_account = [
        h
        for h in w.leads
        if w.account_of[h.lead_id] and read_as(merges, "account", w.account_of[h.lead_id], t) == account
    ]
    others = [joined(h) for h in in_account if h is not lead and standing[h.lead_id]]
    siblings = tuple(Sibling(o.lead_id, o.occurred_at, o.recorded_at, o.attributes, o.touchpoints) for o in others)
    # Attributes belong to accounts, whether or not the lead they came with still stands.
    known = {w.account_of[h.lead_id]: h.account.attributes for h in w.leads if h.account}
    attributes = [a for name, own in known.items() if read_as(merges, "account", name, t) == account for a in own]
    return replace(joined(lead), account=AccountSummary(account, tuple(attributes), siblings))


def merge_rows(merges: Merges) -> pa.Table:
    records = [{"subject": s, "source": "test", "source_id": str(n), **m._asdict()} for n, (s, m) in enumerate(merges)]
    return pa.Table.from_pylist(records, schema=MERGES.snapshot_schema())


def with_merges(tables: dict, merges: Merges, connection: ibis.BaseBackend) -> dict:
    records = [{"subject": s, "source": "test", "source_id": str(n), **m._asdict()} for n, (s, m) in enumerate(merges)]
    arrow = pa.Table.from_pylist(records, schema=MERGES.snapshot_schema())
    connection.con.register("merges_arrow", arrow)
    connection.raw_sql("create table merges as select * from merges_arrow")
    return {**tables, "merges": connection.table("merges")}
