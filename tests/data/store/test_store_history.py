"""One lead's history, read from the store, against the tables read whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from data.errors import NotFound
from data.records import AccountSummary, Attribute, LeadHistory, Sibling, StageChange, Touchpoint
from data.store.history import lead_history
from data.store.operational import Store
from data.tables import ACCOUNT_ATTRIBUTES, LEAD_ATTRIBUTES, LEADS, STAGE_CHANGES, TOUCHPOINTS

Rows = Callable[..., pa.Table]
LEAD_NUMBERS = range(12)
NEVER_MERGED = 100
"""Any instant: nothing is merged here."""


@pytest.fixture
def filled(store: Store, rows: Rows) -> Store:
    """Twelve leads of three accounts and of none, with random records, some at the same instant."""
    chance = Random(7)

    def times() -> dict[str, int]:
        at = chance.randrange(5)
        return {"occurred_at": at, "recorded_at": at + chance.randrange(3)}

    def of_leads(n: int, **columns: Callable[[], object]) -> list[dict[str, object]]:
        return [
            {"lead_id": f"L{chance.choice(LEAD_NUMBERS)}", "source_id": f"s{i}", **times()}
            | {name: value() for name, value in columns.items()}
            for i in range(n)
        ]

    accounts = ["A0", "A1", "A2", None]
    leads = [
        {"lead_id": f"L{i}", "source_id": f"ext{i}", "account_id": accounts[i % 4], **times()} for i in LEAD_NUMBERS
    ]
    stage = chance.choice
    store.append_all(
        {
            LEADS: rows(LEADS, *leads),
            TOUCHPOINTS: rows(TOUCHPOINTS, *of_leads(80, kind=lambda: stage(["page_view", "call"]))),
            STAGE_CHANGES: rows(STAGE_CHANGES, *of_leads(40, stage=lambda: stage(["mql", "lost", "recycled"]))),
            LEAD_ATTRIBUTES: rows(
                LEAD_ATTRIBUTES, *of_leads(40, name=lambda: stage(["x", "y"]), text=lambda: stage(["1", None]))
            ),
            ACCOUNT_ATTRIBUTES: rows(
                ACCOUNT_ATTRIBUTES,
                *(
                    {"account_id": stage(["A0", "A1"]), "number": float(i), "source_id": f"a{i}", **times()}
                    for i in range(9)
                ),
            ),
        },
        now=1,
    )
    return store


def _oracle(store: Store, lead_id: str) -> LeadHistory:
    """Slow and plain: whole tables, filtered and sorted (stably, so by order of acceptance) in Python."""

    def records(table: object, key: str, value: object) -> list[dict[str, object]]:
        found = [row for row in store.read(table).to_pylist() if row[key] == value]  # type: ignore[arg-type]
        return sorted(found, key=lambda row: (row["occurred_at"], row["recorded_at"]))

    def made(kind: type, found: list[dict[str, object]]) -> tuple[object, ...]:
        return tuple(kind(**{name: row[name] for name in kind.__slots__}) for row in found)

    def sibling(row: dict[str, object]) -> Sibling:
        of_it = {
            "attributes": made(Attribute, records(LEAD_ATTRIBUTES, "lead_id", row["lead_id"])),
            "touchpoints": made(Touchpoint, records(TOUCHPOINTS, "lead_id", row["lead_id"])),
        }
        return Sibling(row["lead_id"], row["occurred_at"], row["recorded_at"], **of_it)  # type: ignore[arg-type]

    leads = {row["lead_id"]: row for row in store.read(LEADS).to_pylist()}
    lead = leads[lead_id]
    account = lead["account_id"]
    stages = records(STAGE_CHANGES, "lead_id", lead_id)
    return LeadHistory(
        lead_id=lead_id,
        occurred_at=lead["occurred_at"],
        recorded_at=lead["recorded_at"],
        cycles=tuple((r["occurred_at"], r["recorded_at"]) for r in stages if r["stage"] == "recycled"),  # type: ignore[misc]
        stages=made(StageChange, stages),  # type: ignore[arg-type]
        touchpoints=made(Touchpoint, records(TOUCHPOINTS, "lead_id", lead_id)),  # type: ignore[arg-type]
        attributes=made(Attribute, records(LEAD_ATTRIBUTES, "lead_id", lead_id)),  # type: ignore[arg-type]
        account=None
        if account is None
        else AccountSummary(
            account,
            made(Attribute, records(ACCOUNT_ATTRIBUTES, "account_id", account)),  # type: ignore[arg-type]
            tuple(sibling(o) for o in leads.values() if o["account_id"] == account and o["lead_id"] != lead_id),
        ),
    )


def test_a_history_is_what_the_tables_say(filled: Store) -> None:
    for number in LEAD_NUMBERS:
        assert lead_history(filled, f"L{number}", as_of=NEVER_MERGED) == _oracle(filled, f"L{number}")


def test_a_lead_answers_to_its_name_in_the_source(filled: Store) -> None:
    expected = lead_history(filled, "L3", as_of=NEVER_MERGED)
    assert lead_history(filled, "crm:ext3", as_of=NEVER_MERGED) == expected
    assert lead_history(filled, "crm:L3", as_of=NEVER_MERGED) == expected
    assert expected.source == "crm"


@pytest.mark.parametrize("unknown", ["L99", "web:ext3", "crm:", ":", ""])
def test_an_unknown_lead_is_not_found(filled: Store, unknown: str) -> None:
    with pytest.raises(NotFound, match="no such lead"):
        lead_history(filled, unknown, as_of=NEVER_MERGED)


def test_reading_histories_loads_no_batch_engine(root: Path, tmp_path: Path) -> None:
    program = (
        "import sys, data.store.operational, data.store.history, data.store.ledger, data.store.deployments;"
        "from data.home import Home; from data.store.operational import Store;"
        f"Store.open(Home.at({str(tmp_path / 'home')!r})).close();"
        "print(sorted({'ibis', 'duckdb', 'pandas', 'mlflow', 'psycopg'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
