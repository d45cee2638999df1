"""Runs batch and online beside the oracle; the company and the declarations they are compared on."""

from __future__ import annotations

import ibis

from data.company import Company, CompanyColumn
from features.as_of import ROW_COLUMNS
from features.batch import feature_table
from features.catalogue import declarations
from features.declaration import Declaration
from features.online import OnlineFeatures
from tests.features import oracle
from tests.features.worlds import World, tables_of

COLUMNS = (
    CompanyColumn("渇望度", type="number", group="behaviour", direction=1),
    CompanyColumn("signed", type="date"),
    CompanyColumn("note", type="text"),
)


def company(timezone: str = "Asia/Tokyo", fiscal_year_start: int = 4) -> Company:
    return Company(timezone=timezone, fiscal_year_start=fiscal_year_start, columns=COLUMNS)


def more_declarations() -> tuple[Declaration, ...]:
    """Combinations the default catalogue has not: every kind in every shape."""

    def d(name, kind, **more):
        return Declaration(name, kind, "behaviour", "r", "件", "n", **more)

    return (
        d("channels", "distinct_count", of="channel", window_days=30, actor=""),
        d("campaigns", "distinct_count", of="campaign", touchpoints=("page_view", "download")),
        d("details", "distinct_count", of="detail"),
        d("days_ever", "distinct_count", of="day", actor="company"),
        d("kinds_machine", "distinct_count", of="kind", actor="machine", window_days=365),
        d("last_in_window", "days_since_last", window_days=7),
        d("first_in_window", "days_since_first", window_days=30),
        d("decay_in_window", "decayed_sum", half_life_days=1.5, window_days=30, actor=""),
        d("decay_fast", "decayed_sum", half_life_days=0.5),
        d(
            "ratio_30d",
            "ratio",
            touchpoints=("email_clicked",),
            denominator=("email_sent", "page_view"),
            window_days=30,
        ),
        d("trend_1d", "trend", window_days=1, actor=""),
        d("weeks_of_company", "active_weeks", window_days=21, actor="company"),
        d("weeks_long", "active_weeks", window_days=420, actor=""),
        d("first_kind", "first_touch", of="kind", window_days=30),
        d("last_detail", "last_touch", of="detail", touchpoints=("page_view", "meeting"), actor=""),
        d("account_ever", "account_count", touchpoints=("meeting",), actor="company"),
        d("bands_ever", "account_distinct", attribute="job_title_band", actor=""),
        d("note_seen", "account_seen", attribute="note", values=("a", "")),
        d("none_selected", "count", touchpoints=("no_such_kind",)),
    )


def catalogue(of: Company) -> tuple[Declaration, ...]:
    return (*declarations(of), *more_declarations())


def rows_of(worlds: list[World]) -> list[tuple]:
    """A few instants of every lead, with the cycle the oracle finds current."""
    rows = []
    for w in worlds:
        for history in w.leads:
            for as_of in {w.as_of, w.as_of + 1, w.as_of + 3 * oracle.DAY, w.as_of - 7 * oracle.DAY}:
                start, recycled, _n = oracle.cycle(history, as_of)
                cycle_id = None if start is None else history.lead_id + ("~0" if recycled else "")
                rows.append((history, cycle_id, start, as_of))
    return rows


def batch_values(worlds: list[World], rows: list[tuple], of: Company, wanted, shuffle=None) -> dict:
    connection = ibis.duckdb.connect()
    tables = tables_of(worlds, connection, shuffle)
    schema = {"lead_id": "string", "cycle_id": "string", "cycle_start": "int64", "as_of": "int64"}
    row_table = ibis.memtable([(h.lead_id, c, s, t) for h, c, s, t in rows], schema=schema)
    table = connection.to_pyarrow(feature_table(tables, row_table, wanted, of))
    assert table.column_names == [*ROW_COLUMNS, *(d.name for d in wanted)]
    assert table.num_rows == len(rows)
    names = [d.name for d in wanted]
    return {(r["lead_id"], r["as_of"]): [r[name] for name in names] for r in table.to_pylist()}


def assert_equal(worlds: list[World], of: Company, shuffle=None) -> None:
    wanted = catalogue(of)
    online = OnlineFeatures(wanted, of)
    rows = rows_of(worlds)
    batch = batch_values(worlds, rows, of, wanted, shuffle)
    for history, _cycle, _start, as_of in rows:
        expected = [oracle.value(d, history, as_of, of) for d in wanted]
        for d, truth, fast, bulk in zip(
            wanted, expected, online.row(history, as_of), batch[history.lead_id, as_of], strict=True
        ):
            assert (type(fast), fast) == (type(truth), truth), f"online {d.name} of {history} as of {as_of}"
            assert (type(bulk), bulk) == (type(truth), truth), f"batch {d.name} of {history} as of {as_of}"
