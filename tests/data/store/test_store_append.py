"""Adding rows: by name, in whole, never over another row — the same on both engines."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import DataRefused, UsageError
from data.home import Home
from data.store import rows as rows_module
from data.store.operational import Store
from data.store.rows import checked
from data.tables import (
    ACCOUNTS,
    CONSENTS,
    LEAD_ATTRIBUTES,
    LEAD_CYCLES,
    LEADS,
    MERGES,
    TABLES,
    TOUCHPOINTS,
    Table,
)

Rows = Callable[..., pa.Table]


@pytest.mark.parametrize("table", [t for t in TABLES if t is not LEAD_CYCLES], ids=lambda t: t.name)
def test_a_row_comes_back_as_it_was_given(store: Store, rows: Rows, table: Table) -> None:
    full = {"text": '値 "quoted", with\nnewline', "number": -0.1, "integer": 7, "boolean": True, "instant": -5}
    everything = {c.name: full[c.type] for c in table.columns if c.name != "loaded_at"}
    table_rows = rows(table, everything, {"source_id": "bare", **({"lead_id": "other"} if table is LEADS else {})})

    appended = store.append(table, table_rows, now=10)

    assert (appended.accepted, appended.unchanged, len(appended.conflicts)) == (2, 0, 0)
    assert store.read(table).equals(table_rows)


def test_the_same_rows_again_change_nothing(store: Store, rows: Rows) -> None:
    given_rows = rows(TOUCHPOINTS, {"detail": "/a"}, {"detail": None}, {"detail": ""})
    store.append(TOUCHPOINTS, given_rows, now=10)

    again = store.append(TOUCHPOINTS, given_rows, now=20)

    assert (again.accepted, again.unchanged, len(again.conflicts)) == (0, 3, 0)
    assert store.read(TOUCHPOINTS).equals(given_rows)


@pytest.mark.parametrize(
    ("column", "value"),
    [("detail", "/b"), ("detail", None), ("channel", ""), ("occurred_at", 1), ("recorded_at", 99), ("lead_id", "L2")],
)
def test_other_content_under_a_known_name_is_returned_and_not_kept(
    store: Store, rows: Rows, column: str, value: object
) -> None:
    first = rows(TOUCHPOINTS, {"lead_id": "L1", "detail": "/a"})
    store.append(TOUCHPOINTS, first, now=10)
    other = rows(TOUCHPOINTS, {"lead_id": "L1", "detail": "/a", column: value}, {"source_id": "new"})

    appended = store.append(TOUCHPOINTS, other, now=20)

    assert (appended.accepted, appended.unchanged) == (1, 0)
    assert appended.conflicts.equals(other.slice(0, 1))
    assert store.read(TOUCHPOINTS).slice(0, 1).equals(first)


def test_of_two_rows_with_one_name_in_one_import_the_first_is_kept(store: Store, rows: Rows) -> None:
    same = {"source_id": "t", "detail": "/a"}
    twice = rows(TOUCHPOINTS, same, same, {"source_id": "t", "detail": "/b"})

    appended = store.append(TOUCHPOINTS, twice, now=10)

    assert (appended.accepted, appended.unchanged) == (1, 1)
    assert appended.conflicts["detail"].to_pylist() == ["/b"]


def test_names_are_unique_within_a_source_only(store: Store, rows: Rows) -> None:
    pair = rows(TOUCHPOINTS, {"source": "crm", "source_id": "1"}, {"source": "web", "source_id": "1"})
    assert store.append(TOUCHPOINTS, pair, now=10).accepted == 2


def test_a_second_lead_of_the_same_id_is_a_conflict_whatever_its_source(store: Store, rows: Rows) -> None:
    store.append(LEADS, rows(LEADS, {"lead_id": "17", "source": "hubspot"}), now=10)

    appended = store.append(LEADS, rows(LEADS, {"lead_id": "17", "source": "salesforce"}), now=20)

    assert (appended.accepted, len(appended.conflicts)) == (0, 1)
    assert store.lead_ids() == ["17"]


_key = st.sampled_from(["a", "b", "c", "d"])
_text = st.one_of(st.none(), st.sampled_from(["", "x", "株式会社", '"', "\\N", "\\.", "a\nb", "a\r\nb", "NULL", "'"]))
_number = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 0.1, 1e300, 5e-324, 123456789.123456789]))
_row = st.tuples(_key, _text, _number)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(imports=st.lists(st.lists(_row, max_size=6), max_size=4), size=st.integers(1, 4))
def test_any_series_of_imports_ends_as_a_dictionary_would(
    imports: list[list[tuple[str, str | None, float | None]]],
    size: int,
    store: Store,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against a plain dictionary that takes each name once; in batches of any size."""
    monkeypatch.setattr(rows_module.slices, "__defaults__", (size,))
    fresh = f"crm{len(store.read(LEAD_ATTRIBUTES))}-{id(imports)}"
    truth: dict[str, tuple[str | None, float | None]] = {}
    for some in imports:
        given_rows = rows(
            LEAD_ATTRIBUTES, *({"source": fresh, "source_id": k, "text": t, "number": n} for k, t, n in some)
        )
        expected = [0, 0, 0]
        for key, text, number in some:
            known = truth.setdefault(key, (text, number)) if key in truth else None
            truth.setdefault(key, (text, number))
            expected[0 if known is None else 1 if known == (text, number) else 2] += 1
        appended = store.append(LEAD_ATTRIBUTES, given_rows, now=1)
        assert [appended.accepted, appended.unchanged, len(appended.conflicts)] == expected
    kept = [r for r in store.read(LEAD_ATTRIBUTES).to_pylist() if r["source"] == fresh]
    assert {r["source_id"]: (r["text"], r["number"]) for r in kept} == truth


