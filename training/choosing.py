"""Chooses the operating policy: from what sales can handle, from profit, or from a precision that must be kept.

Recent open leads are scored week by week. A lead is handed over when its
probability meets the threshold, and again only after it fell below it by the
hysteresis (`training.policy.handed_over`); so for a threshold τ the hand-overs
are the (level, probability] intervals that hold τ. No outcome is needed for it.

| aim | threshold |
|---|---|
| capacity | the lowest above which no more than the capacity would have been handed over in an average week |
| profit | cost of a call / value of a won deal: there the expected gain of one more call is zero |
| precision | the lowest from which on the mean probability of the leads handed over keeps the floor |

The interval (95%) of the first comes from resampled weeks. The other two rest
on the probabilities being right, so theirs comes from the backtest: accounts
are drawn again, the margins calibrated anew on each draw (`recalibrations`),
and the threshold is said in the model's own probabilities.

Grades: A from the threshold on; B and C from the thresholds that two and four
times the hand-overs would give; D below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from data.errors import DataRefused
from data.times import WEEK
from training.aims import Aim
from training.policy import HYSTERESIS, Method, Policy

RECENT_WEEKS = 8
LOOKBACK_WEEKS = 8
"""Weeks before the recent ones, scored only so that leads already above a threshold are not counted as new."""
DEFAULT_SHARE = 0.2
"""Without --capacity: the threshold hands over one in five of the leads that arrive."""
GRADE_B, GRADE_C = 2.0, 4.0
"""Hand-overs, in multiples of the real ones, whose thresholds are the cut points of B and C."""
GRID = 512
RESAMPLES = 400
LEAST_TAKEN = 10
"""Leads handed over in the recent weeks from which a precision is worth its name."""
LEAST_SLOPE = 0.05
"""Recalibrations flatter than this have no threshold."""

Recalibrations = Sequence[tuple[float, float]]
"""(shift, slope) pairs: what the model's margins would have to become on draws of the backtest's accounts."""


@dataclass(frozen=True)
class Crossings:
    """One row a (lead cycle, instant) in the recent weeks at which the cycle rose above its level."""

    week: np.ndarray
    """0 … weeks − 1."""
    before: np.ndarray
    """The cycle counts as handed over for thresholds up to here; −1 where it was never seen before."""
    probability: np.ndarray
    weeks: int
    scale: float = 1.0
    """Leads in the company for each lead here, where the leads were sampled."""


def crossings(
    cycle: np.ndarray,
    as_of: np.ndarray,
    probability: np.ndarray,
    *,
    until: int,
    scale: float = 1.0,
    hysteresis: float = HYSTERESIS,
) -> Crossings:
    """From scored rows (any order) of the weeks before `until`; rows before the recent weeks only set levels.

    The level is where the cycle counts as handed over: it rises to each
    probability above it, and falls to the threshold whose odds × (1 −
    hysteresis) are the probability's odds.
    """
    order = np.lexsort((as_of, cycle))
    cycle, as_of, probability = cycle[order], as_of[order], probability[order]
    odds = probability / np.maximum(1.0 - probability, 1e-12) / (1.0 - hysteresis)
    kept = odds / (1.0 + odds)
    before = np.full(len(cycle), -1.0)
    level, last = -1.0, None
    for i, (c, p, k) in enumerate(zip(cycle.tolist(), probability.tolist(), kept.tolist(), strict=True)):
        level = level if c == last else -1.0
        before[i], level, last = level, max(p, min(level, k)), c
    week = RECENT_WEEKS - 1 - (until - 1 - as_of) // WEEK
    rose = (probability > before) & (week >= 0) & (week < RECENT_WEEKS)
    return Crossings(week[rose], before[rose], probability[rose], RECENT_WEEKS, scale)


def choose_policy(
    found: Crossings,
    *,
    target: str,
    capacity: float | None = None,
    aim: Aim | None = None,
    mean_amount: float | None,
    as_of: int,
    proven: bool = True,
    seed: int = 0,
    recalibrations: Recalibrations = (),
) -> Policy:
    """The policy that `aim` (or a capacity of so many leads in an average recent week) asks for.

    Raises DataRefused where no threshold keeps the precision asked for, or an
    unproven scorer is asked for more than a capacity.
    """
    aim = aim or Aim(capacity=capacity)
    grid = _grid(found)
    by_week = _handovers(found, grid)
    threshold, low, high = _aimed(found, grid, by_week, aim, proven, seed, recalibrations)
    taken = (found.before < threshold) & (found.probability >= threshold)
    usual = aim.capacity if aim.capacity is not None else max(float(taken.sum()), 1.0) * found.scale / found.weeks
    cut_b, cut_c = (_threshold(grid, by_week.mean(axis=0), usual * more) for more in (GRADE_B, GRADE_C))
    return Policy(
        target=target,
        threshold=threshold,
        cut_a=threshold,
        cut_b=min(cut_b, threshold),
        cut_c=min(cut_c, cut_b, threshold),
        method=_method(aim, proven),
        capacity_per_week=aim.capacity,
        threshold_low=min(low, threshold),
        threshold_high=max(high, threshold),
        handovers_per_week=float(taken.sum() * found.scale / found.weeks),
        expected_yield=float(found.probability[taken].mean()) if taken.any() else threshold,
        mean_amount=mean_amount,
        as_of=as_of,
        call_cost=aim.call_cost,
        deal_value=aim.deal_value,
        precision=aim.precision,
    )


def choose_share(
    probability: np.ndarray,
    *,
    target: str,
    share: float | None = None,
    aim: Aim | None = None,
    mean_amount: float | None,
    as_of: int,
    proven: bool = True,
    seed: int = 0,
    recalibrations: Recalibrations = (),
) -> Policy:
    """Where there are no weeks (row time): all rows are one week, in which each lead is new.

    A capacity is a `share` of the newest rows' probabilities [n], the best.
    """
    if share is not None or aim is None or aim.method == "capacity":
        best = DEFAULT_SHARE if share is None else share
        threshold, low, high = _best_share(probability, best, seed)
        aim = Aim()
    else:
        nothing_before = np.full(len(probability), -1.0)
        found = Crossings(np.zeros(len(probability), dtype=int), nothing_before, probability, 1)
        grid = _grid(found)
        threshold, low, high = _aimed(found, grid, _handovers(found, grid), aim, proven, seed, recalibrations)
        best = float(np.mean(probability >= threshold))
    cut_b, cut_c = (float(np.quantile(probability, max(1.0 - more * best, 0.0))) for more in (GRADE_B, GRADE_C))
    taken = probability >= threshold
    return Policy(
        target=target,
        threshold=threshold,
        cut_a=threshold,
        cut_b=min(cut_b, threshold),
        cut_c=min(cut_c, cut_b, threshold),
        method=_method(aim, proven),
        capacity_per_week=None,
        threshold_low=min(low, threshold),
        threshold_high=max(high, threshold),
        handovers_per_week=0.0,
        expected_yield=float(probability[taken].mean()) if taken.any() else threshold,
        mean_amount=mean_amount,
        as_of=as_of,
        call_cost=aim.call_cost,
        deal_value=aim.deal_value,
        precision=aim.precision,
    )


def _method(aim: Aim, proven: bool) -> Method:
    return aim.method if proven else "points"


def _best_share(probability: np.ndarray, share: float, seed: int) -> tuple[float, float, float]:
    """(threshold, low, high) that takes the best `share`."""
    draws = np.random.default_rng(seed).choice(probability, (RESAMPLES, len(probability)))
    low, high = np.quantile(np.quantile(draws, 1.0 - share, axis=1), [0.025, 0.975])
    return float(np.quantile(probability, 1.0 - share)), float(low), float(high)


def _aimed(
    found: Crossings,
    grid: np.ndarray,
    by_week: np.ndarray,
    aim: Aim,
    proven: bool,
    seed: int,
    recalibrations: Recalibrations,
) -> tuple[float, float, float]:
    """(threshold, low, high)."""
    if aim.method == "capacity":
        assert aim.capacity is not None
        threshold = _threshold(grid, by_week.mean(axis=0), aim.capacity)
        return threshold, *_interval(grid, by_week, aim.capacity, seed)
    if not proven:
        raise DataRefused(
            f"threshold from {aim.method}",
            "an unproven scorer, which gives no probability",
            expected="outcomes enough for one",
            remedy="give --capacity until then",
        )
    usable = [(shift, slope) for shift, slope in recalibrations if slope >= LEAST_SLOPE]
    if aim.precision is not None:
        return _by_precision(found, grid, aim.precision, usable, seed)
    worth = aim.least_worth
    drawn = [float(expit((logit(worth) - shift) / slope)) for shift, slope in usable]
    return worth, *_ends(drawn, worth)


def _by_precision(
    found: Crossings, grid: np.ndarray, floor: float, recalibrations: Recalibrations, seed: int
) -> tuple[float, float, float]:
    """The lowest threshold from which on the yield keeps the floor, and its interval."""
    whole = np.ones(found.weeks)
    central = _lowest_with_yield(found, grid, found.probability, whole, floor)
    if central is None:
        best = _yields(found, grid, found.probability, whole)
        raise DataRefused(
            f"threshold for a precision of {floor:g}",
            f"a best yield of {np.nanmax(best):.3f} on recent leads"
            if np.isfinite(best).any()
            else f"fewer than {LEAST_TAKEN} recent leads",
            expected=f"a threshold that hands over {LEAST_TAKEN} leads in {found.weeks} weeks with that yield",
            remedy="give a lower --precision",
        )
    random = np.random.default_rng(seed)
    margin = logit(np.clip(found.probability, 1e-12, 1 - 1e-12))
    drawn = []
    for shift, slope in recalibrations:
        weeks = np.bincount(random.integers(0, found.weeks, found.weeks), minlength=found.weeks).astype(float)
        one = _lowest_with_yield(found, grid, expit(shift + slope * margin), weeks, floor)
        drawn.append(float(grid[-1]) if one is None else one)
    return central, *_ends(drawn, central)


def _lowest_with_yield(
    found: Crossings, grid: np.ndarray, probability: np.ndarray, weeks: np.ndarray, floor: float
) -> float | None:
    yields = _yields(found, grid, probability, weeks)
    known = np.flatnonzero(np.isfinite(yields))
    below = np.flatnonzero(yields[known] < floor)
    first = below[-1] + 1 if len(below) else 0
    return float(grid[known[first]]) if first < len(known) else None


def _yields(found: Crossings, grid: np.ndarray, probability: np.ndarray, weeks: np.ndarray) -> np.ndarray:
    """Mean `probability` of the leads handed over at each threshold; NaN where too few are."""
    share = weeks[found.week]
    count, total = (_summed(found, grid, values) for values in (share, share * probability))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count >= LEAST_TAKEN, total / count, np.nan)


def _summed(found: Crossings, grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The sum of `values` over the hand-overs at each threshold."""
    table = np.zeros(len(grid) + 1)
    np.add.at(table, np.searchsorted(grid, found.before, side="right"), values)
    np.add.at(table, np.searchsorted(grid, found.probability, side="right"), -values)
    return table.cumsum()[:-1]


def _ends(drawn: Sequence[float], central: float) -> tuple[float, float]:
    """The 95% interval of the drawn thresholds; without draws there is none and it is as wide as nothing."""
    if not drawn:
        return central, central
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


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
