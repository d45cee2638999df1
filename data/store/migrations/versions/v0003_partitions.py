"""The register of partitions: Parquet files of bulk imports that are part of the history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    texts = (sa.Column(name, sa.Text, nullable=False) for name in ("name", "of_table", "file"))
    marks = (sa.Column(name, sa.Text, nullable=False) for name in ("sha256", "keys_sha256"))
    times = (
        sa.Column(f"{end}_{time}", sa.BigInteger, nullable=False)
        for time in ("occurred_at", "recorded_at")
        for end in ("first", "last")
    )
    op.create_table(
        "partitions",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        *texts,
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("row_hash", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        *marks,
        *times,
        sa.Column("loaded_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("name", name="uq_partitions_name"),
        sqlite_autoincrement=True,
    )
