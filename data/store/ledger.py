"""The ledger: every answer given, one row per (lead, target), its one reader and writer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["scored", "unproven", "past_target", "no_consent"]


@dataclass(frozen=True)
class LedgerRow:
    request_id: str
    lead_id: str
    target: str
    as_of: int
    """Microseconds UTC: what was known before this instant was used."""
    scored_at: int
    bundle_hash: str
    policy_id: str
    deployment_id: int
    channel: Literal["online", "batch", "shadow"]
    status: Status
    margin: float | None
    base: float | None
    fit: float | None
    behaviour: float | None
    probability: float | None
    score: int | None
    grade: str | None
    threshold_met: bool | None
    features: str
    """JSON array of the feature values in the bundle's schema order."""
    contributions: str
    """JSON array of the contributions in the same order; base + Σ = margin."""
