"""The same lead by way of the store's history and by way of a snapshot: the same features."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from data.home import Home
from data.store.history import lead_history
from data.store.operational import Store
from data.store.snapshots import Snapshot, take_snapshot
from data.tables import (
    ACCOUNT_ATTRIBUTES,
    CONSENTS,
    LEAD_ATTRIBUTES,
    LEADS,
    MERGES,
    STAGE_CHANGES,
    TOUCHPOINTS,
    Table,
)
from features.as_of import known_rows, open_rows, training_rows
from features.engine import batch_engine, feature_values
from features.online import OnlineFeatures
from features.spill import PREFIX
from tests.data.partitioned import add_in_bulk
from tests.features.comparing import catalogue, company
from tests.features.merge_worlds import drawn_world, merge_rows
from tests.features.worlds import DAY, MOMENTS, World

AS_OF = MOMENTS[2]


@pytest.fixture(scope="module", params=["rows", "partitions", "both", "some refuse"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Snapshot]:
    """A store whose touchpoints came row by row, in bulk, or half this way and half that way; where some refuse too."""
    rng = random.Random(21)
    home = Home.at(tmp_path_factory.mktemp("home"))
    with Store.open(home) as store:
        store.save_company(company(), now=AS_OF)
        drawn = [drawn_world(rng, n) for n in range(60)]
        merges = merge_rows([merge for _world, found in drawn for merge in found])
        found = {**records([w for w, _merges in drawn]), MERGES: merges}
        touchpoints = found.pop(TOUCHPOINTS)
        cut = {"rows": len(touchpoints), "partitions": 0}.get(request.param, len(touchpoints) // 2)
        if request.param == "some refuse":
            found |= refusals(found[LEADS], rng)
        store.append_all({**found, TOUCHPOINTS: touchpoints.slice(0, cut)}, now=AS_OF)
        for start in range(cut, len(touchpoints), max(1, len(touchpoints) // 3)):
            add_in_bulk(store, touchpoints.slice(start, max(1, len(touchpoints) // 3)), now=AS_OF)
        return home, take_snapshot(store, home, now=AS_OF)


def refusals(leads: pa.Table, rng: random.Random) -> dict[Table, pa.Table]:
    """Leads with persons, some of whom have two; a third of them refuse, and some of those grant again."""
    persons = [f"P{n - n % 5 // 4}" for n in range(len(leads))]
    said = []
    for person in sorted(set(persons)):
        at = AS_OF - rng.randrange(1, 300) * DAY
        for granted in rng.choice(([], [], [False], [False, True])):
            at += DAY
            word = {"person_id": person, "purpose": "scoring", "granted": granted, "occurred_at": at, "recorded_at": at}
            said.append({"source": "test", "source_id": f"C{len(said)}", **word})
    column = leads.schema.get_field_index("person_id")
    return {
        LEADS: leads.set_column(column, leads.schema.field(column), pa.array(persons, pa.string())),
        CONSENTS: pa.Table.from_pylist(said, schema=CONSENTS.arrow_schema()),
    }


def records(worlds: list[World]) -> dict[Table, pa.Table]:
    rows: dict[Table, list[dict]] = {
        table: [] for table in (LEADS, STAGE_CHANGES, TOUCHPOINTS, LEAD_ATTRIBUTES, ACCOUNT_ATTRIBUTES)
    }
    accounts = {h.account.account_id: h.account for w in worlds for h in w.leads if h.account}
    for w in worlds:
        for h in w.leads:
            lead = {"lead_id": h.lead_id}
            times = {"occurred_at": h.occurred_at, "recorded_at": h.recorded_at}
            rows[LEADS].append({**lead, **times, "account_id": w.account_of[h.lead_id]})
            rows[STAGE_CHANGES] += [{**fields(s), **lead} for s in h.stages]
            rows[TOUCHPOINTS] += [{**fields(t), **lead} for t in h.touchpoints]
            rows[LEAD_ATTRIBUTES] += [{**fields(a), **lead} for a in h.attributes]
    for account_id, account in accounts.items():
        rows[ACCOUNT_ATTRIBUTES] += [{**fields(a), "account_id": account_id} for a in account.attributes]
    named = {
        table: [{"source": "test", "source_id": str(n), **r} for n, r in enumerate(found)]
        for table, found in rows.items()
    }
    return {table: pa.Table.from_pylist(found, schema=table.arrow_schema()) for table, found in named.items()}


def fields(record: object) -> dict:
    return {slot: getattr(record, slot) for slot in record.__slots__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("as_of", [AS_OF, MOMENTS[4]])
def test_a_snapshot_and_the_store_say_the_same_of_every_known_lead(stored: tuple[Home, Snapshot], as_of: int) -> None:
    home, snapshot = stored
    of = snapshot.company
    wanted = catalogue(of)
    online = OnlineFeatures(wanted, of)
    with batch_engine(home) as connection, Store.open(home) as store:
        tables = snapshot.tables(connection)
        found = feature_values(connection, tables, known_rows(tables, as_of=as_of), wanted, of).to_pylist()
        assert len(found) > 60
        merged_away = set(store.lead_ids()) - {row["lead_id"] for row in found}
        survivors = {lead_history(store, one, as_of=as_of).lead_id for one in merged_away}
        assert survivors - merged_away, "some leads are read as another one"
        for row in found:
            expected = online.row(lead_history(store, row["lead_id"], as_of=as_of), as_of)
            assert [row[d.name] for d in wanted] == expected, row["lead_id"]


def test_rows_come_in_order_and_the_spill_folder_goes(stored: tuple[Home, Snapshot]) -> None:
    home, snapshot = stored
    wanted = catalogue(snapshot.company)[:3]
    with batch_engine(home, memory_limit="500MB", threads=2) as connection:
        tables = snapshot.tables(connection)
        rows = training_rows(tables, snapshot.company, as_of=AS_OF + DAY)
        found = feature_values(connection, tables, rows, wanted, snapshot.company).to_pylist()
        again = feature_values(connection, tables, rows, wanted, snapshot.company).to_pylist()
        assert connection.to_pyarrow(open_rows(tables, as_of=AS_OF).count()).as_py() > 0
    keys = [(row["lead_id"], row["as_of"]) for row in found]
    assert keys == sorted(keys)
    assert found == again
    assert not list(Path(home.path).glob(f"{PREFIX}*"))
