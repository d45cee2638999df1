"""At which instants leads are looked at, against a search over every instant that could be one."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import ibis
import pyarrow as pa
import pytest

from data.company import Company
from data.records import LeadHistory, StageChange
from data.times import DAY, ROW_OUTCOME_DELAY, ROW_STEP, WEEK
from features.as_of import creation_rows, known_rows, open_rows, training_rows
from tests.features import oracle
from tests.features.worlds import World, tables_of, world

TERMINAL = {"won", "lost", "disqualified"}


def is_open(history: LeadHistory, t: int) -> bool:
    start, recycled, _n = oracle.cycle(history, t)
    if start is None:
        return False
    ends = [s for s in history.stages if s.stage in TERMINAL and oracle.before(s, t) and s.occurred_at >= start]
    return not [s for s in ends if not (recycled and s.occurred_at == start)]


def mondays(first: int, last: int, timezone: str) -> list[int]:
    """Every Monday 00:00 on the wall clock from a week before `first` to `last`."""
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=first)).date() - timedelta(days=8)
    found: list[int] = []
    while not found or found[-1] <= last:
        if day.weekday() == 0:
            midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone))
            found.append(int(midnight.timestamp()) * 1_000_000)
        day += timedelta(days=1)
    return found


def expected_rows(history: LeadHistory, as_of: int, company: Company, weeks: int) -> set[tuple]:
    changes = [(s.occurred_at, s.recorded_at) for s in history.stages if s.stage not in TERMINAL]
    changes += [(history.occurred_at, history.recorded_at), *history.cycles]
    instants = {max(moment) + 1 for moment in changes}
    rows = {t for t in instants if is_open(history, t)}
    for t in mondays(min(o for o, _r in changes), as_of, company.timezone):
        start, _recycled, _n = oracle.cycle(history, t)
        if is_open(history, t) and t <= start + weeks * WEEK:
            rows.add(t)
    return {(history.lead_id, oracle.cycle(history, t)[0], t) for t in rows if t < as_of}


def listed(connection: ibis.BaseBackend, rows: ibis.Table) -> list[tuple]:
    found = connection.to_pyarrow(rows).to_pylist()
    for row in found:
        assert row["cycle_id"].split("~")[0] == row["lead_id"]
    assert len({(r["lead_id"], r["as_of"]) for r in found}) == len(found), "rows are not unique"
    return [(r["lead_id"], r["cycle_start"], r["as_of"]) for r in found]


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    rng = random.Random(11)
    return [world(rng.choice, f"w{n}", busy=0) for n in range(200)]


@pytest.mark.parametrize(("timezone", "weeks"), [("Asia/Tokyo", 52), ("Europe/Berlin", 8)])
def test_training_rows_stand_at_changes_and_on_mondays(worlds: list[World], timezone: str, weeks: int) -> None:
    company = Company(timezone=timezone)
    connection = ibis.duckdb.connect()
    tables = tables_of(worlds, connection)
    as_of = worlds[0].as_of + 20 * DAY
    found = listed(connection, training_rows(tables, company, as_of=as_of, grid_weeks=weeks))
    expected = set().union(*(expected_rows(h, as_of, company, weeks) for w in worlds for h in w.leads))
    assert set(found) == expected
    assert len(expected) > 500


def test_open_and_known_rows_hold_one_row_a_lead(worlds: list[World]) -> None:
    connection = ibis.duckdb.connect()
    tables = tables_of(worlds, connection)
    as_of = worlds[0].as_of
    leads = [h for w in worlds for h in w.leads]
    known = {(h.lead_id, oracle.cycle(h, as_of)[0], as_of) for h in leads if oracle.cycle(h, as_of)[0] is not None}
    still_open = {(h.lead_id, oracle.cycle(h, as_of)[0], as_of) for h in leads if is_open(h, as_of)}
    assert set(listed(connection, known_rows(tables, as_of=as_of))) == known
    assert set(listed(connection, open_rows(tables, as_of=as_of))) == still_open
    assert 0 < len(still_open) < len(known) < len(leads)


def test_creation_rows_stand_right_after_creation(worlds: list[World]) -> None:
    connection = ibis.duckdb.connect()
    tables = tables_of(worlds, connection)
    leads = [h for w in worlds for h in w.leads]
    middle = sorted(h.occurred_at for h in leads)[len(leads) // 2]

    def born(history: LeadHistory) -> tuple:
        t = max(history.occurred_at, history.recorded_at) + 1
        return history.lead_id, oracle.cycle(history, t)[0], t

    assert set(listed(connection, creation_rows(tables))) == {born(h) for h in leads}
    assert set(listed(connection, creation_rows(tables, created_from=middle))) == {
        born(h) for h in leads if h.occurred_at >= middle
    }
    assert set(listed(connection, creation_rows(tables, as_of=middle))) == {
        born(h) for h in leads if oracle.before(h, middle)
    }


def row_time_tables(connection: ibis.BaseBackend, count: int) -> dict:
    at = [n * ROW_STEP for n in range(1, count + 1)]
    leads = tuple(
        LeadHistory(
            str(n),
            t,
            t,
            stages=(StageChange("won" if n % 3 else "lost", t + ROW_OUTCOME_DELAY, t + ROW_OUTCOME_DELAY),),
        )
        for n, t in enumerate(at, start=1)
    )
    return tables_of([World("rows", 0, leads, {h.lead_id: None for h in leads})], connection)


def test_row_time_has_one_row_a_lead_before_its_outcome() -> None:
    connection = ibis.duckdb.connect()
    tables = row_time_tables(connection, 9)
    sixth = 7 * ROW_STEP  # row:6
    rows = listed(connection, training_rows(tables, Company(time="row"), as_of=sixth))
    assert sorted(rows) == [(str(n), n * ROW_STEP, n * ROW_STEP + 1) for n in range(1, 7)]
    later = listed(connection, creation_rows(tables, created_from=sixth))
    assert sorted(lead for lead, _start, _t in later) == ["7", "8", "9"]


def test_lost_and_recycled_at_one_instant_leaves_the_new_cycle_open() -> None:
    start, day = 1_700_000_000_000_000, 1_700_000_000_000_000 + 10 * DAY
    history = LeadHistory(
        "a",
        start,
        start,
        cycles=((day, day),),
        stages=(StageChange("lost", day, day), StageChange("recycled", day, day)),
    )
    connection = ibis.duckdb.connect()
    tables = tables_of([World("w", 0, (history,), {"a": None})], connection)
    assert listed(connection, open_rows(tables, as_of=day)) == [("a", start, day)]
    assert listed(connection, open_rows(tables, as_of=day + 1)) == [("a", day, day + 1)]


def test_grid_mondays_are_midnight_on_the_wall_clock() -> None:
    start = int(datetime(2024, 3, 20, 12, tzinfo=UTC).timestamp()) * 1_000_000
    history = LeadHistory("a", start, start)
    connection = ibis.duckdb.connect()
    tables = tables_of([World("w", 0, (history,), {"a": None})], connection)
    rows = listed(connection, training_rows(tables, Company(timezone="Europe/Berlin"), as_of=start + 30 * DAY))
    berlin = ZoneInfo("Europe/Berlin")
    moments = sorted(datetime.fromtimestamp(t // 1_000_000, tz=berlin) for _lead, _start, t in rows)[1:]
    assert [m.date() for m in moments] == [date(2024, 3, 25), date(2024, 4, 1), date(2024, 4, 8), date(2024, 4, 15)]
    assert {m.hour for m in moments} == {0}


def test_an_untouched_cycle_leaves_the_grid() -> None:
    start = 1_700_000_000_000_000
    connection = ibis.duckdb.connect()
    tables = tables_of([World("w", 0, (LeadHistory("a", start, start),), {"a": None})], connection)
    rows = listed(connection, training_rows(tables, Company(), as_of=start + 1000 * DAY, grid_weeks=4))
    assert len(rows) == 5
    assert isinstance(connection.to_pyarrow(training_rows(tables, Company(), as_of=start)), pa.Table)
