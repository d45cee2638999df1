"""From evidence to words: what blocks a column, what flags it, what is merely worth knowing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.company import Target
from features.declaration import Declaration
from features.existence import (
    UNLIKELY,
    Filled,
    all_alike,
    filled_late,
    only_once_over,
    only_stated_with_outcome,
    only_with_outcome,
    only_without_outcome,
    wanting_while_open,
)
from features.leaks import LEAST_OUTCOMES, Strength, forward_strength, is_missing
from features.shifts import Shift

STRONG_ALONE = 0.75
"""AUC that a column must surely exceed to be flagged: as good as whole honest models are forward in time."""
TELLING_GAP = 0.70
"""Likewise of whether it is missing: filled 40 points more often for one outcome than for the other."""
NEVER_FILLED = "never filled"
NEARLY_ALL = 0.9
"""Of the leads with one value, those that reached the outcome within the horizon; some reach it after."""
THE_FUNNEL_ITSELF = ("stage", "stage_age", "lead_age", "times_recycled", "return_reason")
"""Kinds that say how far a lead has come: strong by nature."""


@dataclass(frozen=True)
class Looks:
    """What the values of one column show; all None where nothing was looked at."""

    strength: Strength | None = None
    gap: Strength | None = None
    level: tuple[str, int, int] | None = None
    """A value that (nearly) only leads with the outcome have, how many have it, and how many of those the outcome."""


def column_values(column: pd.Series, d: Declaration) -> npt.NDArray:
    """float64 with NaN, or text with None."""
    if d.is_category:
        return column.astype(object).where(column.notna(), None).to_numpy(dtype=object)
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def looks_of(features: list[Declaration], target: Target, sample: pd.DataFrame) -> Looks:
    """Of the strongest of the features that read one column."""
    label, at = sample["label"].to_numpy(np.float64), sample["as_of"].to_numpy(np.int64)
    after, rows_a_lead = target.horizon + target.recording_lag, len(sample) / max(sample["cycle_id"].nunique(), 1)
    values = [column_values(sample[d.name], d) for d in features if d.kind != "missing"]
    strong = [d.kind not in THE_FUNNEL_ITSELF for d in features if d.kind != "missing"]
    strengths = [forward_strength(v, label, at, after, rows_a_lead) for v, s in zip(values, strong, strict=True) if s]
    gaps = [forward_strength(is_missing(v), label, at, after, rows_a_lead) for v in values]
    first = ~sample["later"].to_numpy(bool)
    levels = [telling_level(v[first], label[first]) for v in values if v.dtype.kind == "O"]
    return Looks(_strongest(strengths), _strongest(gaps), next((found for found in levels if found), None))


def telling_level(values: npt.NDArray, label: npt.NDArray[np.float64]) -> tuple[str, int, int] | None:
    """The commonest value of a category that all but a few with the outcome alone have, beyond chance; one row a lead.

    Only with the outcome: where outcomes are rare, many an honest level has none.
    """
    counts = pd.DataFrame({"value": values, "label": label}).groupby("value")["label"].agg(["count", "sum"])
    likely = UNLIKELY / max(len(counts), 1)
    counts = counts[(counts["count"] >= LEAST_OUTCOMES) & (counts["sum"] >= NEARLY_ALL * counts["count"])]
    for value, found in counts.sort_values("count", ascending=False).iterrows():
        if all_alike(int(label.sum()), len(label), int(found["count"])) < likely:
            return str(value), int(found["count"]), int(found["sum"])
    return None


def _strongest(found: list[Strength | None]) -> Strength | None:
    return max((s for s in found if s), key=lambda s: s.low, default=None)


def blocks_of(filled: Filled | None, matured: Filled | None, *, known_later: bool) -> list[str]:
    """What timing and existence show. A column `known_later` is later than all outcomes before it, and harmless."""
    if filled is None:
        return []
    found = [
        _only_with(filled),
        _only_without(matured) if matured else "",
        "" if known_later else _once_over(filled),
        "" if known_later else _late(filled),
    ]
    return [text for text in found if text]


def _only_with(f: Filled) -> str:
    of_all = f"against {f.outcomes:,} of {f.leads:,} leads in all"
    if only_with_outcome(f):
        share = f"{f.outcomes_with_value:,} of {f.with_value:,} leads that have it reached it"
        return f"exists only with the outcome: {share}, {of_all}"
    if only_stated_with_outcome(f):
        share = f"{f.outcomes_stated:,} of {f.stated:,} leads that its rows speak of reached it"
        return f"its rows exist only with the outcome: {share}, {of_all}"
    return ""


def _only_without(f: Filled) -> str:
    if not only_without_outcome(f):
        return ""
    return (
        f"exists only without the outcome: {f.outcomes_with_value:,} of {f.with_value:,} leads that "
        f"have it reached the outcome, against {f.outcomes:,} of {f.leads:,} in all"
    )


def _once_over(f: Filled) -> str:
    if not only_once_over(f) or only_with_outcome(f):
        return ""
    return (
        f"exists only once a lead is over: {f.open_with_value:,} open leads have it, where {f.open_expected:,.0f} "
        "would if they had it as often as leads of the same weeks that are over"
    )


def _late(f: Filled) -> str:
    if not filled_late(f):
        return ""
    if f.after * f.ended_with_value >= f.after_end * f.outcomes_with_value:
        share = f"{f.after:,} of {f.outcomes_with_value:,} leads that have both"
        return f"first filled at or after the outcome for {share}"
    return f"first filled at or after the end of the lead for {f.after_end:,} of {f.ended_with_value:,} that have both"


def flags_of(looks: Looks, filled: Filled | None) -> list[str]:
    """What honest columns may show as well, though seldom."""
    found = []
    s, gap = looks.strength, looks.gap
    if s and s.low >= STRONG_ALONE:
        found.append(f"alone {_ranks(s)} ({s.outcomes:,} outcomes)")
    if gap and gap.low >= TELLING_GAP:
        found.append(f"whether it is missing {_ranks(gap)} ({gap.outcomes:,} outcomes)")
    if looks.level:
        value, count, outcomes = looks.level
        found.append(
            f"one value is had (nearly) only with the outcome: {value!r}; {outcomes:,} of {count:,} leads that have it "
            "reached it"
        )
    if filled and wanting_while_open(filled) and not only_once_over(filled):
        found.append(
            f"seems to be filled when a lead ends: {filled.open_with_value:,} open leads have it, where at least "
            f"{filled.open_expected_least:,.0f} would if they had it as often as either outcome of the same weeks"
        )
    return found


def _ranks(s: Strength) -> str:
    which = "later outcomes" if s.forward else "outcomes (not forward in time: the order of rows offers none)"
    return f"ranks {which} with AUC {s.auc:.2f}, surely above {s.low:.2f}"


def notes_of(filled: Filled | None, moved: Shift | None) -> tuple[str, ...]:
    notes = []
    if filled and not filled.with_value:
        notes.append(NEVER_FILLED)
    if moved and moved.unusual:
        notes.append(
            f"looks otherwise today than in the past: PSI {moved.today:.2f} against at most {moved.past:.2f} before; "
            f"filled for {100 * moved.filled_before:.0f}% then and {100 * moved.filled_today:.0f}% today"
        )
    return tuple(notes)
