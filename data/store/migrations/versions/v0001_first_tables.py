"""The first tables, spelt out: a migration never changes with the declarations that came after it."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _people_and_accounts()
    _leads()
    _deals()
    _permissions_and_costs()
    _decisions()
    _bookkeeping()


def _people_and_accounts() -> None:
    contact = (_text(name, False) for name in ("name", "name_kana", "email", "phone"))
    _record("persons", _text("person_id"), *contact, indexed=("person_id",))
    _record("accounts", _text("account_id"), _text("name", False), _text("domain", False), indexed=("account_id",))
    _record("account_attributes", _text("account_id"), *_value(), indexed=("account_id",))


def _leads() -> None:
    ids = (_text("lead_id"), _text("person_id", False), _text("account_id", False))
    _record("leads", *ids, unique="lead_id", indexed=("account_id", "person_id"))
    cycle = (_text("cycle_id"), _text("lead_id"), _text("opened_by"))
    _record("lead_cycles", *cycle, unique="cycle_id", indexed=("lead_id",))
    _record("lead_attributes", _text("lead_id"), *_value(), indexed=("lead_id",))
    what = (_text("lead_id"), _text("kind"), _text("actor"))
    where = (_text(name, False) for name in ("channel", "campaign_id", "detail"))
    _record("touchpoints", *what, *where, indexed=("lead_id",))
    change = (_text("lead_id"), _text("stage"), _text("reason", False), _text("actor", False))
    _record("stage_changes", *change, _number("amount", False), indexed=("lead_id",))


def _deals() -> None:
    ids = (_text("opportunity_id"), _text("account_id", False))
    _record("opportunities", *ids, _text("stage", False), _number("amount", False))
    part = (_text("opportunity_id"), _text("lead_id"), _text("role", False))
    _record("opportunity_leads", *part, indexed=("lead_id",))
    lead = (_text(name) for name in ("cycle_id", "lead_id", "target"))
    decided = (_number("probability"), _number("threshold"), _text("policy_id"))
    _record("handovers", *lead, *decided, _text("owner", False), _number("propensity"), indexed=("lead_id",))


def _permissions_and_costs() -> None:
    circumstances = (_text(name, False) for name in ("basis", "text_version", "place"))
    grant = (_text("person_id"), _text("purpose"), _boolean("granted"))
    _record("consents", *grant, *circumstances, indexed=("person_id",))
    _record("merges", *(_text(name) for name in ("subject", "from_id", "into_id")), _boolean("undone"))
    _record("campaign_costs", _text("campaign_id"), _text("channel", False), _number("cost"))


def _decisions() -> None:
    versioned = (_instant("loaded_at"), _text("document"))
    op.create_table("company", _rising("seq"), *versioned, sqlite_autoincrement=True)
    op.create_table(
        "policies",
        sa.Column("policy_id", sa.Text, primary_key=True),
        _text("target"),
        _instant("loaded_at"),
        _text("document"),
    )
    which = (_text(name) for name in ("target", "role", "bundle_hash", "model_version", "policy_id", "action"))
    said = (_instant("occurred_at"), _text("by"), _text("why"))
    op.create_table("deployments", _rising("deployment_id"), *which, *said, sqlite_autoincrement=True)
    op.create_index("ix_deployments_target", "deployments", ["target", "role", "deployment_id"])
    run = (_text("kind"), _instant("occurred_at"), _text("document"))
    op.create_table("runs", _rising("seq"), *run, sqlite_autoincrement=True)
    op.create_index("ix_runs_kind", "runs", ["kind", "seq"])


def _bookkeeping() -> None:
    op.create_table("writes", _rising("write_id"), _instant("loaded_at"), _text("accepted"), sqlite_autoincrement=True)
    identity = op.create_table(
        "store_identity",
        sa.Column("store_id", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
    )
    op.bulk_insert(identity, [{"store_id": uuid.uuid4().hex, "generation": 0}])


def _record(name: str, *columns: sa.Column[Any], unique: str = "", indexed: tuple[str, ...] = ()) -> None:
    times = (_instant(time) for time in ("occurred_at", "recorded_at", "loaded_at"))
    keys = [sa.UniqueConstraint("source", "source_id", name=f"uq_{name}_source")]
    if unique:
        keys.append(sa.UniqueConstraint(unique, name=f"uq_{name}_{unique}"))
    own = (*columns, _text("source"), _text("source_id"), *times)
    op.create_table(name, _rising("seq"), *own, *keys, sqlite_autoincrement=True)
    for column in indexed:
        op.create_index(f"ix_{name}_{column}", name, [column])


def _value() -> tuple[sa.Column[Any], ...]:
    return _text("name"), _text("text", False), _number("number", False)


def _rising(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def _text(name: str, required: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=not required)


def _number(name: str, required: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Double, nullable=not required)


def _boolean(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _instant(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)
