"""What computed a ledger's rows: bundles and policies by the names in the rows, ready to compute them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import LeadscoreError
from data.home import Home
from data.store.operational import Store
from features.online import OnlineFeatures
from training.bundle import Bundle, ScoredTable, logistic
from training.policy import Policy, score_of
from training.verify import verify_bundle

Value = float | str | None


class Judges:
    """Bundles and policies by the names in the rows; each is read, and a bundle verified, once."""

    def __init__(self, store: Store, home: Home) -> None:
        self._store, self._bundles = store, home.bundles
        self._read: dict[tuple[str, str], Judge | str] = {}

    def of(self, bundle_hash: str, policy_id: str) -> Judge | str:
        """The judge of such rows, or why there is none."""
        key = (bundle_hash, policy_id)
        if key not in self._read:
            try:
                self._read[key] = Judge.read(self._bundles / bundle_hash, self._store.policy(policy_id))
            except LeadscoreError as error:
                self._read[key] = str(error)
        return self._read[key]


@dataclass(frozen=True, eq=False)
class Judge:
    """What computed a row, made ready to compute it again."""

    bundle: Bundle
    policy: Policy
    features: OnlineFeatures

    @staticmethod
    def read(path: Path, policy: str) -> Judge:
        verify_bundle(path)
        bundle = Bundle.load(path)
        return Judge(bundle, Policy.from_json(policy), OnlineFeatures(bundle.declarations, bundle.company))

    def columns(self, values: Sequence[Sequence[Value]]) -> dict[str, np.ndarray | list[Value]]:
        """Rows of values by column, as the bundle wants them."""
        by_column = zip(*values, strict=True)
        return {
            d.name: list(column)
            if d.is_category
            else np.array([np.nan if v is None else v for v in column], np.float64)
            for d, column in zip(self.bundle.declarations, by_column, strict=True)
        }

    def unfit(self, values: Sequence[Value]) -> str:
        """Why these cannot be values of this bundle's features; empty where they can."""
        declared = self.bundle.declarations
        if len(values) != len(declared):
            return f"{len(values)} feature values for {len(declared)} features"
        wrong = [d.name for d, v in zip(declared, values, strict=True) if isinstance(v, str) and not d.is_category]
        return f"a text as value of {', '.join(wrong)}" if wrong else ""


def figures(scored: ScoredTable, place: int, policy: Policy) -> Mapping[str, float | int | str | bool | None]:
    """What a ledger row says of one scored row, and what the policy makes of it."""
    margin, probability = float(scored.margin[place]), float(scored.probability[place])
    chance = logistic(margin) if np.isnan(probability) else probability
    return {
        "margin": margin,
        "base": scored.base,
        "fit": float(scored.fit[place]),
        "behaviour": float(scored.behaviour[place]),
        "probability": None if np.isnan(probability) else probability,
        "score": score_of(chance),
        "grade": policy.grade(chance),
        "threshold_met": policy.threshold_met(chance),
    }
