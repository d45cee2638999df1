"""Has a column moved? Bins, population stability and critical values, with numpy only.

A column is cut into bins once, on its reference. The window and the reference
are then two vectors of counts, and everything here is arithmetic on them:

  psi           Σ (p − q) · ln(p / q) over bins, p window, q reference (Siddiqi 2006)
  share moved   ½ Σ |p − q|, the share of rows that would have to change bins
                (total variation distance): the effect size, 0 to 1

The usual rule "PSI above 0.1 is drift" alarms in 39% of stationary samples of
100 rows. So the critical value of each column is read from what stationary
weeks of its own reference give at the window's size (`null_psi`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

QUANTILES = 10
"""Inner bins of a number; two more lie outside everything the reference has seen."""
MOST_LEVELS = 20
"""Levels of a category that keep a bin of their own; the rest are pooled."""
SMOOTHING = 0.5
"""Added to each bin's count, so that an empty bin gives a large PSI and not an infinite one."""

MISSING, UNSEEN, POOLED = "(missing)", "(unseen)", "(other)"


@dataclass(frozen=True)
class NumberBins:
    """Bin 0 is missing; bin i holds edges[i−2] < x ≤ edges[i−1]; the first edge lies just below the least seen."""

    edges: np.ndarray

    @property
    def size(self) -> int:
        return len(self.edges) + 2

    def place(self, values: pd.Series) -> np.ndarray:
        """Bin index of each value, int64[n]."""
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        return np.where(np.isnan(numbers), 0, np.searchsorted(self.edges, numbers, side="left") + 1)

    @property
    def unseen(self) -> tuple[int, ...]:
        """Bins outside the reference's range."""
        return (1, self.size - 1)


@dataclass(frozen=True)
class CategoryBins:
    """Bin 0 is missing, 1 unseen in the reference, 2 the pooled rare levels, then one bin a level."""

    levels: tuple[str, ...]
    rare: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        return len(self.levels) + 3

    def place(self, values: pd.Series) -> np.ndarray:
        """Bin index of each value, int64[n]."""
        place = {level: index + 3 for index, level in enumerate(self.levels)}
        place |= dict.fromkeys(self.rare, 2)
        missing = values.isna().to_numpy()
        return np.where(missing, 0, values.map(place).fillna(1).to_numpy(dtype=float)).astype(np.int64)

    @property
    def unseen(self) -> tuple[int, ...]:
        return (1,)


Bins = NumberBins | CategoryBins


def bins_of(reference: pd.Series, *, category: bool) -> Bins:
    """Bins fitted on the reference; the same reference always gives the same bins."""
    return _category_bins(reference) if category else _number_bins(reference)


def _number_bins(reference: pd.Series) -> NumberBins:
    numbers = pd.to_numeric(reference, errors="coerce").dropna().to_numpy(dtype=float)
    if not len(numbers):
        return NumberBins(np.array([]))
    inner = np.quantile(numbers, np.linspace(0, 1, QUANTILES + 1)[1:], method="inverted_cdf")
    below = np.nextafter(numbers.min(), -np.inf)
    return NumberBins(np.unique(np.concatenate([[below], inner])))


def _category_bins(reference: pd.Series) -> CategoryBins:
    counts = reference.dropna().astype(str).value_counts()
    ordered = sorted(counts.index, key=lambda level: (-counts[level], level))
    return CategoryBins(tuple(ordered[:MOST_LEVELS]), frozenset(ordered[MOST_LEVELS:]))


def counted(placed: np.ndarray, size: int) -> np.ndarray:
    """Rows in each bin, int64[size]."""
    return np.bincount(placed, minlength=size)


def counted_by_week(placed: np.ndarray, weeks: np.ndarray, size: int) -> np.ndarray:
    """Rows in each bin of each week, int64[weeks, size]; `weeks` numbers each row's week from 0."""
    count = int(weeks.max()) + 1 if len(weeks) else 0
    return np.bincount(weeks * size + placed, minlength=count * size).reshape(count, size)


def shares(counts: np.ndarray) -> np.ndarray:
    """Smoothed shares along the last axis; they sum to 1."""
    smoothed = counts + SMOOTHING
    return smoothed / smoothed.sum(axis=-1, keepdims=True)


