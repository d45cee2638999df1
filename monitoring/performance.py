"""How the champion did on leads whose outcome is known by now.

"Worse" needs something to be worse than. The bound here is the champion's own
word: outcomes are drawn from its probabilities on the very same rows, and a
figure beyond what LEVEL of those draws give says that the probabilities are
wrong there. This allows for the number of rows and of conversions, and needs
no figure kept from training. One row a lead: rows of one lead share an outcome.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from monitoring.evidence import LEVEL, Matured

ECE_BINS = 10
CALIBRATION_TOLERANCE = 0.20
"""Calibration error, as a share of the mean probability, below which it is let be however certain."""
LOSS_TOLERANCE = 0.02
"""Likewise for log loss, as a share of what the champion expects."""
AUC_TOLERANCE = 0.02
"""Likewise for AUC, in AUC below what the champion expects."""
DRAWS = 1_000
MOST_CELLS = 4_000_000
"""Draws × rows held in memory at once."""


def matured_performance(probability: np.ndarray, outcome: np.ndarray, *, seed: int = 0) -> Matured | None:
    """Figures and bounds of float64[n] probabilities against bool[n] outcomes; None when there are no rows.

    One row a matured lead; immature rows must have been left out before.
    """
    if not len(probability):
        return None
    p, y = np.clip(probability.astype(float), 1e-9, 1 - 1e-9), outcome.astype(bool)
    bounds = _bounds(p, np.random.default_rng(seed))
    return Matured(
        rows=len(p),
        conversions=int(y.sum()),
        base_rate=float(y.mean()),
        predicted=float(p.mean()),
        auc=auc(p, y),
        auc_bound=bounds["auc"],
        log_loss=log_loss(p, y),
        log_loss_bound=bounds["log_loss"],
        ece=calibration_error(p, y),
        ece_bound=bounds["ece"],
        lift=lift(p, y),
    )


def _bounds(p: np.ndarray, generator: np.random.Generator) -> dict[str, float]:
    """The figures beyond which a window is worse; noise and the tolerances both allowed for."""
    drawn = _drawn_figures(p, generator)
    expected_loss = float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
    return {
        "auc": float(min(np.nanquantile(drawn["auc"], LEVEL), np.nanmean(drawn["auc"]) - AUC_TOLERANCE)),
        "log_loss": float(max(np.quantile(drawn["log_loss"], 1 - LEVEL), expected_loss * (1 + LOSS_TOLERANCE))),
        "ece": float(max(np.quantile(drawn["ece"], 1 - LEVEL), p.mean() * CALIBRATION_TOLERANCE)),
    }


def _drawn_figures(p: np.ndarray, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """AUC, log loss and calibration error over outcomes that the probabilities themselves draw."""
    figures: dict[str, list[float]] = {"auc": [], "log_loss": [], "ece": []}
    draws = max(200, min(DRAWS, MOST_CELLS // len(p)))
    ranks, bins = rankdata(p), _bins(p)
    for _ in range(draws):
        y = generator.random(len(p)) < p
        figures["auc"].append(_auc_of_ranks(ranks, y))
        figures["log_loss"].append(log_loss(p, y))
        figures["ece"].append(_error_in_bins(p, y, bins))
    return {name: np.array(values) for name, values in figures.items()}


def auc(p: np.ndarray, y: np.ndarray) -> float | None:
    """Chance that a won lead stands above a lost one, ties half (Mann–Whitney); None with one class only."""
    value = _auc_of_ranks(rankdata(p), y)
    return None if np.isnan(value) else value


def _auc_of_ranks(ranks: np.ndarray, y: np.ndarray) -> float:
    won, lost = int(y.sum()), int((~y).sum())
    if not won or not lost:
        return float("nan")
    return float((ranks[y].sum() - won * (won + 1) / 2) / (won * lost))


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    """Mean negative log-likelihood, in nats."""
    return float(-np.log(np.where(y, p, 1 - p)).mean())


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """Expected calibration error over ten bins of equal count: Σ share · |mean p − mean y|."""
    return _error_in_bins(p, y, _bins(p))


def _bins(p: np.ndarray) -> np.ndarray:
    """Bin of each row, equal counts, equal probabilities together: int64[n]."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, ECE_BINS + 1)[1:-1]))
    return np.searchsorted(edges, p, side="left")


def _error_in_bins(p: np.ndarray, y: np.ndarray, bins: np.ndarray) -> float:
    gaps = np.bincount(bins, weights=p - y)
    return float(np.abs(gaps).sum() / len(p))


def lift(p: np.ndarray, y: np.ndarray) -> float | None:
    """Base rate of the tenth with the highest probability over the base rate of all; None without conversions."""
    if not y.any():
        return None
    top = np.argsort(-p, kind="stable")[: max(1, len(p) // 10)]
    return float(y[top].mean() / y.mean())
