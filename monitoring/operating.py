"""The operating point: hand-overs a week at the threshold in force, against what capacity allows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from data.times import WEEK
from monitoring.evidence import PROBABILITY, OperatingPoint
from training.choosing import LOOKBACK_WEEKS, RECENT_WEEKS, Crossings, crossings
from training.policy import Policy

PANEL_SPAN = (RECENT_WEEKS + LOOKBACK_WEEKS) * WEEK
"""How far back the panel reaches, as when a policy is chosen."""
PANEL_ROWS = 100_000
TOLERANCE = 0.25
"""Share of the capacity by which a week may always differ."""
WIDTH = 2.58
"""Standard deviations of the interval: 99%."""


def panel_crossings(panel: pd.DataFrame, *, until: int, share: float) -> Crossings:
    """Rises of each cycle's highest probability in the recent weeks.

    `panel`: cycle_id, as_of, probability of `share` of all leads, at every grid
    instant of the PANEL_SPAN before `until`.
    """
    cycle = pd.factorize(panel["cycle_id"])[0]
    as_of = panel["as_of"].to_numpy(dtype=np.int64)
    return crossings(cycle, as_of, panel[PROBABILITY].to_numpy(dtype=float), until=until, scale=1 / share)


def handovers_by_week(found: Crossings, threshold: float) -> np.ndarray:
    """Hand-overs in each recent week at a threshold, newest first, in leads of the sample: float64[weeks]."""
    taken = (found.before < threshold) & (found.probability >= threshold)
    return np.bincount(found.week[taken], minlength=found.weeks).astype(float)[::-1]


def operating_point(found: Crossings, policy: Policy, *, weeks: int) -> OperatingPoint:
    """Hand-overs a week over the newest `weeks` weeks.

    The interval stands around the capacity (or what the policy promised) and
    is as wide as the recent weeks differ, the sampling of leads included.
    """
    counts = handovers_by_week(found, policy.threshold)
    weeks = min(weeks, len(counts))
    expected = policy.capacity_per_week if policy.capacity_per_week is not None else policy.handovers_per_week
    deviation = _deviation(counts[weeks:], expected / found.scale, weeks) * found.scale
    half = max(TOLERANCE * expected, WIDTH * deviation)
    return OperatingPoint(
        handovers_per_week=float(counts[:weeks].mean() * found.scale),
        low=max(0.0, expected - half),
        high=expected + half,
        capacity_per_week=policy.capacity_per_week,
    )


def _deviation(before: np.ndarray, expected: float, weeks: int) -> float:
    """Standard deviation of the mean of `weeks` counts: Poisson, widened by the dispersion of the weeks before."""
    dispersion = before.var(ddof=1) / before.mean() if len(before) > 1 and before.sum() else 1.0
    return math.sqrt(max(1.0, float(dispersion)) * max(expected, 1.0) / weeks)
