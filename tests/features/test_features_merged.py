"""Merges change what is read as one from the instant they are visible, and nothing before.

The oracle resolves ids by asking anew at every instant and builds the history
of the lead that goes on by hand; batch, online and the grid are held to it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import ibis
import pytest

from data.company import Company
from data.tables import TERMINAL_STAGES
from features.as_of import known_rows, open_rows, training_rows
from features.batch import feature_table
from features.merged import followed_changes, through_merges
from features.online import OnlineFeatures
from tests.features import oracle
from tests.features.comparing import catalogue, company
from tests.features.merge_worlds import Merges, drawn_world, history_as_of, read_as, with_merges
from tests.features.worlds import World, tables_of

DAY = oracle.DAY
WORLDS = 60


@pytest.fixture(scope="module")
def many() -> Iterator[tuple[list[tuple[World, Merges]], dict, ibis.BaseBackend]]:
    rng = random.Random(11)
    drawn = [drawn_world(rng, number) for number in range(WORLDS)]
    connection = ibis.duckdb.connect()
    tables = tables_of([w for w, _merges in drawn], connection, rng)
    yield drawn, with_merges(tables, [m for _w, merges in drawn for m in merges], connection), connection
    connection.disconnect()


def instants(w: World) -> tuple[int, ...]:
    return (w.as_of - 30 * DAY, w.as_of, w.as_of + 1, w.as_of + 2, w.as_of + 5 * DAY)


def test_the_drawn_merges_have_every_case(many) -> None:
    drawn, _tables, _connection = many
    merges = [(w, s, m) for w, found in drawn for s, m in found]
    assert {s for _w, s, _m in merges} == {"lead", "account"}
    assert {m.undone for _w, _s, m in merges} == {True, False}
    assert any(m.seen >= w.as_of for w, _s, m in merges)
    assert any(m.from_id == m.into_id for _w, _s, m in merges)
    merged = [
        (w, h, t) for w, found in drawn for h in w.leads for t in instants(w) if not history_as_of(w, found, h, t)
    ]
    assert len(merged) > 20


def test_batch_and_online_read_ids_as_they_stand(many) -> None:
    drawn, tables, connection = many
    of = company()
    wanted = catalogue(of)
    online = OnlineFeatures(wanted, of)
    rows, expected = [], {}
    for w, merges in drawn:
        for lead in w.leads:
            for t in instants(w):
                history = history_as_of(w, merges, lead, t)
                if history is None:
                    continue
                start, recycled, _n = oracle.cycle(history, t)
                cycle_id = None if start is None else history.lead_id + ("~0" if recycled else "")
                rows.append((history.lead_id, cycle_id, start, t))
                expected[history.lead_id, t] = [oracle.value(d, history, t, of) for d in wanted]
                assert online.row(history, t) == expected[history.lead_id, t]
    schema = {"lead_id": "string", "cycle_id": "string", "cycle_start": "int64", "as_of": "int64"}
    found = connection.to_pyarrow(feature_table(tables, ibis.memtable(rows, schema=schema), wanted, of)).to_pylist()
    assert len(found) == len(rows)
    for row in found:
        truth = expected[row["lead_id"], row["as_of"]]
        for d, value in zip(wanted, truth, strict=True):
            assert (type(row[d.name]), row[d.name]) == (type(value), value), (d.name, row["lead_id"], row["as_of"])


def test_a_merged_lead_is_not_looked_at_while_it_is_another(many) -> None:
    drawn, tables, connection = many
    for t in sorted({t for w, _merges in drawn for t in instants(w)})[::7]:
        known, still_open = set(), set()
        for w, merges in drawn:
            for lead in w.leads:
                start, recycled, _n = oracle.cycle(lead, t)
                if start is None or read_as(merges, "lead", lead.lead_id, t) != lead.lead_id:
                    continue
                known.add(lead.lead_id)
                stages = [s for s in lead.stages if oracle.before(s, t) and s.stage in TERMINAL_STAGES]
                ended = any(s.occurred_at > start or (s.occurred_at == start and not recycled) for s in stages)
                still_open |= set() if ended else {lead.lead_id}
        assert set(connection.to_pyarrow(known_rows(tables, as_of=t))["lead_id"].to_pylist()) == known
        assert set(connection.to_pyarrow(open_rows(tables, as_of=t))["lead_id"].to_pylist()) == still_open


def test_training_rows_stand_only_where_the_lead_does(many) -> None:
    drawn, tables, connection = many
    merges_of_lead = {h.lead_id: merges for w, merges in drawn for h in w.leads}
    unmerged = {name: table for name, table in tables.items() if name != "merges"}
    until = max(w.as_of for w, _merges in drawn) + 60 * DAY

    def listed(of: dict) -> set[tuple]:
        found = connection.to_pyarrow(training_rows(of, Company(), as_of=until)).to_pylist()
        assert len(found) == len({(r["lead_id"], r["as_of"]) for r in found})
        return {(r["lead_id"], r["cycle_id"], r["as_of"]) for r in found}

    standing = {r for r in listed(unmerged) if read_as(merges_of_lead[r[0]], "lead", r[0], r[2]) == r[0]}
    assert standing < listed(unmerged)
    assert listed(tables) == standing


def test_outcomes_of_the_one_that_goes_on_are_the_merged_one_s_too(many) -> None:
    drawn, tables, connection = many
    as_of = max(w.as_of for w, _merges in drawn) + 60 * DAY
    found = connection.to_pyarrow(followed_changes(tables, as_of=as_of)).to_pylist()
    expected = []
    for w, merges in drawn:
        for lead in w.leads:
            expected += [(lead.lead_id, s.stage, s.occurred_at, False) for s in lead.stages]
            for other in w.leads:
                told = [s for s in other.stages if other is not lead]
                told = [s for s in told if read_as(merges, "lead", lead.lead_id, s.occurred_at) == other.lead_id]
                expected += [(lead.lead_id, s.stage, s.occurred_at, True) for s in told]
    assert any(followed for *_change, followed in expected)
    assert sorted((r["lead_id"], r["stage"], r["occurred_at"], r["followed"]) for r in found) == sorted(expected)


def test_without_merges_nothing_is_rewritten(many) -> None:
    _drawn, tables, _connection = many
    none = {**tables, "merges": tables["merges"].limit(0)}
    read = through_merges(none)
    assert all(read[name].equals(tables[name]) for name in read)
    assert "merges" not in read
    assert through_merges(read) is read
