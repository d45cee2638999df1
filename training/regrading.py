"""What a promotion would change for people: which open leads get another grade, and which way."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd
from ibis.backends.duckdb import Backend
from scipy.special import expit

from data.home import Home
from data.store.snapshots import Snapshot
from features.as_of import ROW_COLUMNS, creation_rows, open_rows
from features.engine import feature_values, local_engine
from features.merged import followed_changes
from training.bundle import Bundle
from training.outcomes import before_target
from training.policy import Policy
from training.rows import feature_columns

MOST_LEADS = 20_000
"""Open leads that are looked at; more are sampled by a hash of their ids."""
EXAMPLES = 3


@dataclass(frozen=True)
class Example:
    lead_id: str
    before: float
    after: float
    """Probabilities; of an unproven scorer the same map without that claim."""


@dataclass(frozen=True)
class Move:
    """The leads that go from one grade to another, those whose probability moves most first."""

    grade_before: str
    grade_after: str
    leads: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Regraded:
    population: str
    """Which leads were looked at, in words."""
    leads: int
    of: int
    """Leads there are in all, where `leads` is a sample."""
    moves: tuple[Move, ...]
    newly_handed_over: int
    """Leads at or above the new threshold that were below the old one."""
    no_longer_handed_over: int

    @property
    def changed(self) -> int:
        return sum(move.leads for move in self.moves)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def regraded(
    snapshot: Snapshot,
    champion: tuple[Bundle, Policy],
    challenger: tuple[Bundle, Policy],
    *,
    as_of: int,
    home: Home | None = None,
) -> Regraded:
    """The open leads of today under both; where none is open (finished data), the newest ones as created."""
    connection = local_engine(home, threads=2)
    rows, words, there = _asked(connection, snapshot, challenger[0], as_of)
    lead_ids = rows["lead_id"].to_numpy(dtype=object)
    before, after = (_probabilities(connection, snapshot, rows, bundle) for bundle, _ in (champion, challenger))
    return grade_changes(lead_ids, before, after, champion[1], challenger[1], population=words, of=there)


def grade_changes(
    lead_ids: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    old: Policy,
    new: Policy,
    *,
    population: str,
    of: int,
) -> Regraded:
    """Probabilities [n] before and after, each judged by the policy that goes with it."""
    grades = [(old.grade(p), new.grade(q)) for p, q in zip(before.tolist(), after.tolist(), strict=True)]
    counts = Counter(pair for pair in grades if pair[0] != pair[1])
    moves = []
    for (was, becomes), leads in sorted(counts.items()):
        inside = np.flatnonzero([pair == (was, becomes) for pair in grades])
        largest = inside[np.argsort(-np.abs(after[inside] - before[inside]), kind="stable")][:EXAMPLES]
        shown = tuple(Example(str(lead_ids[i]), float(before[i]), float(after[i])) for i in largest)
        moves.append(Move(was, becomes, leads, shown))
    above_before, above_after = before >= old.threshold, after >= new.threshold
    return Regraded(
        population=population,
        leads=len(lead_ids),
        of=of,
        moves=tuple(moves),
        newly_handed_over=int((~above_before & above_after).sum()),
        no_longer_handed_over=int((above_before & ~above_after).sum()),
    )


def _asked(connection: Backend, snapshot: Snapshot, bundle: Bundle, as_of: int) -> tuple[pd.DataFrame, str, int]:
    """(rows, which leads they are, how many there are in all)."""
    tables = snapshot.tables(connection)
    changes = followed_changes(tables, as_of=as_of).select("lead_id", "stage", "occurred_at", "recorded_at")
    rows = open_rows(tables, as_of=as_of).to_pandas()
    if snapshot.company.time == "row" and len(rows):
        created = creation_rows(tables, as_of=as_of).to_pandas()
        rows = created[created["lead_id"].isin(set(rows["lead_id"]))]
    rows = before_target(rows, changes.to_pandas(), bundle.target_definition, as_of=as_of)
    words = "open leads"
    if not len(rows):
        rows = creation_rows(tables, as_of=as_of).to_pandas()
        rows, words = rows.nlargest(MOST_LEADS // 10, "as_of"), "newest leads, as created (none is open)"
    chosen = np.argsort(pd.util.hash_pandas_object(rows["lead_id"], index=False).to_numpy(), kind="stable")
    kept = rows.iloc[chosen[:MOST_LEADS]].sort_values(["lead_id", "as_of"], ignore_index=True)
    return kept[list(ROW_COLUMNS)], words, len(rows)


def _probabilities(connection: Backend, snapshot: Snapshot, rows: pd.DataFrame, bundle: Bundle) -> np.ndarray:
    if rows.empty:
        return np.zeros(0)
    tables = snapshot.tables(connection)
    asked = ibis.memtable(rows)
    found = feature_values(connection, tables, asked, bundle.declarations, snapshot.company).to_pandas()
    whole = rows.merge(found, on=list(ROW_COLUMNS), how="left", validate="one_to_one")
    columns = feature_columns(whole, bundle.declarations)
    return np.asarray(expit(bundle.scorer.margins([columns[d.name] for d in bundle.declarations], threads=2)))
