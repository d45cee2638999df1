"""The operating point: hand-overs a week at the threshold in force, against what capacity allows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from monitoring.evidence import PROBABILITY, OperatingPoint
from training.policy import Policy

PANEL_WEEKS = 13
"""Weeks before the window that show how much ordinary weeks differ."""
PANEL_ROWS = 100_000
TOLERANCE = 0.25
"""Share of the capacity by which a week may always differ."""
WIDTH = 2.58
"""Standard deviations of the interval: 99%."""


def crossings_by_week(panel: pd.DataFrame, threshold: float, weeks: int) -> np.ndarray:
    """First upward crossings in each week, newest first: float64[weeks].

    `panel`: one row per cycle and week, columns cycle_id, week (0 newest),
    probability; it reaches back at least one week further than `weeks`. A cycle
    crosses once, in the first week of the panel in which it stands at or above
    the threshold.
    """
    above = panel[panel[PROBABILITY] >= threshold]
    first = above.groupby("cycle_id")["week"].max()
    return np.bincount(first[first < weeks].to_numpy(dtype=np.int64), minlength=weeks).astype(float)


def operating_point(panel: pd.DataFrame, policy: Policy, *, weeks: int, share: float) -> OperatingPoint | None:
    """The window's hand-overs a week; `panel` holds `share` of all leads over the window and PANEL_WEEKS before.

    None where the panel holds no rows. The interval stands around the capacity
    (or what the policy promised) and is as wide as ordinary weeks differ, the
    sampling of leads included.
    """
    if panel.empty:
        return None
    counts = crossings_by_week(panel, policy.threshold, weeks + PANEL_WEEKS)
    expected = policy.capacity_per_week if policy.capacity_per_week is not None else policy.handovers_per_week
    half = max(TOLERANCE * expected, WIDTH * _deviation(counts[weeks:], expected * share, weeks) / share)
    return OperatingPoint(
        handovers_per_week=float(counts[:weeks].mean() / share),
        low=max(0.0, expected - half),
        high=expected + half,
        capacity_per_week=policy.capacity_per_week,
    )


def _deviation(before: np.ndarray, expected: float, weeks: int) -> float:
    """Standard deviation of the mean of `weeks` counts: Poisson, widened by the dispersion of the weeks before."""
    dispersion = before.var(ddof=1) / before.mean() if before.sum() else 1.0
    return math.sqrt(max(1.0, float(dispersion)) * max(expected, 1.0) / weeks)
