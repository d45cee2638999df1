"""The operating policy: what a probability is worth to this company.

Versioned apart from the model and deployed together with it in one row.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Grade = Literal["A", "B", "C", "D"]
Method = Literal["capacity", "profit", "precision", "points"]

HYSTERESIS = 0.10


@dataclass(frozen=True)
class Policy:
    target: str
    """Target whose probability it judges."""
    threshold: float
    """Probability at or above which a lead is handed over."""
    cut_a: float
    """Probability from which a lead is graded A; likewise B and C; below is D."""
    cut_b: float
    """Probability from which a lead is graded B."""
    cut_c: float
    """Probability from which a lead is graded C."""
    method: Literal["capacity", "profit", "precision", "points"]
    """How the threshold was found."""
    capacity_per_week: float | None
    """Leads that sales can take a week, where that decided."""
    threshold_low: float
    """Interval of the threshold (95%), from resampled weeks."""
    threshold_high: float
    """The upper end of that interval."""
    handovers_per_week: float
    """Expected first upward crossings a week on recent leads."""
    expected_yield: float
    """Mean probability of the leads it would hand over."""
    hysteresis: float = HYSTERESIS
    """A lead handed over falls back only below threshold odds × (1 − hysteresis)."""
    mean_amount: float | None = None
    """Mean amount of won deals; the expected value rests on it where the bundle says nothing of amounts."""
    as_of: int = 0
    """Microseconds UTC; what was known before it chose the policy."""
    call_cost: float | None = None
    """Cost of following up one lead, where profit decided."""
    deal_value: float | None = None
    """Value of a won deal, where profit decided."""
    precision: float | None = None
    """Share of the leads handed over that must have the outcome, where that decided."""

    @property
    def policy_id(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def grade(self, probability: float) -> Grade:
        if probability >= self.cut_a:
            return "A"
        if probability >= self.cut_b:
            return "B"
        return "C" if probability >= self.cut_c else "D"

    def threshold_met(self, probability: float) -> bool:
        return probability >= self.threshold

    @property
    def fall_back(self) -> float:
        """Probability below which a lead handed over may be handed over once more."""
        if not 0 < self.threshold < 1:
            return self.threshold
        odds = self.threshold / (1 - self.threshold) * (1 - self.hysteresis)
        return odds / (1 + odds)

    def to_json(self) -> str:
        """Fields added later are written only where they say something, so that older policies keep their ids."""
        later = ("call_cost", "deal_value", "precision")
        fields = {name: value for name, value in asdict(self).items() if name not in later or value is not None}
        return json.dumps(fields, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Policy:
        return Policy(**json.loads(text))


def score_of(probability: float) -> int:
    """The displayed score, 0–100: 100 × √probability, rounded half up.

    A fixed monotone map, the same for every model and policy, so that a score
    means the same on every day: 25 is a chance of 1 in 16, 50 of 1 in 4, 71 of
    1 in 2. The root spreads the small probabilities in which leads live.
    """
    return math.floor(100 * math.sqrt(probability) + 0.5)


def handed_over(series: Sequence[tuple[int, float]], policy: Policy) -> list[int]:
    """Instants at which one lead cycle is handed over, from its (instant, probability) pairs in time order.

    Once when it first meets the threshold, and again only after it fell below
    `policy.fall_back` in between: small moves around the threshold are one
    hand-over.
    """
    instants, taken = [], False
    for at, probability in series:
        if not taken and policy.threshold_met(probability):
            instants.append(at)
            taken = True
        elif taken and probability < policy.fall_back:
            taken = False
    return instants
