"""Whether a column looks today as it did in the rows a model learns from: pure functions from arrays to figures.

A column filled at the end of a lead is full in the past and empty among the
leads that are open today. Columns also move honestly (campaigns end, regions
open), so what is compared is today's movement with the column's own in the
past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.leaks import is_missing

BLOCKS = 5
BINS = 10
LEVELS = 20
"""Levels told apart; the rest count as one."""
FEWEST = 100
"""Rows today below which nothing is said."""
CONSIDERABLE = 0.25
"""Population stability index from which credit scoring calls a population another one."""
BEYOND_ITS_PAST = 2.0
"""How many times the greatest movement of the past today's must be."""


@dataclass(frozen=True)
class Shift:
    today: float
    """PSI of today's rows against all rows before."""
    past: float
    """Greatest PSI of a fifth of the past against the fifths before it."""
    filled_before: float
    filled_today: float

    @property
    def unusual(self) -> bool:
        """Beyond what the column has shown before."""
        return self.today >= max(CONSIDERABLE, BEYOND_ITS_PAST * self.past)


def shift(before: npt.NDArray[Any], today: npt.NDArray[Any]) -> Shift | None:
    """`before` in order of time; None where either is too little."""
    if min(len(before) // BLOCKS, len(today)) < FEWEST:
        return None
    parts = np.array_split(before, BLOCKS)
    past = max(stability_index(np.concatenate(parts[:k]), parts[k]) for k in range(1, BLOCKS))
    filled = [1 - float(is_missing(v).mean()) for v in (before, today)]
    return Shift(stability_index(before, today), past, *filled)


def stability_index(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> float:
    """PSI: Σ (q − p)·ln(q/p) over bins or levels, missing being one; less what chance alone gives on average."""
    places = _places(before, after)
    size = int(places.max()) + 1
    p, q = (np.bincount(part, minlength=size) + 0.5 for part in np.split(places, [len(before)]))
    p, q = p / p.sum(), q / q.sum()
    by_chance = (np.count_nonzero(p + q) - 1) * (1 / len(before) + 1 / len(after))
    return max(0.0, float(np.sum((q - p) * np.log(q / p))) - by_chance)


def _places(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """A whole number from 0 a row, missing 0; bins and levels are those of `before`."""
    values = np.concatenate([before, after])
    if values.dtype.kind == "f":
        present = before[~np.isnan(before)]
        edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])) if len(present) else np.empty(0)
        return np.where(np.isnan(values), 0, 1 + np.searchsorted(edges, values, side="right")).astype(np.int64)
    codes, _levels = pd.factorize(values)
    known = np.bincount(codes[: len(before)] + 1, minlength=codes.max(initial=-1) + 2)[1:]
    rank = np.argsort(np.argsort(-known, kind="stable"), kind="stable")
    placed = np.where(rank < LEVELS, rank, LEVELS) + 1
    return np.append(placed, 0)[codes].astype(np.int64)
