"""Alembic's door to the store: runs the versions inside the transaction that `data.store.versions` opened."""

from __future__ import annotations

from alembic import context

from data.store.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
