"""Blend weights: a convex combination of parts in margin space, chosen by pooled backtest log loss.

The constant prior is among the parts, so that the slope of the others shrinks
when the history asks for it. A quadratic pull towards a usual mixture keeps a
history from choosing by luck. It is worth a few nats of likelihood where all
stretches of time agree on which part is better, and grows with the square of
their disagreement (overdispersion): a part that shone in one regime says
little of the next one, however many rows that regime had. The loss is convex
in the weights, so the choice has one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

SMALLEST = 0.02
"""A part below this weight is left out and the rest fitted again: it costs time and explains nothing."""
PULL = 2.0
"""Strength of the pull, in nats of log likelihood for leaving the usual mixture altogether."""
STRETCHES = 4
"""Stretches of time in each slice, between which disagreement is measured."""
LEAST_ROWS = 10
"""In a stretch."""


@dataclass(frozen=True)
class Slice:
    """One backtest slice, rows by time: margins [n, parts], labels, row weights, and its say among the slices."""

    margins: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    say: float
    group: np.ndarray | None = None
    """Whole number per person or account, whose rows are one piece of evidence; None: every row is one."""

    def part(self, columns: Sequence[int]) -> Slice:
        return replace(self, margins=self.margins[:, list(columns)])


def row_losses(margin: np.ndarray, label: np.ndarray) -> np.ndarray:
    """−log likelihood of each row, in nats: log(1 + e^m) − y·m."""
    return np.asarray(np.logaddexp(0.0, margin) - label * margin)


def log_loss(margin: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    return float(np.average(row_losses(margin, label), weights=weight))


def pooled_loss(slices: Sequence[Slice], weights: np.ndarray) -> float:
    """Mean log loss of the slices, each with its say."""
    losses = [log_loss(s.margins @ weights, s.label, s.weight) for s in slices]
    return float(np.average(losses, weights=[s.say for s in slices]))


def blend_weights(slices: Sequence[Slice], usual: np.ndarray | None = None) -> np.ndarray:
    """Weights ≥ 0, summing to 1, of the parts (columns of every slice's margins), pulled towards `usual` if given."""
    width = slices[0].margins.shape[1]
    used = list(range(width))
    weights = _solved(slices, usual)
    while len(used) > 1 and weights.min() < SMALLEST:
        used = [u for u, w in zip(used, weights, strict=True) if w >= SMALLEST]
        towards = None if usual is None else usual[used] / max(usual[used].sum(), SMALLEST)
        weights = _solved([s.part(used) for s in slices], towards)
    full = np.zeros(width)
    full[used] = weights
    return full


def shrunk_loss(slices: Sequence[Slice], part: int, prior: int) -> float:
    """Pooled log loss of one part at its best mixture with the prior: what it could bring to a blend."""
    pair = [s.part([part, prior]) for s in slices]
    return pooled_loss(pair, _solved(pair))


def _solved(slices: Sequence[Slice], usual: np.ndarray | None = None) -> np.ndarray:
    width = slices[0].margins.shape[1]
    if width == 1:
        return np.ones(1)
    pull = pull_towards(slices, usual) if usual is not None else 0.0
    towards = np.zeros(width) if usual is None else usual
    result = minimize(
        lambda w: _loss_and_gradient(slices, w, towards, pull),
        np.full(width, 1.0 / width),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * width,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones_like(w)},
        options={"ftol": 1e-9, "maxiter": 200},
    )
    weights = np.clip(np.nan_to_num(result.x, nan=1.0 / width), 0.0, None)
    return np.asarray(weights / weights.sum())


def pull_towards(slices: Sequence[Slice], usual: np.ndarray) -> float:
    """What leaving the usual mixture of the parts costs, in mean log loss.

    PULL × overdispersion² over the effective number of independent answers: many rows outvote it.
    """
    say = np.array([s.say for s in slices]) / sum(s.say for s in slices)
    answers = 1.0 / float(np.sum(say**2 / [s.weight.sum() for s in slices]))
    return PULL * overdispersion(slices, usual) ** 2 / answers


def overdispersion(slices: Sequence[Slice], usual: np.ndarray) -> float:
    """How much more the parts' gains over the usual mixture differ between stretches of time than chance explains.

    Chance is that of persons or accounts, whose rows share one outcome.
    Cochran's Q over its degrees of freedom for each part, their median; at least 1.
    """
    means, errors = [], []
    for s in slices:
        base = row_losses(s.margins @ usual, s.label)
        gains = np.column_stack([base - row_losses(margin, s.label) for margin in s.margins.T])
        for rows in np.array_split(np.arange(len(gains)), min(STRETCHES, max(len(gains) // LEAST_ROWS, 1))):
            w = s.weight[rows]
            mean = np.average(gains[rows], axis=0, weights=w)
            means.append(mean)
            away = w[:, None] * (gains[rows] - mean)
            errors.append((_together(away, s.group, rows) ** 2).sum(axis=0) / w.sum() ** 2 + 1e-12)
    if len(means) < 2:
        return 1.0
    precision = 1.0 / np.array(errors)
    centre = (precision * means).sum(axis=0) / precision.sum(axis=0)
    q = (precision * (np.array(means) - centre) ** 2).sum(axis=0) / (len(means) - 1)
    return max(1.0, float(np.median(q)))


def _together(values: np.ndarray, group: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """Sums over the rows [n, k] of each group."""
    if group is None:
        return values
    codes, levels = pd.factorize(group[rows])
    return np.column_stack([np.bincount(codes, column, minlength=len(levels)) for column in values.T])


def _loss_and_gradient(
    slices: Sequence[Slice], weights: np.ndarray, usual: np.ndarray, pull: float
) -> tuple[float, np.ndarray]:
    away = weights - usual
    held = away / (usual + 0.05)
    loss, gradient = pull * float(away @ held), 2.0 * pull * held
    say = np.array([s.say for s in slices]) / sum(s.say for s in slices)
    for share, s in zip(say, slices, strict=True):
        margin = s.margins @ weights
        w = s.weight / s.weight.sum()
        loss += share * float(w @ row_losses(margin, s.label))
        gradient = gradient + share * (s.margins.T @ (w * (expit(margin) - s.label)))
    return loss, gradient
