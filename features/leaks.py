"""Evidence that a column knows the outcome: pure functions from arrays to figures.

Tests that need no model of the world *block*. Timing: a value first filled at
or after the outcome, or the end, cannot have helped before it. Existence: a
value that only leads of one outcome have, or only leads that are over, was
written because of it. What honest columns can also show only *flags*:
strength alone forward in time, telling gaps, single values that only leads
with the outcome have. docs/leaks.md gives the reasons of every figure here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

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
SURE = 3.0
"""Standard errors that an AUC must lie above a threshold: by chance one column in 740 does."""
FOLDS = 2
"""Where the order of the rows is no use: every other row predicts the rest."""


@dataclass(frozen=True)
class Strength:
    """How well one column alone ranks outcomes it has not seen: mean AUC over blocks."""

    auc: float
    blocks: int
    rows: int
    outcomes: int
    error: float = 0.0
    """Standard error of `auc`."""
    forward: bool = True
    """False where the order of the rows offered no later outcomes to predict: folds were interleaved instead."""

    @property
    def low(self) -> float:
        """What the true AUC exceeds, nearly surely."""
        return self.auc - SURE * self.error


def forward_strength(
    values: npt.NDArray[Any], label: Floats, at: Integers, known_after: int, rows_a_lead: float = 1.0
) -> Strength | None:
    """Strength of `values` (float64, or text or None) for `label`; None where there are too few outcomes.

    Rows stand at `at`; a row's label is learned from `known_after`
    microseconds later. Several rows of one lead say hardly more than one:
    errors are those of `1 / rows_a_lead` as many.
    """
    order = np.argsort(at, kind="stable")
    values, label, at = levels_of(values[order]), label[order], at[order]
    blocks = list(_forward_blocks(label, at, known_after))
    forward = bool(blocks)
    found = [_block(values, label, past, ahead, rows_a_lead) for past, ahead in blocks or _interleaved(label)]
    if not found:
        return None
    aucs, errors = (np.array([f[i] for f in found]) for i in (0, 1))
    # Each stretch of time counts alike: a leak that fades while outcomes multiply is a leak all the same.
    error = float(np.sqrt(np.sum(errors**2))) / len(found)
    return Strength(float(aucs.mean()), len(found), sum(f[2] for f in found), sum(f[3] for f in found), error, forward)


def _forward_blocks(label: Floats, at: Integers, known_after: int) -> Iterator[tuple[Integers, Integers]]:
    edges = (len(at) * np.linspace(FIRST_BLOCK, 1.0, BLOCKS + 1)).astype(int)
    for start, end in pairwise(edges):
        if start == end:
            continue
        past = np.arange(int(np.searchsorted(at, at[start] - known_after, side="right")))
        if _enough(label[past]) and _enough(label[start:end]):
            yield past, np.arange(start, end)


def _interleaved(label: Floats) -> Iterator[tuple[Integers, Integers]]:
    places = np.arange(len(label))
    for fold in range(FOLDS):
        ahead = places % FOLDS == fold
        if _enough(label[ahead]) and _enough(label[~ahead]):
            yield places[~ahead], places[ahead]


def _block(
    values: npt.NDArray[Any], label: Floats, past: Integers, ahead: Integers, rows_a_lead: float
) -> tuple[float, float, int, int]:
    """(AUC, its standard error, rows, outcomes) of one block."""
    found = auc(encoded(values[past], label[past], values[ahead]), label[ahead])
    outcomes = float(label[ahead].sum())
    error = auc_error(found, outcomes / rows_a_lead, (len(ahead) - outcomes) / rows_a_lead)
    return found, error, len(ahead), int(outcomes)


def _enough(label: Floats) -> bool:
    return bool(LEAST_OUTCOMES <= label.sum() <= len(label) - LEAST_OUTCOMES)


def levels_of(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats as they are; texts as whole numbers, one a level, missing −1."""
    if values.dtype.kind == "f":
        return values
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def encoded(past: npt.NDArray[Any], label: Floats, values: npt.NDArray[Any]) -> Floats:
    """`values` as the smoothed rate of their level or bin in the past; unseen levels as the base rate."""
    if past.dtype.kind == "f":
        learned, asked = _binned(past, past), _binned(past, values)
    else:
        learned, asked = np.split(levels_of(np.concatenate([past, values])), [len(past)])
    base, size = float(label.mean()), int(max(learned.max(), asked.max(), -1)) + 2
    sums = np.bincount(learned + 1, label, minlength=size)
    counts = np.bincount(learned + 1, minlength=size)
    return np.asarray(((sums + SMOOTHING * base) / (counts + SMOOTHING))[asked + 1], dtype=np.float64)


def _binned(past: Floats, values: Floats) -> Integers:
    """Bin numbers by the quantiles of the past; −1 where missing."""
    present = past[~np.isnan(past)]
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])) if len(present) else np.empty(0)
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right")).astype(np.int64)


def auc(scores: Floats, label: Floats) -> float:
    """Chance that a row with the outcome scores above one without, ties half (Mann-Whitney)."""
    _levels, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = label.sum()
    return float((ranks[label == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(label) - positive)))


def auc_error(found: float, outcomes: float, others: float) -> float:
    """Standard error of an AUC (Hanley and McNeil 1982); never less than that of one pair in all told wrongly."""
    q1, q2 = found / (2 - found), 2 * found**2 / (1 + found)
    variance = found * (1 - found) + (outcomes - 1) * (q1 - found**2) + (others - 1) * (q2 - found**2)
    return math.sqrt(max(variance, 1.0) / max(outcomes * others, 1.0))


def is_missing(values: npt.NDArray[Any]) -> Floats:
    """1.0 where there is no value."""
    if values.dtype.kind == "f":
        return np.isnan(values).astype(np.float64)
    return np.asarray(pd.isna(values), dtype=np.float64)
