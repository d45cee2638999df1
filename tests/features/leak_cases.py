"""Invented companies with columns of known honesty, and what the leak firewall should say of each.

Every lead has a quality that no column shows whole; columns marked honest are
drawn from it and from nothing that came later, leaks from the outcome.
"""

from __future__ import annotations

import math

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from data.company import Company, CompanyColumn, Target
from data.tables import BY_NAME
from data.times import DAY, parse_instant
from features.catalogue import declarations
from features.firewall import Verdict, verdicts

START = parse_instant("2024-01-01T00:00+09:00")
DAYS = 700
AS_OF = START + DAYS * DAY
EMPTIED = AS_OF - 55 * DAY
TARGET = Target("won", "won", horizon=60 * DAY, recording_lag=0)

HONEST = {
    "noisy": "number",  # a weak hint
    "fair": "number",  # a good one: alone about .70
    "trend": "number",  # grows with the calendar, as the rate of wins does
    "rare": "category",  # one lead in a hundred has it
    "constant": "category",
    "id_like": "category",  # another text in every row
    "gaps": "number",  # forgotten a little more often for leads that come to nothing
    "new_field": "category",  # collected only since the middle of the history
    "dropped_field": "category",  # no longer collected
    "bought": "number",  # bought some days after creation, and dated so
    "junk": "category",  # one level never wins, honestly
    "emptied": "category",  # no longer collected since just before the newest leads: full in the past, empty today
}
LEAKS = {
    "after_win": ("category", "block"),  # dated a day after the outcome
    "winners_only": ("category", "block"),
    "nearly_winners_only": ("category", "block"),  # one in a hundred by mistake
    "lost_reason": ("category", "block"),
    "close_code": ("category", "block"),  # written when a lead is closed, either way; open leads have none
    "after_close": ("category", "block"),  # likewise, dated so
    "counter": ("number", "flag"),  # counts what the lead did, and went on counting after the win
    "status": ("category", "flag"),  # says the outcome in words
    "wiped": ("number", "flag"),  # emptied when a lead is lost
    "one_level": ("category", "flag"),  # one value in six of the winners, none of the others
    "half_written": ("category", "flag"),  # mostly filled when a lead is closed
}