def psi(window: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Population stability index of two vectors (or stacks) of bin counts, along the last axis.

    Bins that are empty on both sides say nothing and add nothing.
    """
    p, q = shares(window), shares(reference)
    return np.where((window > 0) | (reference > 0), (p - q) * np.log(p / q), 0.0).sum(axis=-1)


def share_moved(window: np.ndarray, reference: np.ndarray) -> float:
    """Total variation distance of two vectors of bin counts, unsmoothed; 0 where one is empty."""
    if not window.sum() or not reference.sum():
        return 0.0
    return float(np.abs(window / window.sum() - reference / reference.sum()).sum() / 2)


def column_figures(window: pd.Series, reference: pd.Series, *, category: bool) -> dict[str, float]:
    """psi, share_moved, missing, missing_reference and unseen (shares, 0 to 1) of one column."""
    bins = bins_of(reference, category=category)
    now = counted(bins.place(window), bins.size)
    then = counted(bins.place(reference), bins.size)
    return {
        "psi": float(psi(now, then)),
        "share_moved": share_moved(now, then),
        "missing": float(now[0] / now.sum()),
        "missing_reference": float(then[0] / then.sum()),
        "unseen": float(now[list(bins.unseen)].sum() / now.sum()),
    }


@dataclass(frozen=True)
class Size:
    """How many rows there are, and how many independent ones they are worth."""

    rows: int
    independent: int


def size_of(leads: pd.Series) -> Size:
    """A lead seen in many weeks says the same thing many times: (Σ m)² / Σ m² over leads with m rows (Kish 1965)."""
    repeats = leads.value_counts().to_numpy(dtype=float)
    return Size(len(leads), max(1, round(float(repeats.sum() ** 2 / (repeats**2).sum()))))


def null_psi(
    by_week: np.ndarray, *, window: Size, reference: Size, weeks: int, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """PSI that stationary windows give: float64[resamples].

    Each resample draws `weeks` whole weeks of the reference and rows from their
    pooled shares, and compares them with rows drawn from the weeks left over,
    so that ordinary swings from week to week count as ordinary. With too few
    weeks to leave any over, both sides are drawn from the whole reference.
    """
    occupied = _shrunk(by_week[by_week.sum(axis=1) > 0])
    total = occupied.sum(axis=0)
    if len(occupied) < weeks + 2:
        pooled = rest = np.broadcast_to(total, (resamples, len(total)))
    else:
        pooled = occupied[_weeks_drawn(len(occupied), weeks, resamples, generator)].sum(axis=1)
        rest = total - pooled
    return psi(_rows_drawn(window, pooled, generator), _rows_drawn(reference, rest, generator))


def _shrunk(by_week: np.ndarray) -> np.ndarray:
    """Counts by week drawn towards the common shares until only real differences between weeks are left.

    A week's observed shares differ from the common ones by sampling noise too,
    which drawing rows from them would count twice. By moments: Pearson's
    statistic over weeks and bins is (weeks − 1)(bins − 1) from noise alone.
    """
    rows = by_week.sum(axis=1, keepdims=True)
    expected = rows * (by_week.sum(axis=0) / rows.sum())
    filled = expected[0] > 0
    observed = ((by_week - expected)[:, filled] ** 2 / expected[:, filled]).sum()
    noise = (len(by_week) - 1) * (int(filled.sum()) - 1)
    kept = np.sqrt(max(0.0, 1 - noise / observed)) if observed > 0 else 0.0
    return expected + kept * (by_week - expected)


def _rows_drawn(size: Size, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    drawn = generator.multinomial(size.independent, counts / counts.sum(axis=1, keepdims=True))
    return drawn * (size.rows / size.independent)


def _weeks_drawn(count: int, weeks: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Different weeks for each resample, int64[resamples, weeks]."""
    return generator.random((resamples, count)).argsort(axis=1)[:, :weeks]


def p_value(observed: float, null: np.ndarray) -> float:
    """Share of stationary windows at least as far out, never 0 (Davison and Hinkley 1997, 4.2)."""
    return float((1 + (null >= observed).sum()) / (1 + len(null)))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Benjamini–Hochberg adjusted p-values, in the order given (Benjamini and Hochberg 1995)."""
    values = np.asarray(p_values, dtype=float)
    if not len(values):
        return []
    order = np.argsort(values)[::-1]
    ranks = np.arange(len(values), 0, -1)
    steps = np.minimum.accumulate(values[order] * len(values) / ranks)
    result = np.empty(len(values))
    result[order] = np.minimum(steps, 1.0)
    return [float(value) for value in result]
