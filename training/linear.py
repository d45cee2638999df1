"""The linear part: regularised logistic regression over one-hot categories and standardised numbers.

Skewed numbers enter by sign·log1p; a missing number has an indicator of its
own. Coefficients of features with a declared direction keep its sign, which
scikit-learn's LogisticRegression cannot be asked for; without directions the
two agree (a test).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack
from scipy.special import expit

from training.encoding import RARE, Column, ageing, cycles_per_level, encoded_column
from training.matrix import Matrix
from training.parts import NO_TERM, CategoryTerm, LinearPart, NumberTerm

SKEWED = 2.0
HUGE = 1e12
"""Larger numbers always enter by their logarithm: their squares would overflow."""
LEVELS = 100
MOST_STEPS = 500
PRECISION = 1e-2
"""Largest gradient, in log loss per standard deviation of a coefficient, at which the fit is done."""


@dataclass(frozen=True)
class NumberBlock:
    feature: int
    logarithm: bool
    low: float
    high: float
    mean: float
    scale: float
    indicator: bool

    @property
    def width(self) -> int:
        return 2 if self.indicator else 1


@dataclass(frozen=True)
class CategoryBlock:
    """`levels` have a column each; then one for all others, then one for null."""

    feature: int
    levels: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.levels) + 2


Block = NumberBlock | CategoryBlock


@dataclass(frozen=True)
class Design:
    blocks: tuple[Block, ...]
    columns: tuple[Column, ...]

    def matrix(self, rows: Matrix) -> csr_matrix:
        """Sparse [n, design columns]; numbers standardised by the training rows, null as 0 with its indicator."""
        parts = [block_columns(b, rows.columns[b.feature], self.columns[b.feature]) for b in self.blocks]
        return hstack(parts, format="csr") if parts else csr_matrix((len(rows), 0))


@dataclass(frozen=True)
class LinearFit:
    design: Design
    intercept: float
    coefficients: np.ndarray

    def margin(self, design_matrix: csr_matrix) -> np.ndarray:
        return np.asarray(design_matrix @ self.coefficients + self.intercept)


def fit_design(matrix: Matrix, columns: Sequence[Column]) -> Design:
    """Which design columns each feature gets, and how its numbers are standardised, from the training rows."""
    blocks = [_block(matrix, columns[i], i) for i in range(len(matrix.declarations))]
    return Design(tuple(b for b in blocks if b is not None), tuple(columns))


def fit_linear(design: Design, x: csr_matrix, matrix: Matrix, *, strength: float, directed: bool = True) -> LinearFit:
    """Logistic regression with C = `strength`; x = design.matrix(matrix).

    Minimises Σ weight·(log(1 + e^m) − label·m) + |coefficients|²/(2C), the
    coefficients of features with a declared direction bounded at zero.
    Weights are as the matrix has them: C counts lead cycles, not rows.
    """
    rate = np.clip(np.average(matrix.label, weights=matrix.weight), 1e-9, 1 - 1e-9)
    start = np.append(np.zeros(x.shape[1]), np.log(rate / (1 - rate)))
    scale = _scale(x, matrix.weight, rate, strength)
    found = minimize(
        _objective(x, matrix, strength, scale),
        start / scale,
        jac=True,
        method="L-BFGS-B",
        bounds=_bounds(_signs(design, matrix) if directed else np.zeros(x.shape[1])),
        options={"maxiter": MOST_STEPS, "maxcor": 20, "gtol": PRECISION, "ftol": 1e-12},
    )
    solution = found.x * scale
    return LinearFit(design, float(solution[-1]), solution[:-1])


def _objective(
    x: csr_matrix, matrix: Matrix, strength: float, scale: np.ndarray
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The penalised loss and its gradient at coefficients ÷ `scale`, the intercept last."""
    label, weight, transposed = matrix.label, matrix.weight, x.T.tocsr()

    def loss_and_gradient(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        solution = scaled * scale
        coefficients, margin = solution[:-1], x @ solution[:-1] + solution[-1]
        loss = weight @ (np.logaddexp(0.0, margin) - label * margin) + coefficients @ coefficients / (2 * strength)
        residual = weight * (expit(margin) - label)
        gradient = np.append(transposed @ residual + coefficients / strength, residual.sum())
        return float(loss), gradient * scale

    return loss_and_gradient


def _scale(x: csr_matrix, weight: np.ndarray, rate: float, strength: float) -> np.ndarray:
    """1/√curvature of each unknown at the start: with it a rare level is as easy to move as a common number."""
    variance = rate * (1 - rate)
    curvature = np.append(variance * (x.multiply(x).T @ weight) + 1 / strength, variance * weight.sum())
    return np.asarray(1 / np.sqrt(curvature))


def _bounds(signs: np.ndarray) -> list[tuple[float | None, float | None]]:
    return [(0.0 if sign > 0 else None, 0.0 if sign < 0 else None) for sign in signs] + [(None, None)]


def linear_part(fit: LinearFit, design_matrix: csr_matrix, weight: np.ndarray, features: int) -> LinearPart:
    """The fit as bundle terms, each centred on its weighted mean over the training rows."""
    centres = np.asarray(design_matrix.T @ weight) / weight.sum()
    terms: list[NumberTerm | CategoryTerm] = [NO_TERM] * features
    at = 0
    for block in fit.design.blocks:
        part = slice(at, at + block.width)
        at += block.width
        terms[block.feature] = _term(block, fit.coefficients[part], float(fit.coefficients[part] @ centres[part]))
    return LinearPart(fit.intercept + float(fit.coefficients @ centres), tuple(terms))


def _signs(design: Design, matrix: Matrix) -> np.ndarray:
    signs: list[float] = []
    for block in design.blocks:
        direction = matrix.declarations[block.feature].direction if isinstance(block, NumberBlock) else 0
        signs += [float(direction)] + [0.0] * (block.width - 1)
    return np.array(signs)


def _block(matrix: Matrix, column: Column, i: int) -> Block | None:
    if matrix.declarations[i].is_category:
        codes, levels = pd.factorize(matrix.columns[i])
        count = cycles_per_level(codes, matrix.cycle)
        often = [j for j in np.argsort(-count, kind="stable")[:LEVELS] if count[j] >= RARE]
        return CategoryBlock(i, tuple(sorted(str(levels[j]) for j in often)))
    values = encoded_column(column, matrix.columns[i])
    return _number_block(i, values, indicator=not ageing(matrix.declarations[i]))


def _number_block(feature: int, values: np.ndarray, *, indicator: bool) -> NumberBlock | None:
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if not len(known):
        return None
    logarithm = _is_skewed(known)
    f = _transformed(known, logarithm)
    low, high = float(f.min()), float(f.max())
    scale = float(f.std())
    # Beyond twice the range seen, a line is no longer evidence.
    reach = high - low
    return NumberBlock(
        feature=feature,
        logarithm=logarithm,
        low=low - reach,
        high=high + reach,
        mean=float(f.mean()),
        scale=scale if scale > 0 else 1.0,
        indicator=indicator and missing >= RARE,
    )


def _is_skewed(known: np.ndarray) -> bool:
    return _skewness(known) > SKEWED and _skewness(_transformed(known, True)) < _skewness(known)


def _skewness(values: np.ndarray) -> float:
    if np.abs(values).max() > HUGE:
        return np.inf
    spread = values.std()
    return float(abs(np.mean(((values - values.mean()) / spread) ** 3))) if spread > 0 else 0.0


def _transformed(values: np.ndarray, logarithm: bool) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values)) if logarithm else values


