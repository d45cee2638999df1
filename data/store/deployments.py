"""Deployments: which bundle and policy are in force, append-only.

Promote, rollback and retune each write one row, so that model and policy
switch together; the newest row of a (target, role) is in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Deployment:
    deployment_id: int
    """Rises by one a row; 0 before it is written."""
    target: str
    role: Literal["champion", "challenger"]
    bundle_hash: str
    model_version: str
    """The registry's version number of the bundle."""
    policy_id: str
    action: Literal["promote", "rollback", "retune", "force"]
    occurred_at: int
    """Microseconds UTC from which it is in force."""
    by: str
    why: str
