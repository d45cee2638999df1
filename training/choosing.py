"""Chooses the operating policy from what sales can handle: no outcome is needed for it.

Recent open leads are scored week by week. A lead is handed over in the week
in which its probability first reaches the threshold, so for a threshold τ the
hand-overs are the (previous maximum, probability] intervals that hold τ. The
threshold is the lowest above which no more than the capacity would have been
handed over in an average week; its interval comes from resampled weeks.

Grades: A from the threshold on; B and C from the thresholds that two and four
times the capacity would give; D below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.times import WEEK
from training.policy import Policy

RECENT_WEEKS = 8
LOOKBACK_WEEKS = 8
"""Weeks before the recent ones, scored only so that leads already above a threshold are not counted as new."""
DEFAULT_SHARE = 0.2
"""Without --capacity: the threshold hands over one in five of the leads that arrive."""
GRADE_B, GRADE_C = 2.0, 4.0
"""Capacities, in multiples of the real one, whose thresholds are the cut points of B and C."""
GRID = 512
RESAMPLES = 400


@dataclass(frozen=True)
class Crossings:
    """One row a (lead cycle, instant) in the recent weeks at which the cycle's maximum rose."""

    week: np.ndarray
    """0 … weeks − 1."""
    before: np.ndarray
    """Largest earlier probability of the cycle; −1 where there is none."""
    probability: np.ndarray
    weeks: int
    scale: float = 1.0
    """Leads in the company for each lead here, where the leads were sampled."""


def crossings(
    cycle: np.ndarray, as_of: np.ndarray, probability: np.ndarray, *, until: int, scale: float = 1.0
) -> Crossings:
    """From scored rows (any order) of the weeks before `until`; rows before the recent weeks only set maxima."""
    order = np.lexsort((as_of, cycle))
    cycle, as_of, probability = cycle[order], as_of[order], probability[order]
    before = np.full(len(cycle), -1.0)
    highest, last = -1.0, None
    for i, (c, p) in enumerate(zip(cycle.tolist(), probability.tolist(), strict=True)):
        highest = highest if c == last else -1.0
        before[i], highest, last = highest, max(highest, p), c
    week = RECENT_WEEKS - 1 - (until - 1 - as_of) // WEEK
    rose = (probability > before) & (week >= 0) & (week < RECENT_WEEKS)
    return Crossings(week[rose], before[rose], probability[rose], RECENT_WEEKS, scale)


def choose_policy(
    found: Crossings,
    *,
    target: str,
    capacity: float,
    mean_amount: float | None,
    as_of: int,
    proven: bool = True,
    seed: int = 0,
) -> Policy:
    """The policy that hands over at most `capacity` leads in an average recent week."""
    grid = _grid(found)
    by_week = _handovers(found, grid)
    threshold = _threshold(grid, by_week.mean(axis=0), capacity)
    low, high = _interval(grid, by_week, capacity, seed)
    taken = (found.before < threshold) & (found.probability >= threshold)
    cut_b, cut_c = (_threshold(grid, by_week.mean(axis=0), capacity * more) for more in (GRADE_B, GRADE_C))
    return Policy(
        target=target,
        threshold=threshold,
        cut_a=threshold,
        cut_b=cut_b,
        cut_c=cut_c,
        method="capacity" if proven else "points",
        capacity_per_week=capacity,
        threshold_low=min(low, threshold),
        threshold_high=max(high, threshold),
        handovers_per_week=float(taken.sum() * found.scale / found.weeks),
        expected_yield=float(found.probability[taken].mean()) if taken.any() else threshold,
        mean_amount=mean_amount,
        as_of=as_of,
    )


def choose_share(
    probability: np.ndarray,
    *,
    target: str,
    share: float,
    mean_amount: float | None,
    as_of: int,
    proven: bool = True,
    seed: int = 0,
) -> Policy:
    """Where there are no weeks (row time): hands over the top `share` of the newest rows' probabilities [n]."""
    threshold = float(np.quantile(probability, 1.0 - share))
    draws = np.random.default_rng(seed).choice(probability, (RESAMPLES, len(probability)))
    low, high = np.quantile(np.quantile(draws, 1.0 - share, axis=1), [0.025, 0.975])
    cut_b, cut_c = (float(np.quantile(probability, max(1.0 - more * share, 0.0))) for more in (GRADE_B, GRADE_C))
    return Policy(
        target=target,
        threshold=threshold,
        cut_a=threshold,
        cut_b=cut_b,
        cut_c=cut_c,
        method="capacity" if proven else "points",
        capacity_per_week=None,
        threshold_low=min(float(low), threshold),
        threshold_high=max(float(high), threshold),
        handovers_per_week=0.0,
        expected_yield=float(probability[probability >= threshold].mean()),
        mean_amount=mean_amount,
        as_of=as_of,
    )


def _grid(found: Crossings) -> np.ndarray:
    """Rising thresholds to choose from: probabilities at which leads did cross."""
    if not len(found.probability):
        return np.array([0.5])
    return np.unique(np.quantile(found.probability, np.linspace(0.0, 1.0, GRID), method="higher"))


def _handovers(found: Crossings, grid: np.ndarray) -> np.ndarray:
    """[weeks, thresholds]: how many leads would have been handed over in each week."""
    table = np.zeros((found.weeks, len(grid) + 1))
    first = np.searchsorted(grid, found.before, side="right")
    beyond = np.searchsorted(grid, found.probability, side="right")
    np.add.at(table, (found.week, first), found.scale)
    np.add.at(table, (found.week, beyond), -found.scale)
    return table.cumsum(axis=1)[:, :-1]


def _threshold(grid: np.ndarray, handovers: np.ndarray, capacity: float) -> float:
    """The lowest of `grid` from which on no threshold exceeds the capacity; falls as capacity grows."""
    over = np.flatnonzero(handovers > capacity)
    if not len(over):
        return float(grid[0])
    return float(grid[over[-1] + 1]) if over[-1] + 1 < len(grid) else float(np.nextafter(grid[-1], 1.0))


def _interval(grid: np.ndarray, by_week: np.ndarray, capacity: float, seed: int) -> tuple[float, float]:
    weeks = len(by_week)
    picks = np.random.default_rng(seed).integers(0, weeks, (RESAMPLES, weeks))
    found = [_threshold(grid, by_week[pick].mean(axis=0), capacity) for pick in picks]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
