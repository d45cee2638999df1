"""The operating policy: what a probability is worth to this company.

Versioned apart from the model and deployed together with it in one row.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Literal

Grade = Literal["A", "B", "C", "D"]


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
    hysteresis: float = 0.10
    """A lead handed over falls back only below threshold odds × (1 − hysteresis)."""
    mean_amount: float | None = None
    """Mean amount of won deals, for expected_value = probability × mean_amount."""
    as_of: int = 0
    """Microseconds UTC; what was known before it chose the policy."""

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

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

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