def test_several_tables_are_written_whole_or_not_at_all(home: Home, rows: Rows) -> None:
    with Store.open(home) as store:
        good, bad = rows(LEADS, {"lead_id": "L1"}), rows(TOUCHPOINTS, {}).drop_columns("kind")
        with pytest.raises(DataRefused, match="table touchpoints, column kind"):
            store.append_all({LEADS: good, TOUCHPOINTS: bad}, now=10)
    with Store.open(home) as store:
        assert store.lead_ids() == []


def test_a_write_that_fails_half_way_leaves_nothing(store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(store, "_note_write", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            store.append_all({LEADS: rows(LEADS, {}), TOUCHPOINTS: rows(TOUCHPOINTS, {})}, now=10)

    assert len(store.read(LEADS)) == len(store.read(TOUCHPOINTS)) == len(store.read(LEAD_CYCLES)) == 0
    assert store.append(LEADS, rows(LEADS, {}), now=10).accepted == 1


def test_loaded_at_never_falls_even_when_a_clock_does(store: Store, rows: Rows) -> None:
    for number, now in enumerate([100, 50, 200]):
        store.append(TOUCHPOINTS, rows(TOUCHPOINTS, {"source_id": str(number)}), now=now)
    with store.reading() as connection:
        stamped = [at for (at,) in connection.exec_driver_sql("SELECT loaded_at FROM touchpoints ORDER BY seq")]
    assert stamped == [100, 100, 200]


def test_rows_of_some_leads_only(store: Store, rows: Rows) -> None:
    store.append(
        TOUCHPOINTS, rows(TOUCHPOINTS, *({"lead_id": f"L{i % 3}", "source_id": str(i)} for i in range(9))), now=1
    )
    found = store.read(TOUCHPOINTS, lead_ids=["L2", "nobody"])
    assert found["source_id"].to_pylist() == ["2", "5", "8"]
    assert store.read(TOUCHPOINTS, lead_ids=[]).num_rows == 0
    assert store.read(TOUCHPOINTS, lead_ids=[f"N{i}" for i in range(1200)] + ["L0"]).num_rows == 3
    with pytest.raises(UsageError, match="accounts"):
        store.read(ACCOUNTS, lead_ids=["L1"])


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda r: r.append_column("colour", pa.array(["red"])), ["consents", "colour", "only"]),
        (lambda r: r.append_column("loaded_at", pa.array([1])), ["consents", "loaded_at"]),
        (lambda r: r.drop_columns("granted"), ["consents", "granted", "required"]),
        (lambda r: r.set_column(0, "person_id", pa.nulls(1, pa.string())), ["consents", "person_id", "null in row 1"]),
        (lambda r: r.set_column(0, "person_id", pa.array([5])), ["consents", "person_id", "int64", "string"]),
        (lambda r: r.set_column(0, "person_id", pa.array(["a\0b"])), ["consents", "person_id", "NUL"]),
        (
            lambda r: r.set_column(
                r.column_names.index("occurred_at"), "occurred_at", pa.array([1], pa.timestamp("ns"))
            ),
            ["consents", "occurred_at", "timestamp", "microseconds"],
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_table_and_column(
    rows: Rows, change: Callable[[pa.Table], pa.Table], names: list[str]
) -> None:
    with pytest.raises(DataRefused) as refused:
        checked(CONSENTS, change(rows(CONSENTS, {})))
    assert all(name in str(refused.value) for name in names), str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused(rows: Rows, value: float) -> None:
    with pytest.raises(DataRefused, match=r"lead_attributes, column number.*row 2"):
        checked(LEAD_ATTRIBUTES, rows(LEAD_ATTRIBUTES, {"number": 1.0}, {"number": value}))


def test_optional_columns_may_be_absent_and_kindred_types_are_taken(rows: Rows) -> None:
    plain = rows(TOUCHPOINTS, {}).drop_columns(["channel", "campaign_id", "detail"])
    coded = plain.set_column(1, "kind", plain["kind"].dictionary_encode())
    narrow = coded.set_column(coded.column_names.index("occurred_at"), "occurred_at", pa.array([0], pa.int32()))
    assert checked(TOUCHPOINTS, narrow).equals(rows(TOUCHPOINTS, {}))


def test_cycles_cannot_be_appended(sqlite_store: Store, rows: Rows) -> None:
    with pytest.raises(DataRefused, match=r"lead_cycles.*derives"):
        sqlite_store.append(LEAD_CYCLES, rows(LEAD_CYCLES, {}), now=1)


def test_no_rows_are_no_write(store: Store, rows: Rows) -> None:
    appended = store.append(MERGES, rows(MERGES), now=1)
    assert (appended.accepted, appended.unchanged, len(appended.conflicts)) == (0, 0, 0)
