"""What some columns add to predicting later outcomes: a quick backtest with them and without.

Deliberately smaller than what training does: half logistic regression, half
small boosted trees, fixed settings, two stretches of time each predicted
from its past. It ranks fields; it makes no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from features.leaks import LEAST_OUTCOMES, Floats, Integers, encoded

FOLDS = (0.4, 0.7, 1.0)
"""Edges of the stretches that are predicted, as shares of the rows in order of time."""
TREES: dict[str, Any] = {
    "objective": "binary", "num_leaves": 7, "learning_rate": 0.1, "min_data_in_leaf": 40, "num_threads": 1,
    "max_bin": 63, "verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": 1,
}  # fmt: skip
ROUNDS = 40
ENCODING_FOLDS = 5
"""Rows of one lead stay in one."""
PENALTY = 0.1
"""Inverse strength of the logistic regression's ridge, on standardised columns."""
WIDEST = 4.0
"""Standard deviations at which a standardised value is cut."""

Columns = Mapping[str, npt.NDArray[Any]]
"""By name: float64 with NaN, or text with None; one value a row."""


@dataclass(frozen=True)
class Gain:
    """How much more log loss later outcomes cost without something, per row."""

    mean: float
    error: float
    """Standard error; rows of one lead count as one."""

    @property
    def low(self) -> float:
        return self.mean - 2 * self.error

    @property
    def high(self) -> float:
        return self.mean + 2 * self.error


@dataclass(frozen=True)
class Rows:
    """What the backtest is about: outcomes in order of time."""

    label: Floats
    at: Integers
    lead: Integers
    """A whole number a lead."""
    known_after: int

    def folds(self) -> Iterator[tuple[Integers, Integers]]:
        """(rows whose outcome was known, rows predicted), stretch by stretch."""
        edges = (len(self.at) * np.array(FOLDS)).astype(int)
        for start, end in pairwise(edges):
            past = np.arange(int(np.searchsorted(self.at, self.at[start] - self.known_after, side="right")))
            if min(_fewer(self.label[past]), _fewer(self.label[start:end])) >= LEAST_OUTCOMES:
                yield past, np.arange(start, end)


def _fewer(label: Floats) -> float:
    return float(min(label.sum(), len(label) - label.sum()))


def forward_losses(rows: Rows, columns: Columns) -> Floats:
    """Log loss of each predicted row, NaN for rows of no stretch."""
    losses = np.full(len(rows.label), np.nan)
    for past, ahead in rows.folds():
        known, asked = _matrices(columns, rows, past, ahead)
        margin = _margins(known, rows.label[past], asked)
        losses[ahead] = np.logaddexp(0.0, np.where(rows.label[ahead] == 1, -margin, margin))
    return losses


def prior_losses(rows: Rows) -> Floats:
    """Likewise of the rate known by then."""
    losses = np.full(len(rows.label), np.nan)
    for past, ahead in rows.folds():
        rate = float(rows.label[past].mean())
        losses[ahead] = np.where(rows.label[ahead] == 1, -np.log(rate), -np.log1p(-rate))
    return losses


def gain(without: Floats, with_: Floats, lead: Integers) -> Gain:
    """Mean difference of the losses and its error, clustered by lead."""
    told = np.isfinite(without) & np.isfinite(with_)
    difference = without[told] - with_[told]
    mean = float(difference.mean())
    by_lead = np.bincount(np.unique(lead[told], return_inverse=True)[1], difference - mean)
    return Gain(mean, float(np.sqrt(np.sum(by_lead**2))) / len(difference))


def _margins(known: Floats, label: Floats, asked: Floats) -> Floats:
    """Mean of the two models' log-odds."""
    if known.shape[1] == 0:
        return np.full(len(asked), float(np.log(label.mean() / (1 - label.mean()))))
    plain, scaled = _standardised(known, asked)
    linear = LogisticRegression(C=PENALTY, max_iter=60, tol=1e-3).fit(plain, label)
    trees = lightgbm.train(TREES, lightgbm.Dataset(known, label), num_boost_round=ROUNDS)
    raw = np.asarray(trees.predict(asked, raw_score=True), dtype=np.float64)
    return np.asarray((linear.decision_function(scaled) + raw) / 2, dtype=np.float64)


def _standardised(known: Floats, asked: Floats) -> tuple[Floats, Floats]:
    mean, spread = np.nan_to_num(np.nanmean(known, axis=0)), np.nan_to_num(np.nanstd(known, axis=0))
    spread[spread == 0] = 1.0
    both = (np.clip(np.nan_to_num((m - mean) / spread), -WIDEST, WIDEST) for m in (known, asked))
    plain, scaled = both
    return plain, scaled


def _matrices(columns: Columns, rows: Rows, past: Integers, ahead: Integers) -> tuple[Floats, Floats]:
    """Categories as the log-odds that the past knows of them; columns that never vary in it left out."""
    known, asked = [], []
    label = rows.label[past]
    for values in columns.values():
        if values.dtype.kind == "f":
            pair = values[past], values[ahead]
        else:
            apart = rows.lead[past] % ENCODING_FOLDS
            pair = _encoded_apart(values[past], label, apart), _log_odds(encoded(values[past], label, values[ahead]))
        present = pair[0][~np.isnan(pair[0])]
        if len(present) and (present.min() < present.max() or len(present) < len(pair[0])):
            known.append(pair[0])
            asked.append(pair[1])
    if not known:
        return np.empty((len(past), 0)), np.empty((len(ahead), 0))
    return np.column_stack(known), np.column_stack(asked)


def _encoded_apart(values: npt.NDArray[Any], label: Floats, fold: Integers) -> Floats:
    """Log-odds of each row's level among the rows of other folds: its own outcome must not speak."""
    found = np.zeros(len(values))
    for k in range(ENCODING_FOLDS):
        own = fold == k
        if own.any() and not own.all():
            found[own] = _log_odds(encoded(values[~own], label[~own], values[own]))
    return found


def _log_odds(rate: Floats) -> Floats:
    safe = np.clip(rate, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)), dtype=np.float64)
