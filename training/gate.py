"""The gate: a challenger that never saw the newest slice is held there against all it must not lose to.

The difference to an opponent is the mean over the slice's rows of challenger's
minus opponent's log loss (paired, weighted, standard error by person or
account). The tolerance is fixed: a hundredth of the loss of the slice's own
rate. The challenger loses where the difference is larger than the tolerance
and than noise. Every bundle promoted so far and not taken back is an
opponent: what is measured is the distance to the best there ever was, so that
many small steps down are stopped like one large one.

Below LEAST_OUTCOMES outcomes, a slice decides nothing and the gate says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from training.blend import row_losses
from training.calibration import clustered_mean

TOLERANCE = 0.01
"""Share of the loss of the slice's own rate by which a challenger may be worse than any opponent, once and for all."""
NOISE = 1.645
"""Standard errors beyond which a difference is not noise: a one-sided 5% test."""
LEAST_OUTCOMES = 20
"""Persons or accounts with the outcome, and as many without, from which a slice decides."""
MOST_SHIFT = 2.0
"""Log-odds by which all margins together may move when the newest slice is learned too."""
MOST_SPREAD = 1.0
"""Log-odds by which single margins may move beside that, as a standard deviation."""

Verdict = Literal["holds", "no loss shown", "loses", "undecided"]


@dataclass(frozen=True)
class Judged:
    """Rows [n] of a slice, as every comparison sees them."""

    label: np.ndarray
    weight: np.ndarray
    group: np.ndarray

    def take(self, rows: np.ndarray) -> Judged:
        return Judged(self.label[rows], self.weight[rows], self.group[rows])

    @property
    def outcomes(self) -> int:
        """Persons or accounts with the outcome."""
        return len(np.unique(self.group[self.label == 1.0]))

    @property
    def decides(self) -> bool:
        without = len(np.unique(self.group)) - self.outcomes
        return min(self.outcomes, without) >= LEAST_OUTCOMES

    @property
    def tolerance(self) -> float:
        """In mean log loss."""
        rate = float(np.average(self.label, weights=self.weight)) if len(self.label) else 0.0
        return TOLERANCE * float(row_losses(np.log(rate / (1 - rate)), np.array(rate))) if 0 < rate < 1 else 0.0


@dataclass(frozen=True)
class Comparison:
    """The challenger against one opponent; log losses in nats, positive where the challenger is worse."""

    opponent: str
    stood_for_by: str
    """What scored the slice for it."""
    rows: int
    outcomes: int
    difference: float
    error: float
    tolerance: float
    verdict: Verdict
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Agreement:
    """How far the shipped model's margins, which learned the newest slice too, stand from the gated one's there."""

    rows: int
    shift: float
    """Weighted mean of shipped minus gated, in log-odds."""
    spread: float
    """Weighted standard deviation of that difference."""

    @property
    def within(self) -> bool:
        return abs(self.shift) <= MOST_SHIFT and self.spread <= MOST_SPREAD

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        return (
            f"margins moved by {self.shift:+.2f} together (at most {MOST_SHIFT:g}) and by {self.spread:.2f} apart "
            f"(at most {MOST_SPREAD:g}), in log-odds"
        )


@dataclass(frozen=True)
class Gate:
    """All comparisons of one challenger, and whether what is shipped is what was tested."""

    comparisons: tuple[Comparison, ...]
    agreement: Agreement | None
    """None where there is nothing to compare (no gated model)."""
    notes: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[Comparison, ...]:
        return tuple(c for c in self.comparisons if c.verdict == "loses")

    @property
    def refuses(self) -> bool:
        return bool(self.lost) or (self.agreement is not None and not self.agreement.within)

    @property
    def decided(self) -> bool:
        """Whether every opponent was really met; what nobody looks at is promoted only then."""
        return bool(self.comparisons) and all(c.verdict != "undecided" for c in self.comparisons)

    def reasons(self) -> str:
        """Why it refuses, with the figures."""
        said = [
            f"a log loss worse than that of {c.opponent} by {c.difference:.4f} ± {c.error:.4f} "
            f"(tolerance {c.tolerance:.4f}) on {c.rows:,} rows"
            for c in self.lost
        ]
        if self.agreement is not None and not self.agreement.within:
            said.append("a refit that differs from what was tested: " + self.agreement.text())
        return "; ".join(said)

    def to_dict(self) -> dict[str, Any]:
        return {
            "comparisons": [c.to_dict() for c in self.comparisons],
            "agreement": self.agreement.to_dict() if self.agreement else None,
            "notes": list(self.notes),
            "refuses": self.refuses,
            "decided": self.decided,
        }


def compared(opponent: str, stood_for_by: str, challenger: np.ndarray, margin: np.ndarray, rows: Judged) -> Comparison:
    """`challenger` and `margin` are the two models' margins of `rows`."""
    losses = row_losses(challenger, rows.label) - row_losses(margin, rows.label)
    difference, error = clustered_mean(losses, rows.weight, rows.group)
    return Comparison(
        opponent=opponent,
        stood_for_by=stood_for_by,
        rows=len(rows.label),
        outcomes=rows.outcomes,
        difference=difference,
        error=error,
        tolerance=rows.tolerance,
        verdict=verdict_of(difference, error, rows.tolerance) if rows.decides else "undecided",
        note="" if rows.decides else f"fewer than {LEAST_OUTCOMES} outcomes on either side decide nothing",
    )


def undecided(opponent: str, note: str) -> Comparison:
    return Comparison(opponent, "nothing", 0, 0, 0.0, 0.0, 0.0, "undecided", note)


def verdict_of(difference: float, error: float, tolerance: float) -> Verdict:
    """loses: worse by more than the tolerance and than noise; holds: not worse by more than it even with noise."""
    if difference > max(tolerance, NOISE * error):
        return "loses"
    return "holds" if difference + NOISE * error <= tolerance else "no loss shown"


def agreement_of(shipped: np.ndarray, gated: np.ndarray, weight: np.ndarray) -> Agreement:
    """From both models' margins [n] of the same rows."""
    difference = shipped - gated
    shift = float(np.average(difference, weights=weight))
    spread = float(np.sqrt(np.average((difference - shift) ** 2, weights=weight)))
    return Agreement(len(difference), shift, spread)


def references(challenger: np.ndarray, prior: np.ndarray, logistic: np.ndarray, rows: Judged) -> Sequence[Comparison]:
    """Against the constant rate and the logistic regression, both refitted on the slice's past."""
    how = "refitted"
    return [compared(name, how, challenger, m, rows) for name, m in (("the prior", prior), ("the logistic", logistic))]
