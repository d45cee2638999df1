"""Outcome labels of as-of rows, and whether they can be known yet.

A row's label is 1 when its lead reached the target's stage (or a later stage
of the funnel) in [as_of, as_of + horizon), else 0. It is matured at T when
as_of + horizon + recording lag ≤ T. Rows that are not matured are left out
whole, those with an early win too: keeping only the early answers would make
the newest rows look like winners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from data.company import Company, Target
from data.people.merges import Subject, families, merges_of
from data.tables import STAGES

UNLIKELY = 1e-6
"""Chance below which leads without any recorded outcome are taken as a gap in recording."""

NEVER = -1
"""In `reached_at`: the outcome did not come within the horizon."""

_ASCENT = ("new", "mql", "sql", "opportunity", "won")


@dataclass(frozen=True)
class Labelled:
    """`rows` are the usable ones with `label` (0.0 or 1.0), `reached_at` (microseconds or NEVER) and `matured_at`.

    The counts say what became of the rest.
    """

    rows: pd.DataFrame
    immature: int
    past_target: int
    before_recording: int
    recorded_from: int | None
    """Microseconds: outcomes were recorded only from then on; None where there is no such gap."""
    detected: bool
    """True when that gap was found here, not declared."""


def reaching_stages(target: Target) -> tuple[str, ...]:
    """The stages whose entry means the target is reached: its own, and any later one of the ascent.

    >>> reaching_stages(Target("sql", "sql", 0))
    ('sql', 'opportunity', 'won')
    """
    if target.stage not in _ASCENT:
        return (target.stage,)
    return _ASCENT[_ASCENT.index(target.stage) :]


def matured_at(as_of: np.ndarray, target: Target) -> np.ndarray:
    """Microseconds from which the label of a row that stands at `as_of` is known."""
    return as_of + target.horizon + target.recording_lag


def label_rows(
    rows: pd.DataFrame, stage_changes: pd.DataFrame, target: Target, company: Company, *, as_of: int
) -> Labelled:
    """Labels rows (lead_id, cycle_id, cycle_start, as_of) from the stage changes recorded before `as_of`.

    Rows whose cycle had reached the target before they stand are out, whenever
    that was recorded; so are rows before outcomes were recorded at all
    (`company.history_from["stage_changes"]`, or found by `recording_began`).
    """
    reached = _reached(stage_changes, target, as_of)
    marked = _marked(rows, reached, target)
    mature = marked["matured_at"] <= as_of
    past = marked["past"] & mature
    usable = marked[mature & ~marked["past"]]
    declared = company.history_from.get("stage_changes")
    began = declared if declared is not None else recording_began(usable, reached)
    early = usable["as_of"] < began if began is not None else np.zeros(len(usable), dtype=bool)
    return Labelled(
        rows=usable[~early].drop(columns="past").reset_index(drop=True),
        immature=int((~mature).sum()),
        past_target=int(past.sum()),
        before_recording=int(np.sum(early)),
        recorded_from=began,
        detected=declared is None and began is not None,
    )


def before_target(rows: pd.DataFrame, stage_changes: pd.DataFrame, target: Target, *, as_of: int) -> pd.DataFrame:
    """The rows whose cycle had not reached the target when they stand, matured or not."""
    marked = _marked(rows, _reached(stage_changes, target, as_of), target)
    return rows.reset_index(drop=True)[~marked["past"].to_numpy()]


def recording_began(rows: pd.DataFrame, reached: pd.DataFrame) -> int | None:
    """When outcomes began to be recorded, where leads before that have none although they should.

    With the rate of later cycles, the chance that so many earlier cycles had
    no outcome must be below one in a million.
    """
    if reached.empty or rows.empty:
        return None
    first = int(reached["occurred_at"].min())
    cycles = rows.groupby("cycle_id", sort=False).agg(ended=("matured_at", "min"), label=("label", "max"))
    begun = rows.groupby("cycle_id", sort=False)["as_of"].min() >= first
    silent, later = int((cycles["ended"] <= first).sum()), cycles.loc[begun, "label"]
    if not silent or not len(later) or later.mean() >= 1:
        return None
    return first if silent * np.log1p(-later.mean()) < np.log(UNLIKELY) else None


def outcome_groups(leads: pd.DataFrame, merges: pa.Table) -> pd.Series:
    """A whole number per lead_id: leads of one account or one person share it.

    So do those that were ever merged, whether or not that was taken back:
    nobody may stand in both halves of a split.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    newest = leads.drop_duplicates("lead_id", keep="last").reset_index(drop=True)
    size = len(newest)
    edges: list[tuple[np.ndarray, np.ndarray]] = []
    subjects: tuple[Subject, ...] = ("lead", "person", "account")
    for subject in subjects:
        codes, levels = pd.factorize(_family(newest[f"{subject}_id"], merges, subject))
        known = np.flatnonzero(codes >= 0)
        edges.append((known, codes[known] + size))
        size += len(levels)
    start, end = (np.concatenate([e[side] for e in edges]) for side in (0, 1))
    graph = coo_matrix((np.ones(len(start)), (start, end)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][: len(newest)]
    return pd.Series(component, index=newest["lead_id"])


def _family(ids: pd.Series, merges: pa.Table, subject: Subject) -> pd.Series:
    """Each id, or one that stands for all that it was ever merged with."""
    kin = families(merges_of(merges, subject))
    return ids.map(lambda one: min(kin.get(one, (one,))), na_action="ignore") if kin else ids


def _reached(stage_changes: pd.DataFrame, target: Target, as_of: int) -> pd.DataFrame:
    counts = stage_changes["stage"].isin(reaching_stages(target)) & (stage_changes["recorded_at"] < as_of)
    return stage_changes.loc[counts & (stage_changes["occurred_at"] < as_of), ["lead_id", "occurred_at"]]


def _marked(rows: pd.DataFrame, reached: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Rows with `label`, `reached_at`, `past`, `matured_at`; one pass over (row, event of its lead) pairs."""
    marked = rows.reset_index(drop=True)
    pairs = marked[["lead_id", "cycle_start", "as_of"]].reset_index().merge(reached, on="lead_id")
    inside = (pairs["occurred_at"] >= pairs["as_of"]) & (pairs["occurred_at"] < pairs["as_of"] + target.horizon)
    before = (pairs["occurred_at"] >= pairs["cycle_start"]) & (pairs["occurred_at"] < pairs["as_of"])
    first = pairs[inside].groupby("index")["occurred_at"].min().reindex(marked.index, fill_value=NEVER)
    return marked.assign(
        label=_any_of(pairs.loc[inside, "index"], len(marked)).astype(np.float64),
        reached_at=first.to_numpy(dtype=np.int64),
        past=_any_of(pairs.loc[before, "index"], len(marked)),
        matured_at=matured_at(marked["as_of"].to_numpy(), target),
    )


def _any_of(positions: pd.Series, size: int) -> np.ndarray:
    found = np.zeros(size, dtype=bool)
    found[positions.to_numpy(dtype=np.intp)] = True
    return found


assert set(_ASCENT) <= set(STAGES)
