"""Batch features and the import, each beside the plain way of doing the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import ibis
import pandas as pd
import pytest

from data.clock import now
from data.home import Home
from data.store.snapshots import latest_snapshot
from data.times import DAY
from features.as_of import open_rows
from features.batch import feature_table
from features.catalogue import declarations

pytestmark = pytest.mark.benchmark_suite


def read_as(merges: pd.DataFrame, as_of: int) -> pd.Series:
    """The lead that each merged one goes on as by `as_of`: the newest word about it, followed to the end."""
    known = merges[(merges["subject"] == "lead") & (merges[["occurred_at", "recorded_at"]].max(axis=1) < as_of)]
    newest = known.sort_values(["occurred_at", "recorded_at"]).drop_duplicates("from_id", keep="last")
    into = newest[~newest["undone"].astype(bool)].set_index("from_id")["into_id"]
    found = into
    for _ in range(len(into)):
        further = found.map(into).fillna(found)
        if further.equals(found):
            return found
        found = further
    raise AssertionError("a ring of merges: nobody in it goes on")


def test_batch_counts_beside_pandas(side_by_side, simulated_home: Home) -> None:
    """The counting features of all open leads, against map, merge, mask and groupby in pandas."""
    snapshot = latest_snapshot(simulated_home)
    assert snapshot
    connection = ibis.duckdb.connect()
    tables = snapshot.tables(connection)
    as_of = now()
    rows = open_rows(tables, as_of=as_of)
    counted = [d for d in declarations(snapshot.company) if d.kind == "count"]
    touchpoints, merges = tables["touchpoints"].to_pandas(), tables["merges"].to_pandas()
    leads = rows.to_pandas()[["lead_id", "as_of"]]

    def in_pandas() -> pd.DataFrame:
        goes_on = touchpoints["lead_id"].map(read_as(merges, as_of)).fillna(touchpoints["lead_id"])
        pairs = leads.merge(touchpoints.assign(lead_id=goes_on), on="lead_id")
        pairs = pairs[(pairs["occurred_at"] < as_of) & (pairs["recorded_at"] < as_of)]
        result = leads.set_index("lead_id")[[]]
        for d in counted:
            chosen = pairs["actor"].eq(d.actor) if d.actor else pd.Series(True, index=pairs.index)
            if d.touchpoints:
                chosen &= pairs["kind"].isin(d.touchpoints)
            chosen &= ~pairs["kind"].isin(d.except_touchpoints)
            if d.window_days:
                chosen &= pairs["occurred_at"] >= as_of - d.window_days * DAY
            result[d.name] = pairs[chosen].groupby("lead_id").size()
        return result.fillna(0.0).astype("float64")

    def ours() -> pd.DataFrame:
        return feature_table(tables, rows, counted, snapshot.company).to_pandas()

    made = ours().set_index("lead_id")[[d.name for d in counted]].sort_index()
    concerned = touchpoints["lead_id"].map(read_as(merges, as_of)).isin(leads["lead_id"])
    assert concerned.any(), "no open lead has touchpoints of a merged one: the merges would not be tried"
    pd.testing.assert_frame_equal(made, in_pandas().sort_index(), check_names=False)
    side_by_side(f"{len(counted)} counts of {len(leads):,} open leads in batch", ours, "pandas", in_pandas, rounds=5)


def test_import_beside_pandas_into_sqlite(side_by_side, history_folder: Path, tmp_path: Path) -> None:
    """Reading, checking, normalising and committing a history, against read_csv and to_sql without any check."""
    from leadscore import DONE, run

    numbered = iter(range(10**6))

    def ours() -> None:
        home = tmp_path / f"home{next(numbered)}"
        assert run(["--home", str(home), "import", str(history_folder / "mapping.toml")]) == DONE

    def in_pandas() -> None:
        with sqlite3.connect(tmp_path / f"plain{next(numbered)}.db") as database:
            for file in history_folder.glob("*.csv"):
                pd.read_csv(file).to_sql(file.stem, database, index=False)

    side_by_side("import with every check", ours, "pandas read_csv and to_sql without any", in_pandas, rounds=3)