def block_columns(block: Block, values: np.ndarray, column: Column) -> csr_matrix:
    """One feature's design columns, sparse [n, block.width]."""
    if isinstance(block, CategoryBlock):
        codes, levels = pd.factorize(values)
        place = {level: j for j, level in enumerate(block.levels)}
        others = len(block.levels)
        target = np.array([*(place.get(str(level), others) for level in levels), others + 1])
        return csr_matrix((np.ones(len(values)), target[codes], np.arange(len(values) + 1)), (len(values), block.width))
    z = standardised(block, values, column)
    empty = np.isnan(z)
    z = np.where(empty, 0.0, z)
    return csr_matrix(np.column_stack([z, empty]) if block.indicator else z[:, None])


def standardised(block: NumberBlock, values: np.ndarray, column: Column) -> np.ndarray:
    """One number [n] in standard deviations from the training mean, NaN where it is missing."""
    f = _transformed(encoded_column(column, values), block.logarithm)
    return (np.clip(f, block.low, block.high) - block.mean) / block.scale


def _term(block: Block, coefficients: np.ndarray, centre: float) -> NumberTerm | CategoryTerm:
    if isinstance(block, CategoryBlock):
        levels = {level: float(c) - centre for level, c in zip(block.levels, coefficients, strict=False)}
        return CategoryTerm(levels, float(coefficients[-2]) - centre, float(coefficients[-1]) - centre)
    slope = float(coefficients[0]) / block.scale
    null = float(coefficients[1]) if block.indicator else 0.0
    return NumberTerm(block.logarithm, block.low, block.high, slope, -slope * block.mean - centre, null - centre)
