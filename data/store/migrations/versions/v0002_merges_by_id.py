"""Merges are looked up by either id before every answer."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column in ("from_id", "into_id"):
        op.create_index(f"ix_merges_{column}", "merges", [column])
