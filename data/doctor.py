"""The data doctor: what in a company's history would mislead a model, with evidence and what to do.

`examine` looks; `data/doctor_*.py` hold the examinations, pure functions from
frames to findings. The leak firewall over features is `features/firewall.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data import tables
from data.company import Company, Target
from data.home import Home

if TYPE_CHECKING:
    from data.store.operational import Store
    from data.store.snapshots import Snapshot

Level = Literal["ok", "warn", "refuse"]
LEVELS: tuple[Level, ...] = ("refuse", "warn", "ok")
"""Gravest first."""


@dataclass(frozen=True)
class Finding:
    """One thing found; `ok` findings are traps that are there and already avoided, or plain facts."""

    level: Level
    subject: str
    """Column, table or target."""
    what: str
    evidence: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class Ward:
    """History as of an instant, as frames; times are microseconds."""

    company: Company
    as_of: int
    leads: pd.DataFrame
    """lead_id, person_id, account_id, occurred_at, recorded_at; in order of creation."""
    stages: pd.DataFrame
    """lead_id, stage, occurred_at, recorded_at."""
    attributes: pd.DataFrame
    """lead_id, name, text, number, occurred_at: of leads."""
    touchpoints: pd.DataFrame
    """lead_id, actor, occurred_at, recorded_at."""

    @property
    def by_row(self) -> bool:
        return self.company.time == "row"

    def reached(self, target: Target) -> pd.Series:
        """When each lead, in the order of `leads`, first reached the target's stage; NaN where it has not."""
        first = self.stages[self.stages["stage"] == target.stage].groupby("lead_id")["occurred_at"].min()
        return pd.Series(self.leads["lead_id"].map(first).to_numpy("float64"))

    def matured(self, target: Target) -> np.ndarray:
        """Leads whose outcome window after creation, and the lag behind it, has passed."""
        if self.by_row:
            return np.ones(len(self.leads), bool)
        ends = self.leads["occurred_at"].to_numpy() + target.horizon + target.recording_lag
        return ends <= self.as_of

    def won(self, target: Target) -> np.ndarray:
        """Leads that reached the target within its horizon after creation."""
        delay = self.reached(target).to_numpy() - self.leads["occurred_at"].to_numpy()
        return np.nan_to_num(delay, nan=np.inf) < target.horizon

    @cached_property
    def first_values(self) -> pd.DataFrame:
        """lead_id, name, value as text: what was known of each lead at its creation."""
        order = self.attributes.sort_values("occurred_at", kind="stable")
        codes = pd.factorize(order["lead_id"])[0] * np.int64(1 << 20) + pd.factorize(order["name"])[0]
        first = order[~pd.Series(codes).duplicated().to_numpy()]
        figures = first["number"].astype(str).where(first["number"].notna(), "")
        return first.assign(value=first["text"].where(first["text"].notna(), figures))[["lead_id", "name", "value"]]


def examine(store: Store, snapshot: Snapshot, home: Home, *, as_of: int, now: int) -> list[Finding]:
    """Every finding about the history of `snapshot` known at `as_of`, gravest first.

    `store` and `now` are for what only they can tell: imports that came since.
    """
    from data import doctor_columns, doctor_labels, doctor_likeness, doctor_times
    from data.sources.profile import latest_profiles

    ward = admitted(snapshot, as_of)
    profiles = latest_profiles(home)
    found: list[Finding] = [
        *doctor_times.findings(ward, now),
        *doctor_labels.findings(ward),
        *doctor_likeness.findings(ward),
        *doctor_columns.findings(ward.company, profiles),
        *rejected_findings(home),
    ]
    return sorted(found, key=lambda f: LEVELS.index(f.level))


def admitted(snapshot: Snapshot, as_of: int) -> Ward:
    """The snapshot's frames with the records visible as of `as_of`."""
    leads = _frame(snapshot, tables.LEADS, as_of, ["lead_id", "person_id", "account_id", "occurred_at", "recorded_at"])
    return Ward(
        snapshot.company,
        as_of,
        leads.sort_values(["occurred_at", "recorded_at"], kind="stable").reset_index(drop=True),
        _frame(snapshot, tables.STAGE_CHANGES, as_of, ["lead_id", "stage", "occurred_at", "recorded_at"]),
        _frame(
            snapshot, tables.LEAD_ATTRIBUTES, as_of, ["lead_id", "name", "text", "number", "occurred_at", "recorded_at"]
        ),
        _frame(snapshot, tables.TOUCHPOINTS, as_of, ["lead_id", "actor", "occurred_at", "recorded_at"]),
    )


def _frame(snapshot: Snapshot, table: tables.Table, as_of: int, columns: list[str]) -> pd.DataFrame:
    parts = [pq.read_table(path, columns=columns) for path in snapshot.files(table.name)]
    schema = table.snapshot_schema()
    empty = pa.schema([schema.field(c).with_nullable(True) for c in columns]).empty_table()
    frame = pa.concat_tables([empty, *(p.cast(empty.schema) for p in parts)]).to_pandas()
    return frame[(frame["occurred_at"] < as_of) & (frame["recorded_at"] < as_of)]


def rejected_findings(home: Home) -> Iterable[Finding]:
    """What the newest import had to put aside."""
    newest = max(home.imports.glob("*"), default=None)
    path = newest / "rejected.csv" if newest else Path()
    if not path.is_file():
        return
    rejected = pd.read_csv(path, dtype=str, keep_default_na=False)
    common = (rejected["table"] + ": " + rejected["reason"]).value_counts().head(3)
    told = "; ".join(f"{count:,} × {reason}" for reason, count in common.items())
    yield Finding(
        "warn", "rejected rows", f"the newest import put {len(rejected):,} rows aside", told,
        f"look at {path.name} in its folder, correct the mapping or the file, import again",
    )  # fmt: skip


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"
