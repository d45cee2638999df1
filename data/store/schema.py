"""The operational store's tables, derived from `data.tables`, and those only the store has.

Every record table gets `seq`, which rises in the order of commitment, and the
unique key (`source`, `source_id`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from data import tables

HEAD = "0003"
"""The newest migration in data/store/migrations/versions."""
VERSION_TABLE = "store_version"

METADATA = MetaData()

_TYPES: dict[str, type[TypeEngine[Any]]] = {
    "text": Text,
    "number": Double,
    "integer": BigInteger,
    "boolean": Boolean,
    "instant": BigInteger,
}

_UNIQUE: dict[str, tuple[str, ...]] = {"leads": ("lead_id",), "lead_cycles": ("cycle_id",)}
"""One lead is one row and one cycle is one row, whatever their sources call them: a join never doubles them."""
_INDEXED: dict[str, tuple[str, ...]] = {
    "persons": ("person_id",),
    "accounts": ("account_id",),
    "leads": ("account_id", "person_id"),
    "lead_cycles": ("lead_id",),
    "lead_attributes": ("lead_id",),
    "account_attributes": ("account_id",),
    "touchpoints": ("lead_id",),
    "stage_changes": ("lead_id",),
    "opportunity_leads": ("lead_id",),
    "consents": ("person_id",),
    "handovers": ("lead_id",),
    "merges": ("from_id", "into_id"),
}


def _sequence(name: str) -> Column[int]:
    # SQLite gives a table its row id as key only where the type reads INTEGER.
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _record_table(table: tables.Table) -> Table:
    columns = (Column(c.name, _TYPES[c.type], nullable=not c.required) for c in table.columns)
    unique = (UniqueConstraint(c, name=f"uq_{table.name}_{c}") for c in _UNIQUE.get(table.name, ()))
    indexes = (Index(f"ix_{table.name}_{c}", c) for c in _INDEXED.get(table.name, ()))
    key = UniqueConstraint("source", "source_id", name=f"uq_{table.name}_source")
    return Table(table.name, METADATA, _sequence("seq"), *columns, key, *unique, *indexes, sqlite_autoincrement=True)


RECORDS: dict[str, Table] = {table.name: _record_table(table) for table in tables.TABLES}

# `generation` rises with every erasure: snapshots of an older one are void.
STORE_IDENTITY = Table(
    "store_identity",
    METADATA,
    Column("store_id", Text, primary_key=True),
    Column("generation", Integer, nullable=False),
)
# One row for each write that kept something; `accepted` is JSON, rows by table.
WRITES = Table(
    "writes",
    METADATA,
    _sequence("write_id"),
    Column("loaded_at", BigInteger, nullable=False),
    Column("accepted", Text, nullable=False),
    sqlite_autoincrement=True,
)
COMPANY = Table(
    "company",
    METADATA,
    _sequence("seq"),
    Column("loaded_at", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    sqlite_autoincrement=True,
)
POLICIES = Table(
    "policies",
    METADATA,
    Column("policy_id", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("loaded_at", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
DEPLOYMENTS = Table(
    "deployments",
    METADATA,
    _sequence("deployment_id"),
    Column("target", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("bundle_hash", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("policy_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Index("ix_deployments_target", "target", "role", "deployment_id"),
    sqlite_autoincrement=True,
)
RUNS = Table(
    "runs",
    METADATA,
    _sequence("seq"),
    Column("kind", Text, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Index("ix_runs_kind", "kind", "seq"),
    sqlite_autoincrement=True,
)
# Files of bulk imports that are part of the history: data/store/partitions.py.
PARTITIONS = Table(
    "partitions",
    METADATA,
    _sequence("seq"),
    *(Column(name, Text, nullable=False) for name in ("name", "of_table", "file")),
    Column("rows", BigInteger, nullable=False),
    Column("row_hash", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("sha256", "keys_sha256")),
    *(
        Column(f"{end}_{time}", BigInteger, nullable=False)
        for time in ("occurred_at", "recorded_at")
        for end in ("first", "last")
    ),
    Column("loaded_at", BigInteger, nullable=False),
    UniqueConstraint("name", name="uq_partitions_name"),
    sqlite_autoincrement=True,
)
