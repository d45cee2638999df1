"""Deployments: which bundle and policy are in force, append-only.

Promote, rollback and retune each write one row, so that model and policy
switch together; the newest row of a (target, role) is in force.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

from sqlalchemy import Connection, insert

from data.store.engine import select_all
from data.store.schema import DEPLOYMENTS


@dataclass(frozen=True)
class Deployment:
    deployment_id: int
    """Rises by one a row; 0 before it is written."""
    target: str
    """Target it answers for."""
    role: Literal["champion", "challenger"]
    """Champion: its answers are given. Challenger: they are only recorded."""
    bundle_hash: str
    """Names the folder under bundles/."""
    model_version: str
    """The registry's version number of the bundle."""
    policy_id: str
    """The operating policy that goes with it."""
    action: Literal["promote", "rollback", "retune", "force"]
    """What wrote the row."""
    occurred_at: int
    """Microseconds UTC from which it is in force."""
    by: str
    """Who or which job."""
    why: str
    """In words."""


_COLUMNS = ", ".join(f'"{field.name}"' for field in fields(Deployment))


def write_deployment(connection: Connection, deployment: Deployment) -> Deployment:
    """The deployment as written, with its id; to be called inside a serialised write."""
    newest = select_all(connection, "SELECT coalesce(max(deployment_id), 0) FROM deployments")[0][0]
    written = replace(deployment, deployment_id=int(newest) + 1)
    connection.execute(insert(DEPLOYMENTS).values(**asdict(written)))
    return written


def newest_deployment(connection: Connection, target: str, role: str) -> Deployment | None:
    """The deployment in force for a target in a role, or None."""
    sql = f"SELECT {_COLUMNS} FROM deployments WHERE target = ? AND role = ? ORDER BY deployment_id DESC LIMIT 1"
    rows = select_all(connection, sql, (target, role))
    return Deployment(*rows[0]) if rows else None


def all_deployments(connection: Connection, target: str) -> list[Deployment]:
    """Every deployment of a target in either role, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM deployments WHERE target = ? ORDER BY deployment_id"
    return [Deployment(*row) for row in select_all(connection, sql, (target,))]
