"""The first tables."""

from __future__ import annotations

import uuid

from alembic import op

from data.store.schema import METADATA, STORE_IDENTITY

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    METADATA.create_all(op.get_bind())
    op.bulk_insert(STORE_IDENTITY, [{"store_id": uuid.uuid4().hex, "generation": 0}])
