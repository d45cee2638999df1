"""Calibration in margin space: none, an intercept shift, or Platt with slope ≥ 0; never isotonic.

Accepted only where the history shows that it helps: fitted on one slice and
tried on the next, better beyond one standard error in two slices, worse beyond
it in none, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from training.blend import row_losses
from training.parts import Calibration

NONE = Calibration()
TIMES_PROVEN = 2


def choose_calibration(
    margins: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    groups: Sequence[np.ndarray],
) -> Calibration:
    """From the blend's margins on each slice in time order; the one accepted is fitted on the newest slice."""
    for method in ("platt", "intercept"):
        proven, harmed = 0, 0
        for k in range(1, len(margins)):
            fitted = fit_calibration(method, margins[k - 1], labels[k - 1], weights[k - 1])
            before = row_losses(margins[k], labels[k])
            after = row_losses(fitted.shift + fitted.slope * margins[k], labels[k])
            gain, error = clustered_mean(before - after, weights[k], groups[k])
            proven += int(gain > error)
            harmed += int(gain < -error)
        if proven >= TIMES_PROVEN and not harmed:
            return fit_calibration(method, margins[-1], labels[-1], weights[-1])
    return NONE


def fit_calibration(method: str, margin: np.ndarray, label: np.ndarray, weight: np.ndarray) -> Calibration:
    """The log-loss minimising shift (and slope ≥ 0), lightly held towards none."""
    share = weight / weight.sum()
    held = 1.0 / max(len(label), 1)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        shift, slope = parameters[0], parameters[1] if method == "platt" else 1.0
        m = shift + slope * margin
        error = share * (expit(m) - label)
        value = share @ row_losses(m, label) + held * (shift**2 + (slope - 1.0) ** 2)
        return float(value), np.array([error.sum() + 2 * held * shift, error @ margin + 2 * held * (slope - 1.0)])[
            : len(parameters)
        ]

    start = np.array([0.0, 1.0]) if method == "platt" else np.array([0.0])
    bounds = [(None, None), (0.0, None)][: len(start)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    slope = float(found[1]) if method == "platt" else 1.0
    return Calibration("platt" if method == "platt" else "intercept", slope, float(found[0]))


def clustered_mean(values: np.ndarray, weight: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """(weighted mean, its standard error) where the rows of a group are not independent."""
    mean = float(np.average(values, weights=weight))
    _, codes = np.unique(group, return_inverse=True)
    sums = np.bincount(codes, weight * (values - mean))
    count = len(sums)
    correction = count / (count - 1) if count > 1 else 1.0
    return mean, float(np.sqrt(correction * (sums**2).sum()) / weight.sum())
