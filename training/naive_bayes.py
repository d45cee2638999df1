"""Frequency naive Bayes as open-source CRMs ship it: the peer that is always there. Only compared with, never used."""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.matrix import Matrix

SMOOTHING = 0.1
BINS = 5


def naive_bayes_margins(train: Matrix, test: Matrix) -> np.ndarray:
    """Margins [test rows]: log prior odds plus, per feature, log P(value | won) − log P(value | not won).

    Numbers are cut at the training quintiles; a value never seen says nothing.
    """
    won = float(train.weight @ train.label)
    lost = float(train.weight.sum() - won)
    margin = np.full(len(test), np.log((won + SMOOTHING) / (lost + SMOOTHING)))
    for i, declaration in enumerate(train.declarations):
        seen, asked = train.columns[i], test.columns[i]
        if not declaration.is_category:
            edges = _edges(seen)
            seen, asked = _binned(seen, edges), _binned(asked, edges)
        margin += _evidence(seen, asked, train, won, lost)
    return margin


def _evidence(seen: np.ndarray, asked: np.ndarray, train: Matrix, won: float, lost: float) -> np.ndarray:
    codes, levels = pd.factorize(seen)
    known = codes >= 0
    size = len(levels)
    of_won = np.bincount(codes[known], (train.weight * train.label)[known], minlength=size) + SMOOTHING
    of_lost = np.bincount(codes[known], (train.weight * (1 - train.label))[known], minlength=size) + SMOOTHING
    ratio = np.log(of_won / (won + SMOOTHING * size)) - np.log(of_lost / (lost + SMOOTHING * size))
    place = pd.Index(levels).get_indexer(pd.Index(asked))
    return np.where(place >= 0, np.append(ratio, 0.0)[place], 0.0)


def _edges(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    if not len(known):
        return np.array([])
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))


def _binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    bins = np.searchsorted(edges, values, side="right").astype(np.float64)
    bins[np.isnan(values)] = np.nan
    return bins
