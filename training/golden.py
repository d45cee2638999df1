"""Golden rows: rows of the training data with the margins and contributions a bundle must give for them.

Worked out apart from `training.compiled`: the linear terms value by value in
plain Python, the trees through shap.TreeExplainer.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np

from training.parts import CategoryColumn, CategoryTerm, NumberColumn, NumberTerm, Scorer

Value = float | str | None


def golden_rows(scorer: Scorer, rows: Sequence[Sequence[Value]]) -> list[dict[str, Any]]:
    """One document a row: `values`, `margin`, `contributions`; numbers as JSON can hold them."""
    matrix = np.array([[_tree_value(c, v) for c, v in zip(scorer.columns, row, strict=True)] for row in rows])
    slope = scorer.calibration.slope
    base = scorer.calibration.shift + slope * scorer.prior_weight * scorer.prior_margin
    base += slope * scorer.linear_share * scorer.linear.intercept
    linear = np.array([[_linear_value(t, c, v) for t, c, v in _triples(scorer, row)] for row in rows])
    total = slope * scorer.linear_share * linear.reshape(len(rows), len(scorer.columns))
    for part in scorer.boosters:
        contributions, expected = tree_contributions(part.text, matrix)
        total = total + slope * part.weight * contributions
        base += slope * part.weight * expected
    return [
        {"values": [_plain(v) for v in row], "margin": float(base + c.sum()), "contributions": [float(x) for x in c]}
        for row, c in zip(rows, total, strict=True)
    ]


def tree_contributions(text: str, matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """(SHAP values [n, k], expected margin) of one LightGBM text, by shap.TreeExplainer."""
    import shap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        explainer = shap.TreeExplainer(lightgbm.Booster(model_str=text))
        values = explainer.shap_values(matrix)
    expected = np.ravel(explainer.expected_value)[-1]
    return np.asarray(values[-1] if isinstance(values, list) else values), float(expected)


def _triples(
    scorer: Scorer, row: Sequence[Value]
) -> list[tuple[NumberTerm | CategoryTerm, NumberColumn | CategoryColumn, Value]]:
    return list(zip(scorer.linear.terms, scorer.columns, row, strict=True))


def _tree_value(column: NumberColumn | CategoryColumn, value: Value) -> float:
    if isinstance(column, CategoryColumn):
        return column.levels.get(value, column.other) if isinstance(value, str) else column.null
    if _is_null(value):
        return math.nan if column.null is None else column.null
    x = float(value)  # type: ignore[arg-type]
    return x if column.cap is None else min(x, column.cap)


def _linear_value(term: NumberTerm | CategoryTerm, column: NumberColumn | CategoryColumn, value: Value) -> float:
    if isinstance(term, CategoryTerm):
        return term.levels.get(value, term.other) if isinstance(value, str) else term.null
    if isinstance(column, CategoryColumn):
        return 0.0
    x = _tree_value(column, value)
    if math.isnan(x):
        return term.null
    f = math.copysign(math.log1p(abs(x)), x) if term.logarithm else x
    return term.slope * min(max(f, term.low), term.high) + term.offset


def _is_null(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Value) -> Value:
    return None if _is_null(value) else value
