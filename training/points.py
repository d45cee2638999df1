"""The points rung: what is scored while there are too few outcomes to learn from.

Every number with a declared direction gives or takes points by how far it
lies from the average, every category by its heavily smoothed log-odds; the
numbers weigh alike. There is nothing to check it against yet, so the bundle
is marked unproven and gives no probability.
"""

from __future__ import annotations

import numpy as np

from training.encoding import Column, encoded_column, fit_columns, logit, smoothed_rate
from training.linear import NumberBlock, fit_design, standardised
from training.matrix import Matrix
from training.parts import NO_TERM, Calibration, CategoryColumn, CategoryTerm, LinearPart, NumberTerm, Scorer

SPREAD = 0.7
"""Standard deviation, in log-odds, of the directed numbers' points together."""


def points_scorer(matrix: Matrix) -> Scorer:
    """Needs no outcome at all; uses the few there are for the smoothed rates. `matrix` is not empty."""
    columns = fit_columns(matrix)
    blocks = [b for b in fit_design(matrix, columns).blocks if isinstance(b, NumberBlock)]
    directed = [b for b in blocks if matrix.declarations[b.feature].direction]
    worth = _worth(matrix, columns, directed)
    terms: list[NumberTerm | CategoryTerm] = [_category_term(matrix, i, c) for i, c in enumerate(columns)]
    for block in directed:
        slope = worth * matrix.declarations[block.feature].direction / block.scale
        terms[block.feature] = NumberTerm(block.logarithm, block.low, block.high, slope, -slope * block.mean, null=0.0)
    margin = logit(smoothed_rate(matrix))
    return Scorer(columns, LinearPart(margin, tuple(terms)), (), margin, 0.0, 1.0, Calibration())


def _worth(matrix: Matrix, columns: tuple[Column, ...], directed: list[NumberBlock]) -> float:
    """Points for one standard deviation, so that all together spread by SPREAD."""
    if not directed:
        return 0.0
    each = [
        matrix.declarations[b.feature].direction
        * np.nan_to_num(standardised(b, matrix.columns[b.feature], columns[b.feature]))
        for b in directed
    ]
    spread = float(np.std(np.sum(each, axis=0)))
    return SPREAD / spread if spread > 0 else 0.0


def _category_term(matrix: Matrix, i: int, column: Column) -> NumberTerm | CategoryTerm:
    if not isinstance(column, CategoryColumn):
        return NO_TERM
    mean = float(np.average(encoded_column(column, matrix.columns[i]), weights=matrix.weight))
    levels = {level: value - mean for level, value in column.levels.items()}
    return CategoryTerm(levels, column.other - mean, column.null - mean)
