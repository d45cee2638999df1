"""Lead cycles follow from leads and from stage changes to recycled, in the same write."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from data.store.operational import Store
from data.tables import LEAD_CYCLES, LEADS, STAGE_CHANGES

Rows = Callable[..., pa.Table]


def _cycles(store: Store) -> list[tuple[object, ...]]:
    columns = ("cycle_id", "lead_id", "opened_by", "source", "occurred_at", "recorded_at")
    return sorted(tuple(row[c] for c in columns) for row in store.read(LEAD_CYCLES).to_pylist())


def test_a_lead_opens_its_first_cycle_and_recycling_a_later_one(store: Store, rows: Rows) -> None:
    lead = {"lead_id": "L1", "source": "crm", "source_id": "lead-1", "occurred_at": 5, "recorded_at": 6}
    recycled = {"lead_id": "L1", "source": "sfa", "source_id": "s9", "occurred_at": 50, "recorded_at": 60}
    changes = rows(STAGE_CHANGES, {**recycled, "stage": "recycled"}, {**recycled, "source_id": "s8", "stage": "mql"})

    store.append_all({LEADS: rows(LEADS, lead), STAGE_CHANGES: changes}, now=100)

    assert _cycles(store) == [
        ("L1", "L1", "created", "crm", 5, 6),
        ("L1~s9", "L1", "recycled", "sfa", 50, 60),
    ]


def test_importing_again_and_later_opens_each_cycle_once(store: Store, rows: Rows) -> None:
    def leads(*numbers: int) -> pa.Table:
        return rows(LEADS, *({"lead_id": f"L{n}", "source_id": f"l{n}", "occurred_at": n} for n in numbers))

    def recycled(*numbers: int) -> pa.Table:
        return rows(STAGE_CHANGES, *({"lead_id": "L1", "stage": "recycled", "source_id": f"s{n}"} for n in numbers))

    for some_leads, some_changes in (
        (leads(1, 2), recycled(1)),
        (leads(1, 2, 3), recycled(1, 2)),
        (leads(3), recycled(2)),
    ):
        store.append_all({STAGE_CHANGES: some_changes, LEADS: some_leads}, now=1)

    assert [cycle[0] for cycle in _cycles(store)] == ["L1", "L1~s1", "L1~s2", "L2", "L3"]


def test_a_refused_lead_opens_no_cycle(store: Store, rows: Rows) -> None:
    store.append(LEADS, rows(LEADS, {"lead_id": "L1", "source_id": "a", "occurred_at": 1}), now=1)
    store.append(LEADS, rows(LEADS, {"lead_id": "L1", "source_id": "a", "occurred_at": 2}), now=1)
    assert _cycles(store) == [("L1", "L1", "created", "crm", 1, 0)]


def test_a_cycle_is_stamped_with_its_write(store: Store, rows: Rows) -> None:
    store.append(LEADS, rows(LEADS, {"lead_id": "L1"}), now=77)
    with store.reading() as connection:
        assert connection.exec_driver_sql("SELECT loaded_at FROM lead_cycles").scalars().all() == [77]
