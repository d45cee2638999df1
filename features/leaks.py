"""Evidence that a column knows the outcome: pure functions from arrays to figures.

Two tests need no model of the world. *Timing*: a value first filled at or
after the outcome cannot have helped before it. *Existence*: a value that only
leads of one outcome have was written because of that outcome. The third,
*strength* alone forward in time, is only a hint: honest columns can be strong.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BLOCKS = 5
FIRST_BLOCK = 0.4
"""The oldest two fifths of the rows are only learned from; the rest are predicted block by block, each from its
past."""
LEAST_OUTCOMES = 20
"""In what is learned from and in each block; likewise of the rest."""
BINS = 20
SMOOTHING = 20.0
"""Rows' worth of the base rate that each level or bin is mixed with."""


@dataclass(frozen=True)
class Strength:
    """How well one column alone ranks outcomes it has not seen: median AUC over the blocks."""

    auc: float
    blocks: int
    rows: int
    outcomes: int


def forward_strength(values: npt.NDArray[Any], label: Floats, at: Integers, known_after: int) -> Strength | None:
    """Strength of `values` (float64, or text or None) for `label`; None where there are too few outcomes.

    Rows stand at `at`; a row's label is learned from `known_after`
    microseconds later.
    """
    order = np.argsort(at, kind="stable")
    values, label, at = values[order], label[order], at[order]
    edges = (len(at) * np.linspace(FIRST_BLOCK, 1.0, BLOCKS + 1)).astype(int)
    found, rows, outcomes = [], 0, 0
    for start, end in pairwise(edges):
        past = slice(0, int(np.searchsorted(at, at[start] - known_after, side="right"))) if start < end else slice(0)
        if not (_enough(label[past]) and _enough(label[start:end])):
            continue
        found.append(auc(encoded(values[past], label[past], values[start:end]), label[start:end]))
        rows, outcomes = rows + int(end - start), outcomes + int(label[start:end].sum())
    return Strength(float(np.median(found)), len(found), rows, outcomes) if found else None


def _enough(label: Floats) -> bool:
    return LEAST_OUTCOMES <= label.sum() <= len(label) - LEAST_OUTCOMES


def encoded(past: npt.NDArray[Any], label: Floats, values: npt.NDArray[Any]) -> Floats:
    """`values` as the smoothed rate of their level or bin in the past; unseen levels as the base rate."""
    if past.dtype.kind == "f":
        past, values = _binned(past, past), _binned(past, values)
    base = float(label.mean())
    sums: dict[Any, float] = {}
    counts: dict[Any, float] = {}
    for level, outcome in zip(past.tolist(), label.tolist(), strict=True):
        sums[level] = sums.get(level, 0.0) + outcome
        counts[level] = counts.get(level, 0.0) + 1.0
    rates = {level: (sums[level] + SMOOTHING * base) / (counts[level] + SMOOTHING) for level in sums}
    return np.array([rates.get(level, base) for level in values.tolist()], dtype=np.float64)


def _binned(past: Floats, values: Floats) -> npt.NDArray[Any]:
    """Bin numbers by the quantiles of the past; −1 where missing."""
    present = past[~np.isnan(past)]
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])) if len(present) else np.empty(0)
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))


def auc(scores: Floats, label: Floats) -> float:
    """Chance that a row with the outcome scores above one without, ties half (Mann-Whitney)."""
    _levels, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = label.sum()
    return float((ranks[label == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(label) - positive)))


def is_missing(values: npt.NDArray[Any]) -> Floats:
    """1.0 where there is no value."""
    if values.dtype.kind == "f":
        return np.isnan(values).astype(np.float64)
    return np.array([value is None for value in values.tolist()], dtype=np.float64)


@dataclass(frozen=True)
class Filled:
    """Who has a value of one attribute, among leads whose outcome is known."""

    leads: int
    """Leads in all."""
    outcomes: int
    """Of those, leads with the outcome."""
    with_value: int
    outcomes_with_value: int
    after: int
    """Leads with the outcome whose first value came at or after it."""


LATE_SHARE = 0.5
EXCLUSIVE_SHARE = 0.98
UNLIKELY = 1e-6
"""Chance below which one-sidedness is no accident."""


def filled_late(filled: Filled) -> bool:
    """Whether most leads with the outcome got their value only at or after it."""
    enough = filled.outcomes_with_value >= LEAST_OUTCOMES
    return enough and filled.after >= LATE_SHARE * filled.outcomes_with_value


def only_with_outcome(filled: Filled) -> bool:
    """Whether all but a few of those with a value have the outcome, which at the base rate would be UNLIKELY."""
    exclusive = filled.outcomes_with_value >= EXCLUSIVE_SHARE * filled.with_value
    return exclusive and _all_alike(filled.outcomes, filled) < UNLIKELY


def only_without_outcome(filled: Filled) -> bool:
    """Whether next to none of those with a value have the outcome, which at the base rate would be UNLIKELY."""
    expected = filled.with_value * filled.outcomes / max(filled.leads, 1)
    exclusive = filled.outcomes_with_value <= (1 - EXCLUSIVE_SHARE) * expected
    return exclusive and _all_alike(filled.leads - filled.outcomes, filled) < UNLIKELY


def _all_alike(alike: int, filled: Filled) -> float:
    """Chance that as many leads as have a value, drawn at random, were all among the `alike`."""
    return float((alike / max(filled.leads, 1)) ** filled.with_value)
