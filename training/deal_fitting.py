"""Fits what a deal comes to and when (training.deals) on the matured rows that had the outcome."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge

from training.calibration import clustered_mean
from training.deals import COVERED, Amounts, Days, Deals, Quartiles
from training.encoding import Column
from training.linear import Design, LinearFit, fit_design, linear_part
from training.matrix import Matrix

LEAST_DEALS = 40
"""Lead cycles below which an amount or a number of days is not said (of one stage: not said apart)."""
PENALTIES = (3.0, 30.0, 300.0)
"""Ridge penalties tried, in lead cycles."""
CUTS = (0.5, 0.75, 1.0)
"""Slices of the backtest, by share of the cycles in order of their start."""


def fit_deals(matrix: Matrix, columns: Sequence[Column]) -> Deals | None:
    """From matured rows in the scorer's schema and with its encodings; None where nothing of either is known."""
    deals = Deals(_fit_amounts(matrix, columns), _fit_days(matrix))
    return None if deals == Deals(None, None) else deals


def _fit_days(matrix: Matrix) -> Days | None:
    had = matrix.take(~np.isnan(matrix.days))
    if _cycles(had) < LEAST_DEALS:
        return None
    stage = next((i for i, d in enumerate(had.declarations) if d.kind == "stage"), None)
    by_stage = {}
    for name in sorted({s for s in had.columns[stage] if s is not None}) if stage is not None else ():
        here = had.take(had.columns[stage] == name)  # type: ignore[index]
        if _cycles(here) >= LEAST_DEALS:
            by_stage[str(name)] = _weighted_quartiles(here.days, here.weight)
    return Days(_weighted_quartiles(had.days, had.weight), by_stage, _cycles(had))


def _fit_amounts(matrix: Matrix, columns: Sequence[Column]) -> Amounts | None:
    won = matrix.take(~np.isnan(matrix.amount))
    if _cycles(won) < LEAST_DEALS:
        return None
    won = won.take(np.lexsort((won.as_of, won.cycle_start)))
    folds = _folds(won)
    tried = {penalty: [_tested(won, columns, fold, penalty) for fold in folds] for penalty in (None, *PENALTIES)}
    penalty = _chosen(won, folds, tried)
    errors = np.concatenate([np.log(won.amount[f.test]) - t for f, t in zip(folds, tried[penalty], strict=True)])
    weight = np.concatenate([_a_cycle_once(won)[f.test] for f in folds])
    design, x = _design(won, columns)
    fit = _ridge(design, x, won, penalty)
    share = _a_cycle_once(won)
    linear = linear_part(fit, x, share, len(won.declarations))
    factor = float(share @ won.amount / (share @ np.exp(fit.margin(x))))
    ends = _quantiles(errors, weight, ((1 - COVERED) / 2, (1 + COVERED) / 2))
    low, high = (float(np.exp(e)) / factor for e in ends)
    return Amounts(linear, factor, low, high, _cycles(won))


@dataclass(frozen=True)
class _Fold:
    train: np.ndarray
    test: np.ndarray


def _folds(won: Matrix) -> list[_Fold]:
    """Later cycles, of groups that are not among the earlier ones."""
    _, first = np.unique(won.cycle, return_index=True)
    starts = np.sort(won.cycle_start[first])
    cuts = [starts[min(int(cut * len(starts)), len(starts) - 1)] for cut in CUTS[:-1]] + [starts[-1] + 1]
    found = []
    for begins, ends in itertools.pairwise(cuts):
        past = won.cycle_start < begins
        now = (won.cycle_start >= begins) & (won.cycle_start < ends) & ~np.isin(won.group, won.group[past])
        if past.any() and now.any():
            found.append(_Fold(np.flatnonzero(past), np.flatnonzero(now)))
    return found or [_Fold(np.arange(len(won)), np.arange(len(won)))]


def _tested(won: Matrix, columns: Sequence[Column], fold: _Fold, penalty: float | None) -> np.ndarray:
    """log amount [test rows] as it would have been predicted."""
    past = won.take(fold.train)
    design, x = _design(past, columns)
    return _ridge(design, x, past, penalty).margin(design.matrix(won.take(fold.test)))


def _chosen(won: Matrix, folds: list[_Fold], tried: dict[float | None, list[np.ndarray]]) -> float | None:
    """The penalty with the least squared error of log amount; None (the mean) unless better beyond one error."""
    place = np.concatenate([f.test for f in folds])
    weight, group = _a_cycle_once(won)[place], won.group[place]
    loss = {p: (np.log(won.amount[place]) - np.concatenate(t)) ** 2 for p, t in tried.items()}
    best = min(PENALTIES, key=lambda p: float(np.average(loss[p], weights=weight)))
    gain, error = clustered_mean(loss[None] - loss[best], weight, group)
    return best if gain > error else None


def _design(won: Matrix, columns: Sequence[Column]) -> tuple[Design, csr_matrix]:
    """Who the lead is only: what a lead did says whether it buys, not how much."""
    whole = fit_design(won, columns)
    kept = tuple(b for b in whole.blocks if won.declarations[b.feature].group == "fit")
    design = Design(kept, whole.columns)
    return design, design.matrix(won)


def _ridge(design: Design, x: csr_matrix, won: Matrix, penalty: float | None) -> LinearFit:
    """Least squares of log amount, each lead cycle weighing one, |coefficients|² times `penalty` added."""
    share, logarithm = _a_cycle_once(won), np.log(won.amount)
    if penalty is None or not x.shape[1]:
        return LinearFit(design, float(np.average(logarithm, weights=share)), np.zeros(x.shape[1]))
    fit = Ridge(alpha=penalty, solver="lsqr", tol=1e-8).fit(x, logarithm, sample_weight=share)
    return LinearFit(design, float(fit.intercept_), np.asarray(fit.coef_))


def _a_cycle_once(won: Matrix) -> np.ndarray:
    """Row weights that sum to one in each lead cycle: a deal has one amount however often its lead was looked at."""
    _, codes = np.unique(won.cycle, return_inverse=True)
    return np.asarray(won.weight / np.bincount(codes, won.weight)[codes])


def _cycles(rows: Matrix) -> int:
    return len(np.unique(rows.cycle))


def _weighted_quartiles(values: np.ndarray, weight: np.ndarray) -> Quartiles:
    low, middle, high = _quantiles(values, weight, (0.25, 0.5, 0.75))
    return low, middle, high


def _quantiles(values: np.ndarray, weight: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    """The least value with at least each share of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order]) / weight.sum()
    return [float(values[order][min(int(np.searchsorted(below, s)), len(values) - 1)]) for s in shares]
