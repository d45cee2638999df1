"""What the policy's hand-overs would have brought on the backtest's slices: lift and captured outcomes at capacity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.intervals import Interval, Judged, ratio


@dataclass(frozen=True)
class Handovers:
    """Counted by lead cycle: one is handed over at its first row at or above the threshold."""

    threshold: float
    cycles: int
    handed_over: int
    outcomes: int
    """Cycles with the outcome."""
    yielded: Interval
    """Share of the hand-overs that had the outcome within the horizon."""
    captured: Interval
    """Share of the cycles with the outcome that were handed over before it."""
    lift: Interval
    """Yield over the share of all cycles that had the outcome."""

    @property
    def share(self) -> float:
        """Of the cycles that were handed over."""
        return self.handed_over / self.cycles if self.cycles else 0.0


def handovers(judged: Judged, as_of: np.ndarray, threshold: float) -> Handovers:
    """`as_of` [n] orders the rows of a cycle."""
    order = np.lexsort((as_of, judged.cycle))
    cycle, label, group = judged.cycle[order], judged.label[order], judged.group[order]
    starts = np.flatnonzero(np.r_[True, cycle[1:] != cycle[:-1]])
    taken = np.flatnonzero(judged.probability[order] >= threshold)
    _, first = np.unique(cycle[taken], return_index=True)
    at = np.searchsorted(cycle[starts], cycle[taken[first]])
    won = np.maximum.reduceat(label, starts)
    handed, paid = np.zeros(len(starts)), np.zeros(len(starts))
    handed[at], paid[at] = 1.0, label[taken[first]]
    once = replace(judged, group=group[starts], cycle=cycle[starts])
    ones = np.ones(len(starts))
    base = float(won.mean())
    yielded = ratio(once, paid, handed)
    return Handovers(
        threshold=threshold,
        cycles=len(starts),
        handed_over=int(handed.sum()),
        outcomes=int(won.sum()),
        yielded=yielded,
        captured=ratio(once, paid, won),
        lift=_over(yielded, ratio(once, won, ones), base),
    )


def _over(yielded: Interval, rate: Interval, base: float) -> Interval:
    """The lift; its interval is the yield's, since the rate of all cycles is known far better."""
    if base <= 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    return Interval(yielded.value / rate.value, yielded.low / rate.value, yielded.high / rate.value)
