"""An older history, read after somebody withdrew: without them, and else the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.company import Company
from data.home import Home
from data.store.operational import Store
from data.store.permitted import permitted
from data.store.plain import chosen_history
from data.store.snapshots import Snapshot, open_snapshot, take_snapshot
from data.tables import CONSENTS, LEADS, MERGES, TABLES, TOUCHPOINTS

Rows = Callable[..., pa.Table]


def _lead(name: str) -> dict[str, object]:
    return {"lead_id": name, "source_id": name, "person_id": f"p{name}", "occurred_at": 1, "recorded_at": 1}


def _word(person: str, *, granted: bool, at: int = 50) -> dict[str, object]:
    named = {"person_id": person, "purpose": "scoring", "granted": granted, "source_id": f"{person}{at}"}
    return {**named, "occurred_at": at, "recorded_at": at}


@pytest.fixture
def old(store: Store, home: Home, rows: Rows) -> Snapshot:
    """A, B and C; touchpoints of A and B in one part, of C in another."""
    store.save_company(Company(), now=1)
    store.append(LEADS, rows(LEADS, *map(_lead, "ABC")), now=1)
    for nth, leads in enumerate(("AB", "C")):
        found = ({"lead_id": lead, "source_id": f"{lead}{nth}"} for lead in leads)
        store.append(TOUCHPOINTS, rows(TOUCHPOINTS, *found), now=1)
        taken = take_snapshot(store, home, now=1)
    return taken


def _leads_in(snapshot: Snapshot, table: str = "touchpoints") -> set[str]:
    return {lead for file in snapshot.files(table) for lead in pq.read_table(file)["lead_id"].to_pylist()}


def test_whoever_withdrew_since_is_left_out_of_an_old_snapshot(
    store: Store, home: Home, old: Snapshot, rows: Rows
) -> None:
    store.append(CONSENTS, rows(CONSENTS, _word("pA", granted=False)), now=60)
    found = chosen_history(store, home, old.path, now=70)
    for table in (t for t in TABLES if t.in_snapshot and "lead_id" in t.column_names()):
        assert "A" not in _leads_in(found, table.name), table.name
    assert (_leads_in(found), _leads_in(old)) == ({"B", "C"}, {"A", "B", "C"})
    assert found.withdrawn_since == 1
    assert found.lines()[1].startswith("1 leads left out")
    assert found.manifest["consent"]["withdrawn_since"] == {"snapshot": old.hash, "leads": 1}
    assert found.manifest["consent"]["leads_left_out"] == 1
    shared = [a.samefile(b) for a, b in zip(found.files("touchpoints"), old.files("touchpoints"), strict=True)]
    assert shared == [False, True]


def test_the_run_is_repeated_from_the_snapshot_it_names(store: Store, home: Home, old: Snapshot, rows: Rows) -> None:
    store.append(CONSENTS, rows(CONSENTS, _word("pA", granted=False)), now=60)
    first = chosen_history(store, home, old.path, now=70)
    assert chosen_history(store, home, first.path, now=80) == open_snapshot(first.path)
    assert chosen_history(store, home, old.path, now=90).hash == first.hash


def test_where_nobody_withdrew_it_is_the_old_snapshot(store: Store, home: Home, old: Snapshot, rows: Rows) -> None:
    assert chosen_history(store, home, old.path, now=70) == old
    store.append(CONSENTS, rows(CONSENTS, _word("pA", granted=False), _word("pA", granted=True, at=55)), now=60)
    found = chosen_history(store, home, old.path, now=70)
    assert (found, found.withdrawn_since, found.lines()) == (old, 0, [f"history: snapshot {old.hash}"])


def test_a_person_refuses_by_name_and_by_merge_though_the_store_knows_no_such_lead(
    store: Store, home: Home, old: Snapshot, rows: Rows, tmp_path: Path
) -> None:
    """History from elsewhere, withdrawals taken here."""
    with Store.open(Home.at(tmp_path / "desk")) as desk:
        desk.save_company(Company(), now=1)
        merge = {"subject": "person", "from_id": "pX", "into_id": "pC", "undone": False, "occurred_at": 5}
        desk.append(MERGES, rows(MERGES, {**merge, "recorded_at": 5}), now=6)
        words = (_word("pB", granted=False), _word("pX", granted=False))
        desk.append(CONSENTS, rows(CONSENTS, *words), now=60)
        assert _leads_in(permitted(desk, Home.at(tmp_path / "desk"), old)) == {"A"}


def test_whom_the_snapshot_left_out_already_is_not_counted_again(
    store: Store, home: Home, old: Snapshot, rows: Rows
) -> None:
    store.append(CONSENTS, rows(CONSENTS, _word("pA", granted=False)), now=60)
    newer = take_snapshot(store, home, now=65)
    assert chosen_history(store, home, newer.path, now=70) == newer
    store.append(CONSENTS, rows(CONSENTS, _word("pB", granted=False)), now=70)
    found = chosen_history(store, home, newer.path, now=80)
    assert (found.withdrawn_since, _leads_in(found)) == (1, {"C"})
    assert found.manifest["consent"]["leads_left_out"] == 2