def leads_of(seed: int, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    born = START + np.sort(rng.integers(0, DAYS * 24, count)) * (DAY // 24)
    when = (born - START) / (DAYS * DAY)
    quality = rng.normal(size=count)
    wins = rng.random(count) < 1 / (1 + np.exp(-(1.4 * quality - 2.2 + 0.8 * when)))
    ends = born + ((rng.lognormal(2.8, 0.7, count) + 1) * DAY).astype(np.int64)
    leads = pd.DataFrame({"lead_id": [f"L{n:05d}" for n in range(count)], "born": born, "when": when})
    return leads.assign(quality=quality, ends=ends, over=ends < AS_OF, wins=wins, won=wins & (ends < AS_OF))


def columns_of(leads: pd.DataFrame, seed: int) -> dict[str, tuple[pd.Series, pd.Series]]:
    """Name → (values, when they are dated)."""
    rng = np.random.default_rng([seed, 1])
    n, q, born, won, over = len(leads), leads["quality"], leads["born"], leads["won"], leads["over"]

    def chosen(*words: str) -> pd.Series:
        return pd.Series(rng.choice(words, n).astype(object))

    def some(values: object, share: object) -> pd.Series:
        return pd.Series(values).astype(object).where(pd.Series(rng.random(n) < share), None)

    lost = over & ~won
    active = (np.minimum(leads["ends"], AS_OF) - born) / DAY
    served = np.where(won, (AS_OF - leads["ends"]) / DAY, 0)
    status = pd.Series(np.select([won, lost], ["customer", "closed"], "working")).astype(object)
    junk = pd.Series(np.where(~leads["wins"] & (rng.random(n) < 0.15), "list bought", "web")).astype(object)
    values = {
        "noisy": 0.4 * q + rng.normal(size=n),
        "fair": 1.2 * q + rng.normal(size=n),
        "trend": leads["when"] * 10 + rng.normal(size=n),
        "rare": pd.Series(np.where(rng.random(n) < 0.01, "x", "y")).astype(object),
        "constant": chosen("x"),
        "id_like": pd.Series([f"v{k}" for k in rng.permutation(n)]),
        "gaps": some(rng.normal(size=n), 0.65 + 0.15 / (1 + np.exp(-q))),
        "new_field": chosen("a", "b").where(leads["when"] > 0.5, None),
        "dropped_field": chosen("a", "b").where(leads["when"] < 0.6, None),
        "bought": q * 0.5 + rng.normal(size=n),
        "junk": junk,
        "after_win": some(chosen("a", "b").where(won, None), 0.9),
        "winners_only": some(chosen("a", "b").where(won, None), 0.8),
        "nearly_winners_only": chosen("a", "b").where(won | (rng.random(n) < 0.01 * won.mean()), None),
        "lost_reason": some(chosen("price", "timing").where(lost, None), 0.8),
        "close_code": chosen("a", "b", "c").where(over, None),
        "after_close": chosen("a", "b", "c").where(over, None),
        "counter": pd.Series(rng.poisson(0.2 * np.minimum(active, 60) + 0.2 * served)).astype(float),
        "status": status.where(rng.random(n) > 0.05, "working"),
        "wiped": some(rng.normal(size=n), np.where(lost, 0.3, 0.95)),
        "one_level": pd.Series(np.where(won & (rng.random(n) < 1 / 6), "handover", chosen("a", "b"))),
        "half_written": chosen("a", "b").where(over | (rng.random(n) < 0.2), None),
        "emptied": chosen("a", "b").where(born < EMPTIED, None),
    }
    later = {
        "bought": born + (rng.integers(1, 10, n) * DAY),
        "after_win": leads["ends"] + DAY,
        "after_close": leads["ends"] + DAY,
    }
    return {name: (pd.Series(v), later.get(name, born)) for name, v in values.items()}


def company() -> Company:
    types = {**HONEST, **{name: kind for name, (kind, _) in LEAKS.items()}}
    columns = tuple(CompanyColumn(name, type=kind) for name, kind in types.items())  # type: ignore[arg-type]
    return Company(targets=(TARGET,), columns=columns)


def judged(seed: int, count: int = 2_500) -> dict[str, Verdict]:
    """The firewall's verdicts on one invented company, by column."""
    of = company()
    names = {c.name for c in of.columns}
    wanted = [d for d in declarations(of) if d.attribute in names]
    tables = tables_of(seed, count)
    return {v.subject: v for v in verdicts(tables.pop("connection"), tables, of, wanted, TARGET, as_of=AS_OF)}


def tables_of(seed: int, count: int) -> dict:
    leads = leads_of(seed, count)
    over = leads[leads["over"]]
    stages = over.assign(stage=np.where(over["won"], "won", "lost"), at=over["ends"])
    attributes = [
        pd.DataFrame({"lead_id": leads["lead_id"], "name": name, "at": at, "value": values})
        for name, (values, at) in columns_of(leads, seed).items()
    ]
    told = pd.concat(attributes)
    told = told[told["at"] < AS_OF]
    told = told.assign(
        text=[v if isinstance(v, str) else None for v in told["value"]],
        number=[v if isinstance(v, float) and not math.isnan(v) else None for v in told["value"]],
    )
    rows = {
        "leads": leads.assign(at=leads["born"]),
        "lead_cycles": leads.assign(at=leads["born"], cycle_id=leads["lead_id"], opened_by="created"),
        "stage_changes": stages,
        "lead_attributes": told,
    }
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET threads = 2")
    found: dict = {"connection": connection}
    for name in BY_NAME:
        connection.con.register(f"{name}_arrow", arrow_rows(name, rows.get(name)))
        connection.raw_sql(f"create table {name} as select * from {name}_arrow")
        found[name] = connection.table(name)
    return found


def arrow_rows(name: str, rows: pd.DataFrame | None) -> pa.Table:
    schema = pa.schema([field.with_nullable(True) for field in BY_NAME[name].snapshot_schema()])
    if rows is None:
        return schema.empty_table()
    rows = rows.assign(occurred_at=rows["at"], recorded_at=rows["at"], source="test", source_id=range(len(rows)))
    rows["source_id"] = rows["source_id"].astype(str)
    return pa.Table.from_pydict(
        {n: _nulls(rows[n]) if n in rows else [None] * len(rows) for n in schema.names}, schema=schema
    )


def _nulls(values: pd.Series) -> list:
    return [None if pd.isna(v) else v for v in values.tolist()]
