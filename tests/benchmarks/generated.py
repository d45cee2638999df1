"""A made-up history of any size as snapshot tables in Parquet: two years, 20 touchpoints a lead, a few with thousands.

Vectorised and seeded: the same sizes give the same files. Leads come in
evenly, act mostly soon after, are recorded late now and then, and share
accounts of very different size; touchpoints lie in the order they were
recorded, as a store writes them. The rows are a random sample of those that
training looks at: Mondays and instants after stage changes while a cycle is open.

`python -m tests.benchmarks.generated FOLDER TOUCHPOINTS ROWS` writes one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.tables import BY_NAME
from data.times import DAY, HOUR, SECOND, WEEK

MINUTE = 60 * SECOND
START = 1_696_172_400_000_000  # 2023-10-02 00:00 in Tokyo, a Monday
SPAN = 104 * WEEK
END = START + SPAN
TOUCHPOINTS_A_LEAD = 20
HEAVY_EVERY = 10_000
"""One lead in so many has HEAVY touchpoints."""
HEAVY = 3_000
LARGE_EVERY = 5_000
"""One account with LARGE leads for every so many leads."""
LARGE = 200
BLOCK = 1_000_000

_KINDS = (
    # kind, actor, share
    ("page_view", "lead", 34),
    ("email_sent", "company", 22),
    ("email_opened", "lead", 12),
    ("email_opened", "machine", 4),
    ("email_clicked", "lead", 6),
    ("pricing_view", "lead", 5),
    ("download", "lead", 4),
    ("ad_click", "lead", 4),
    ("call", "company", 3),
    ("inquiry", "lead", 2),
    ("seminar", "lead", 2),
    ("meeting", "company", 1),
    ("trade_show", "lead", 0.6),
    ("email_unsubscribed", "lead", 0.4),
)
_CHANNELS = ("web", "mail", "search_ad", "social", "event", "referral", "telephone", None)
_LEAD_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "channel": ("web", "mail", "search_ad", "social", "event"),
    "campaign": tuple(f"campaign-{n}" for n in range(40)),
    "job_title": tuple(f"title {n}" for n in range(60)),
    "job_title_band": ("一般", "係長", "課長", "部長", "役員"),
    "department": ("営業", "情報システム", "製造", "経理", "人事", "総務"),
    "free_mail": ("yes", "no"),
    "mail_matches_account": ("yes", "no"),
    "owner": tuple(f"owner-{n}" for n in range(30)),
}
_ACCOUNT_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "industry": tuple("ABCDEFGHIJKLMNOPQR"),
    "employee_band": ("1–29", "30–99", "100–299", "300–999", "1,000–4,999", "5,000+"),
    "prefecture": tuple(f"{n:02}" for n in range(1, 48)),
    "country": ("JP", "US", "KR"),
}


@dataclass(frozen=True)
class Leads:
    """One entry a lead, in order of creation; `account` is −1 where none is known."""

    created: np.ndarray
    account: np.ndarray
    closed: np.ndarray

    @property
    def count(self) -> int:
        return len(self.created)


def write_history(folder: Path, *, touchpoints: int, rows: int, seed: int = 1) -> None:
    """Writes `<table>.parquet` for each table of a snapshot that features read, and `rows.parquet`."""
    rng = np.random.default_rng(seed)
    leads = _leads(rng, touchpoints // TOUCHPOINTS_A_LEAD)
    _write_leads(folder, leads)
    mql = _write_stages(folder, rng, leads)
    _write_lead_attributes(folder, rng, leads)
    _write_account_attributes(folder, rng, int(leads.account.max()) + 1)
    _write_touchpoints(folder, rng, leads, touchpoints)
    _write_rows(folder, rng, leads, mql, rows)
    pq.write_table(BY_NAME["merges"].snapshot_schema().empty_table(), folder / "merges.parquet")


def _leads(rng: np.random.Generator, count: int) -> Leads:
    created = np.sort(START + rng.integers(0, SPAN - WEEK, count))
    closed = np.minimum(created + (rng.gamma(1.5, 12, count) * WEEK).astype(np.int64), END)
    return Leads(created, _accounts(rng, count), closed)


def _accounts(rng: np.random.Generator, count: int) -> np.ndarray:
    """Four leads in five have an account: most accounts have one to four leads, a few have LARGE."""
    large = max(1, count // LARGE_EVERY)
    account = large + (rng.random(count) * count / 3).astype(np.int64)
    of_large = rng.random(count) < large * LARGE / count
    account[of_large] = rng.integers(0, large, of_large.sum())
    account[rng.random(count) < 0.2] = -1
    return account


def _late(rng: np.random.Generator, count: int) -> np.ndarray:
    """How long after it happened a record is made: seconds, for one in twenty up to ten days."""
    lag = rng.integers(0, 5 * MINUTE, count)
    late = rng.random(count) < 0.05
    lag[late] = rng.integers(0, 10 * DAY, late.sum())
    return lag


def _write_leads(folder: Path, leads: Leads) -> None:
    ids, times = _lead_ids(np.arange(leads.count)), _times(leads.created, leads.created + 1)
    accounts = _named("A", leads.account)
    _write(folder, "leads", {"lead_id": ids, "account_id": accounts, **times})
    created = pa.DictionaryArray.from_arrays(pa.array(np.zeros(leads.count, np.int32)), pa.array(["created"]))
    _write(folder, "lead_cycles", {"cycle_id": ids, "lead_id": ids, "opened_by": created, **times})


def _write_stages(folder: Path, rng: np.random.Generator, leads: Leads) -> np.ndarray:
    """Every lead is new, half become MQL, a tenth are put off, all end; returns when each became MQL (0: never)."""
    everyone = np.arange(leads.count)
    mql = np.where(rng.random(leads.count) < 0.5, leads.created + (leads.closed - leads.created) // 3 + 1, 0)
    some = everyone[mql > 0]
    put_off = everyone[rng.random(leads.count) < 0.1]
    lead = np.concatenate([everyone, some, everyone, put_off])
    half_way = (leads.created + leads.closed)[put_off] // 2
    at = np.concatenate([leads.created, mql[some], leads.closed, half_way])
    ends = 2 + (rng.random(leads.count) < 0.9)
    stage = np.concatenate([np.zeros(leads.count), np.ones(len(some)), ends, np.full(len(put_off), 4)])
    stages = _taken(("new", "mql", "won", "lost", "recycled"), stage.astype(np.int32))
    why = np.where(stage >= 3, lead % 5, -1).astype(np.int32)
    said = pa.array(("no budget", "no answer", "too early", "other product", "no need"), pa.string())
    reasons = said.take(pa.array(why, mask=why < 0)).dictionary_encode()
    columns = {"lead_id": _lead_ids(lead), "stage": stages, "reason": reasons, **_times(at, at + MINUTE)}
    _write(folder, "stage_changes", columns)
    return mql


def _write_lead_attributes(folder: Path, rng: np.random.Generator, leads: Leads) -> None:
    """Known a while after creation; one department in ten changes later."""
    parts = []
    for name, values in _LEAD_ATTRIBUTES.items():
        lead = np.flatnonzero(rng.random(leads.count) < 0.9)
        if name == "department":
            lead = np.concatenate([lead, np.flatnonzero(rng.random(leads.count) < 0.1)])
        at = leads.created[lead] + rng.choice((0, 0, 0, 3 * DAY, 60 * DAY), len(lead))
        at += np.arange(len(lead))  # no two at one instant
        text = _taken(values, rng.integers(0, len(values), len(lead)).astype(np.int32))
        parts.append(_attribute(name, {"lead_id": _lead_ids(lead)}, at, at + _late(rng, len(lead)), text=text))
    lead = np.flatnonzero(rng.random(leads.count) < 0.5)
    at, length = leads.created[lead], pa.array(rng.integers(10, 900, len(lead)).astype(np.float64))
    parts.append(_attribute("message_length", {"lead_id": _lead_ids(lead)}, at, at, number=length))
    _write_parts(folder, "lead_attributes", parts)


def _write_account_attributes(folder: Path, rng: np.random.Generator, count: int) -> None:
    parts = []
    for name, values in _ACCOUNT_ATTRIBUTES.items():
        account = np.flatnonzero(rng.random(count) < 0.9)
        at = START + rng.integers(0, SPAN // 8, len(account))
        text = _taken(values, rng.integers(0, len(values), len(account)).astype(np.int32))
        parts.append(_attribute(name, {"account_id": _named("A", account)}, at, at, text=text))
    for name in ("employees", "annual_revenue"):
        account = np.flatnonzero(rng.random(count) < 0.7)
        at = START + rng.integers(0, SPAN // 2, len(account))
        number = pa.array(np.floor(rng.lognormal(5, 2, len(account))))
        parts.append(_attribute(name, {"account_id": _named("A", account)}, at, at, number=number))
    _write_parts(folder, "account_attributes", parts)


def _attribute(name: str, key: dict, occurred: np.ndarray, recorded: np.ndarray, **value: pa.Array) -> dict:
    return {**key, "name": _taken((name,), np.zeros(len(occurred), np.int32)), **value, **_times(occurred, recorded)}


def _write_touchpoints(folder: Path, rng: np.random.Generator, leads: Leads, count: int) -> None:
    lead = _acting(rng, leads.count, count)
    age = np.where(rng.random(count) < 0.7, rng.exponential(30, count), rng.uniform(0, 500, count)) * DAY
    occurred = leads.created[lead] + (age % np.maximum(END - leads.created[lead], DAY)).astype(np.int64)
    occurred -= rng.integers(0, 2, count) * rng.integers(0, 3 * HOUR, count)  # some act before they are known
    recorded = occurred + _late(rng, count)
    order = np.argsort(recorded, kind="stable")
    share = np.array([share for _kind, _actor, share in _KINDS])
    with pq.ParquetWriter(folder / "touchpoints.parquet", BY_NAME["touchpoints"].snapshot_schema()) as file:
        for first in range(0, count, BLOCK):
            block = order[first : first + BLOCK]
            size = len(block)
            kind = rng.choice(len(_KINDS), size, p=share / share.sum()).astype(np.int32)
            columns = {
                "lead_id": _lead_ids(lead[block]),
                "kind": _taken([kind for kind, _actor, _share in _KINDS], kind),
                "actor": _taken([actor for _kind, actor, _share in _KINDS], kind),
                "channel": _taken(_CHANNELS, rng.integers(0, len(_CHANNELS), size).astype(np.int32)),
                "campaign_id": _named("campaign-", rng.integers(-60, 80, size)),
                "detail": _named("/page/", rng.integers(-500, 500, size)),
                **_times(occurred[block], recorded[block]),
            }
            file.write_table(_table("touchpoints", columns, first))


def _acting(rng: np.random.Generator, leads: int, count: int) -> np.ndarray:
    """Which lead each touchpoint is of."""
    weight = rng.gamma(0.6, 1.0, leads)
    weight *= TOUCHPOINTS_A_LEAD / weight.mean()
    weight[HEAVY_EVERY // 2 :: HEAVY_EVERY] = HEAVY
    bounds = np.cumsum(weight)
    return np.searchsorted(bounds, rng.random(count) * bounds[-1]).astype(np.int64).clip(max=leads - 1)


def _write_rows(folder: Path, rng: np.random.Generator, leads: Leads, mql: np.ndarray, count: int) -> None:
    """A sample of the instants while a cycle is open, nine in ten of them Mondays; all of the busiest leads."""
    first_monday = (leads.created - START) // WEEK + 1
    mondays = np.minimum((leads.closed - START) // WEEK + 1 - first_monday, 52).clip(min=0)
    heavy = np.zeros(leads.count, bool)
    heavy[HEAVY_EVERY // 2 :: HEAVY_EVERY] = True
    lead = np.repeat(np.arange(leads.count), mondays)
    week = np.arange(len(lead)) - np.repeat(np.cumsum(mondays) - mondays, mondays)
    on_grid = lead, START + (first_monday[lead] + week) * WEEK
    changed = np.flatnonzero(mql > 0)
    after_change = changed, mql[changed] + MINUTE + 1
    all_heavy = heavy[on_grid[0]]
    left = count - int(all_heavy.sum())
    chosen = [tuple(part[all_heavy] for part in on_grid)]
    for instants, wanted in (
        (tuple(part[~all_heavy] for part in on_grid), left - left // 10),
        (after_change, left // 10),
    ):
        sample = rng.permutation(len(instants[0]))[:wanted]
        chosen.append(tuple(part[sample] for part in instants))
    lead, as_of = (np.concatenate(parts) for parts in zip(*chosen, strict=True))
    ids = _lead_ids(lead).cast(pa.string())
    table = pa.table({"lead_id": ids, "cycle_id": ids, "cycle_start": leads.created[lead], "as_of": as_of})
    pq.write_table(table, folder / "rows.parquet")


def _lead_ids(lead: np.ndarray) -> pa.Array:
    return _named("lead-", lead)


def _named(prefix: str, numbers: np.ndarray) -> pa.Array:
    """`prefix` and the number; null where it is negative."""
    known, codes = np.unique(np.maximum(numbers, 0), return_inverse=True)
    names = pa.array([f"{prefix}{number:08}" for number in known.tolist()])
    indices = pa.array(codes.astype(np.int32), mask=numbers < 0)
    return pa.DictionaryArray.from_arrays(indices, names)


def _taken(values: tuple | list, codes: np.ndarray) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(codes)).dictionary_encode()


def _times(occurred: np.ndarray, recorded: np.ndarray) -> dict[str, np.ndarray]:
    return {"occurred_at": occurred.astype(np.int64), "recorded_at": recorded.astype(np.int64)}


def _write(folder: Path, name: str, columns: dict) -> None:
    pq.write_table(_table(name, columns, 0), folder / f"{name}.parquet")


def _write_parts(folder: Path, name: str, parts: list[dict]) -> None:
    with pq.ParquetWriter(folder / f"{name}.parquet", BY_NAME[name].snapshot_schema()) as file:
        first = 0
        for columns in parts:
            table = _table(name, columns, first)
            file.write_table(table)
            first += table.num_rows


def _table(name: str, columns: dict, first: int) -> pa.Table:
    """The columns as the table's snapshot schema has them; those not given are null."""
    schema = BY_NAME[name].snapshot_schema()
    count = len(columns["occurred_at"])
    numbers = np.arange(first, first + count).astype("U")
    columns = {"source": _taken(("bench",), np.zeros(count, np.int32)), "source_id": pa.array(numbers), **columns}
    arrays = []
    for field in schema:
        column = columns.get(field.name)
        array = pa.nulls(count, field.type) if column is None else column
        arrays.append((pa.array(array) if isinstance(array, np.ndarray) else array).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    write_history(Path(sys.argv[1]), touchpoints=int(sys.argv[2]), rows=int(sys.argv[3]))
