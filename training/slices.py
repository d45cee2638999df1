"""Time-ordered slices: what a model could have known, and the cohort that then put it to the test.

A fold's slice is the cohort of cycles that started in [begins, ends); its
training rows belong to earlier cycles and their labels were known before the
slice begins. Where the horizon leaves too little for that, the training rows
are only required to be of earlier cycles, and where even that is impossible
the folds are random by group: the weaker kinds say so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.errors import ModelRefused
from training.encoding import group_folds
from training.matrix import Matrix

Kind = Literal["forward", "forward, labels overlap", "random by group"]

CUTS = (0.4, 0.6, 0.8, 0.9, 0.95, 0.975, 1.0)
"""Slices are cut here, by share of the cycles: finer towards the present, which the model will meet first."""
LATER = 1.6
"""By this factor each row of a slice has more say than one of the slice before."""
LEAST_TRAINING = 15
"""Outcomes, and rows without, that a fold's training part must have."""
LEAST_SLICE = 8


@dataclass(frozen=True)
class Fold:
    train: np.ndarray
    """Positions of the training rows."""
    test: np.ndarray
    """Positions of the slice's rows."""
    begins: int
    """Microseconds; the slice's cycles started in [begins, ends)."""
    ends: int
    weight: float
    """Its say in the pooled backtest; later folds have more."""


@dataclass(frozen=True)
class Backtest:
    kind: Kind
    folds: tuple[Fold, ...]


def backtest_folds(matrix: Matrix, *, seed: int) -> Backtest:
    """Up to six forward folds; else the next weaker kind that has enough for one."""
    for kind, strict in (("forward", True), ("forward, labels overlap", False)):
        folds = [_forward_fold(matrix, low, high, strict) for low, high in _bounds(matrix)]
        kept = [f for f in folds if _enough(matrix, f)]
        if len(kept) >= (2 if strict else 1):
            return Backtest(kind, _weighted(matrix, kept))  # type: ignore[arg-type]
    return Backtest("random by group", random_folds(matrix, 5, seed=seed))


def random_folds(matrix: Matrix, count: int, *, seed: int) -> tuple[Fold, ...]:
    """A split that ignores time; equal feature rows stay together as well as groups. For the optimism gap.

    Folds with one kind of outcome only are left out. Where the groups leave
    none (one account holds nearly all), whole cycles are drawn instead; raises
    ModelRefused where that is no use either.
    """
    first, last = int(matrix.cycle_start.min()), int(matrix.cycle_start.max()) + 1
    for group in (equal_row_groups(matrix), matrix.cycle):
        numbers = group_folds(group, count, seed)
        sides = [(np.flatnonzero(numbers != k), np.flatnonzero(numbers == k)) for k in range(count)]
        kept = [Fold(*rows, first, last, 1.0) for rows in sides if all(_mixed(matrix, part) for part in rows)]
        if kept:
            return tuple(kept)
    raise ModelRefused(
        "history", "outcomes of one kind only", expected="leads that reached the target and leads that did not"
    )


def _mixed(matrix: Matrix, rows: np.ndarray) -> bool:
    return bool(0 < matrix.label[rows].sum() < len(rows))


def _bounds(matrix: Matrix) -> list[tuple[int, int]]:
    """Bounds of the slices by cycle start, from CUTS; a slice with too few outcomes is joined to the next."""
    _, first = np.unique(matrix.cycle, return_index=True)
    starts = np.sort(matrix.cycle_start[first])
    places = [min(round(cut * len(starts)), len(starts) - 1) for cut in CUTS]
    cuts = [int(starts[p]) for p in places[:-1]] + [int(starts[-1]) + 1]
    joined = [cuts[0]]
    for cut in cuts[1:]:
        if cut > joined[-1] and _telling(matrix, joined[-1], cut):
            joined.append(cut)
    if len(joined) > 1:
        joined[-1] = cuts[-1]
    return list(itertools.pairwise(joined))


def _telling(matrix: Matrix, begins: int, ends: int) -> bool:
    inside = (matrix.cycle_start >= begins) & (matrix.cycle_start < ends)
    won = matrix.label[inside].sum()
    return bool(min(won, inside.sum() - won) >= LEAST_SLICE)


def _forward_fold(matrix: Matrix, begins: int, ends: int, strict: bool) -> Fold:
    train = matrix.cycle_start < begins
    if strict:
        train &= matrix.matured_at <= begins
    else:
        train &= matrix.as_of < begins
    test = (matrix.cycle_start >= begins) & (matrix.cycle_start < ends)
    return Fold(np.flatnonzero(train), np.flatnonzero(test), begins, ends, 1.0)


def _enough(matrix: Matrix, fold: Fold) -> bool:
    won, rows = matrix.label[fold.train].sum(), len(fold.train)
    return bool(min(won, rows - won) >= LEAST_TRAINING and _telling(matrix, fold.begins, fold.ends))


def _weighted(matrix: Matrix, folds: Sequence[Fold]) -> tuple[Fold, ...]:
    return tuple(
        Fold(f.train, f.test, f.begins, f.ends, LATER**k * float(matrix.weight[f.test].sum()))
        for k, f in enumerate(folds)
    )


def equal_row_groups(matrix: Matrix) -> np.ndarray:
    """Group numbers joined wherever two rows have the same features (duplicates under several ids)."""
    import pandas as pd
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not matrix.columns:
        return matrix.group
    frame = pd.DataFrame(dict(enumerate(matrix.columns)))
    equal = frame.groupby(list(frame.columns), dropna=False, sort=False).ngroup().to_numpy()
    _, group = np.unique(matrix.group, return_inverse=True)
    size = int(group.max()) + 1
    edges = coo_matrix((np.ones(len(group)), (group, size + equal)), shape=(size + equal.max() + 1,) * 2)
    _, component = connected_components(edges, directed=False)
    return np.asarray(component[:size][group])
