"""Whoever withdrew since the champion was trained is not in the reference either."""

from __future__ import annotations

import pyarrow as pa

from data.store.operational import Store
from data.store.snapshots import Snapshot, take_snapshot
from data.tables import CONSENTS, LEADS, Table
from features.engine import local_engine
from monitoring.gathering import Watch, _reference_population, open_watch
from monitoring.population import Population
from monitoring.window import window_at
from tests.monitoring.companies import NOW, World


def test_the_reference_leaves_out_who_withdrew_since(own: World) -> None:
    with Store.open(own.home) as store:
        store.append(LEADS, _one(LEADS, lead_id="L-p", person_id="P"), now=NOW)
        old = take_snapshot(store, own.home, now=NOW)
        store.append(LEADS, _one(LEADS, lead_id="L-q", person_id="Q"), now=NOW)
        watch = _trained_on(old, open_watch(own.home, store, take_snapshot(store, own.home, now=NOW), "won"))
        assert _leads_then(watch) == _leads_of(old)
        store.append(CONSENTS, _one(CONSENTS, person_id="P", purpose="scoring", granted=False), now=NOW)
        assert _leads_then(watch) == _leads_of(old) - {"L-p"}


def _one(table: Table, **values: object) -> pa.Table:
    row = {**values, "occurred_at": NOW - 1, "recorded_at": NOW - 1, "source": "test", "source_id": str(values)}
    return pa.Table.from_pylist([row], schema=table.arrow_schema())


def _trained_on(old: Snapshot, watch: Watch) -> Watch:
    watch.bundle.manifest["snapshot"] = old.hash
    return watch


def _leads_then(watch: Watch) -> set[str]:
    window = window_at(None, as_of=NOW, trained_as_of=watch.bundle.as_of, company=watch.snapshot.company)
    connection = local_engine(watch.home)
    now = Population(watch.snapshot, connection, window, watch.bundle.target_definition)
    then = _reference_population(watch, connection, now, window)
    assert then is not now
    return set(then.tables["leads"].lead_id.to_pyarrow().to_pylist())


def _leads_of(snapshot: Snapshot) -> set[str]:
    return set(snapshot.tables(local_engine())["leads"].lead_id.to_pyarrow().to_pylist())
