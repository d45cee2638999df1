"""Every feature as one number for the trees: categories as smoothed log-odds, recency nulls as oldest.

The encoding of a category level is logit((Σw·y + m·p) / (Σw + m)), m = 20,
p the overall rate (Micci-Barreca 2001): levels of fewer than ten cycles share
one value with those never seen. Training rows get values worked out without
their own group (person or account), so that a label never encodes itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from features.declaration import Declaration
from training.matrix import Matrix
from training.parts import CategoryColumn, NumberColumn

SMOOTHING = 20.0
RARE = 10
OUT_OF_FOLD = 5

Column = NumberColumn | CategoryColumn


def fit_columns(matrix: Matrix) -> tuple[Column, ...]:
    """The encoding of each feature, learned from all rows of `matrix`."""
    return tuple(_fit_column(matrix, i) for i in range(len(matrix.declarations)))


def encode(matrix: Matrix, columns: Sequence[Column]) -> np.ndarray:
    """float64 [n, k] for the trees; rows the encoding was not learned from."""
    encoded = [encoded_column(column, values) for column, values in zip(columns, matrix.columns, strict=True)]
    return np.column_stack(encoded) if encoded else np.empty((len(matrix), 0))


def encode_out_of_fold(matrix: Matrix, columns: Sequence[Column], folds: np.ndarray) -> np.ndarray:
    """As `encode`, but each row's categories are encoded from the other folds' rows only.

    `folds` [n] holds whole numbers; all rows of a group share one.
    """
    table = encode(matrix, columns)
    for i, column in enumerate(columns):
        if isinstance(column, CategoryColumn):
            for fold in np.unique(folds):
                inside = folds == fold
                learned = _fit_category(matrix.columns[i], matrix, ~inside, keep=column.levels)
                table[inside, i] = encoded_column(learned, matrix.columns[i][inside])
    return table


def group_folds(group: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A fold number 0 … count−1 for each row: whole groups, seeded, of about equal size."""
    _, codes = np.unique(group, return_inverse=True)
    order = np.random.default_rng(seed).permutation(codes.max(initial=-1) + 1)
    return np.asarray(order[codes] % count)


def logit(rate: float) -> float:
    return float(np.log(rate / (1.0 - rate)))


def smoothed_rate(matrix: Matrix) -> float:
    """The weighted rate of outcomes, kept off 0 and 1 by half an outcome on each side."""
    return float((matrix.weight @ matrix.label + 0.5) / (matrix.weight.sum() + 1.0))


def cycles_per_level(codes: np.ndarray, cycle: np.ndarray) -> np.ndarray:
    """How many different cycles have each code 0 … max; −1 (null) is left out."""
    pairs = pd.DataFrame({"code": codes, "cycle": cycle}).drop_duplicates()
    return np.bincount(pairs["code"][pairs["code"] >= 0], minlength=codes.max(initial=-1) + 1)


def ageing(declaration: Declaration) -> bool:
    """Time since something good: null (never) is then the oldest age of all, so that waiting cannot help."""
    return declaration.kind == "days_since_last" and declaration.direction == -1


def _fit_column(matrix: Matrix, i: int) -> Column:
    declaration, values = matrix.declarations[i], matrix.columns[i]
    if declaration.is_category:
        return _fit_category(values, matrix, np.ones(len(matrix), dtype=bool))
    known = values[~np.isnan(values)]
    if not ageing(declaration) or not len(known):
        return NumberColumn()
    oldest = float(known.max())
    return NumberColumn(null=oldest + 1.0, cap=oldest)


def _fit_category(
    values: np.ndarray, matrix: Matrix, rows: np.ndarray, keep: dict[str, float] | None = None
) -> CategoryColumn:
    """`keep` fixes the levels that stand alone (those of the whole, when a fold is left out)."""
    codes, levels = pd.factorize(values[rows])
    weight, label = matrix.weight[rows], matrix.label[rows]
    prior = float((weight @ label + 0.5) / (weight.sum() + 1.0))
    alone = _standing_alone(codes, levels, matrix.cycle[rows], keep)
    present = codes >= 0
    total = np.bincount(codes[present], weight[present], minlength=len(levels))
    won = np.bincount(codes[present], (weight * label)[present], minlength=len(levels))
    other = _log_odds(won[~alone].sum(), total[~alone].sum(), prior)
    null = _log_odds((weight * label)[~present].sum(), weight[~present].sum(), prior)
    value = {str(levels[j]): _log_odds(won[j], total[j], prior) for j in np.flatnonzero(alone)}
    return CategoryColumn(levels=dict(sorted(value.items())), other=other, null=null)


def _standing_alone(
    codes: np.ndarray, levels: np.ndarray, cycle: np.ndarray, keep: dict[str, float] | None
) -> np.ndarray:
    if keep is not None:
        return np.array([level in keep for level in levels], dtype=bool)
    return cycles_per_level(codes, cycle) >= RARE


def _log_odds(won: float, total: float, prior: float) -> float:
    return logit(float((won + SMOOTHING * prior) / (total + SMOOTHING)))


def encoded_column(column: Column, values: np.ndarray) -> np.ndarray:
    """One feature's values [n] as the trees get them."""
    if isinstance(column, NumberColumn):
        null = np.nan if column.null is None else column.null
        cap = np.inf if column.cap is None else column.cap
        return np.where(np.isnan(values), null, np.minimum(values, cap))
    codes, levels = pd.factorize(values)
    table = np.array([*(column.levels.get(str(level), column.other) for level in levels), column.null])
    return np.asarray(table[codes])
