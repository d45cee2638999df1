"""Leads found to be one, as training sees them: features as then known, labels that look forward, one group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from data.company import Company, Target
from data.home import Home
from data.store.operational import Store
from data.store.snapshots import Snapshot, take_snapshot
from data.tables import LEAD_ATTRIBUTES, LEADS, MERGES, STAGE_CHANGES, TOUCHPOINTS, Table
from data.times import DAY, HOUR
from features.catalogue import declarations
from training.rows import read_history, training_matrix

TARGET = Target("won", "won", 30 * DAY)
COMPANY = Company(targets=(TARGET,))
BEGIN = 20_000 * DAY
NOW = BEGIN + 200 * DAY
MERGED = BEGIN + 60 * DAY + HOUR
"""When every merge here happened; it was recorded a day later."""
SEEN = MERGED + DAY
BORN = {"A": BEGIN, "B": BEGIN + 5 * DAY, "C": BEGIN + 10 * DAY, "D": BEGIN + 15 * DAY, "E": BEGIN + 20 * DAY}
WON = {"B": BEGIN + 50 * DAY, "D": BEGIN + 70 * DAY}
INTO = {"B": "A", "C": "D"}
"""B had won when it was merged into A; D won after C was merged into it."""


def records() -> dict[Table, list[dict[str, Any]]]:
    found: dict[Table, list[dict[str, Any]]] = {t: [] for t in (LEADS, LEAD_ATTRIBUTES, TOUCHPOINTS, STAGE_CHANGES)}

    def add(table: Table, at: int, **row: Any) -> None:
        name = f"{table.name}{len(found[table])}"
        found[table].append({"source": "test", "source_id": name, "occurred_at": at, "recorded_at": at + HOUR, **row})

    for number, (lead, born) in enumerate(BORN.items()):
        add(LEADS, born, lead_id=lead, person_id=f"P{lead}", account_id=f"of {lead}")
        add(LEAD_ATTRIBUTES, born, lead_id=lead, name="department", text=f"department {lead}")
        for day in range(number + 1, 40, 6):
            add(TOUCHPOINTS, born + day * DAY, lead_id=lead, kind="pricing_view", actor="lead", channel=f"way {lead}")
        if lead in WON:
            add(STAGE_CHANGES, WON[lead], lead_id=lead, stage="won")
    return found


def merges() -> list[dict[str, Any]]:
    one = {"source": "test", "subject": "lead", "undone": False, "occurred_at": MERGED, "recorded_at": SEEN}
    return [{**one, "source_id": f"merge{a}", "from_id": a, "into_id": b} for a, b in INTO.items()]


def snapshot_of(folder: Path, rows: dict[Table, list[dict[str, Any]]]) -> Snapshot:
    home = Home.at(folder)
    with Store.open(home) as store:
        store.save_company(COMPANY, now=NOW)
        store.append_all({t: pa.Table.from_pylist(r, t.arrow_schema()) for t, r in rows.items()}, now=NOW)
        return take_snapshot(store, home, now=NOW)


def matrix_of(snapshot: Snapshot) -> pd.DataFrame:
    """The training matrix with the lead each row is of: known by its cycle's start."""
    found = training_matrix(read_history(snapshot, TARGET, as_of=NOW), declarations(COMPANY), seed=0)
    lead = {born: name for name, born in BORN.items()}
    columns = dict(zip((d.name for d in found.declarations), found.columns, strict=True))
    facts = {"lead": [lead[at] for at in found.cycle_start], "as_of": found.as_of, "label": found.label}
    return pd.DataFrame({**facts, "group": found.group, **columns})


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return matrix_of(snapshot_of(tmp_path_factory.mktemp("apart"), records()))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshot_of(tmp_path_factory.mktemp("merged"), {**records(), MERGES: merges()})


@pytest.fixture(scope="module")
def merged(snapshot: Snapshot) -> pd.DataFrame:
    return matrix_of(snapshot)


def test_rows_before_a_merge_know_nothing_of_it_and_those_after_do(apart: pd.DataFrame, merged: pd.DataFrame) -> None:
    known = ["as_of", *(d.name for d in declarations(COMPANY))]
    for lead in BORN:
        before = [t[(t["lead"] == lead) & (t["as_of"] <= SEEN)] for t in (apart, merged)]
        assert len(before[0]) >= 3, lead
        pd.testing.assert_frame_equal(*(rows[known].reset_index(drop=True) for rows in before))
    later = merged[merged["as_of"] > SEEN]
    assert set(later["lead"]) == {"A", "D", "E"}  # B and C are read as others
    visits = {lead: sum(t["lead_id"] == lead for t in records()[TOUCHPOINTS]) for lead in BORN}
    for lead, both in (("A", "AB"), ("D", "CD")):
        rows = later[later["lead"] == lead]
        without = apart[(apart["lead"] == lead) & apart["as_of"].isin(rows["as_of"])]
        assert rows["touchpoints_ever_count"].tolist() == [sum(visits[one] for one in both)] * len(without)
        assert without["touchpoints_ever_count"].tolist() == [visits[lead]] * len(rows)


def test_labels_follow_a_merge_forward_and_a_win_stays_with_the_lead_that_won(
    apart: pd.DataFrame, merged: pd.DataFrame
) -> None:
    """C goes on as D, so D's win within the horizon is C's too; B's win closed B before, and A never won."""
    for found, winners in ((apart, {"B": "B", "D": "D"}), (merged, {"B": "B", "D": "D", "C": "D"})):
        for row in found.itertuples():
            won = WON.get(winners.get(row.lead, ""))
            inside = won is not None and row.as_of <= won < row.as_of + TARGET.horizon
            assert row.label == float(inside), (row.lead, row.as_of)
        assert set(found.loc[found["label"] == 1.0, "lead"]) == set(winners)


def test_who_was_merged_shares_a_group_once_that_is_known(
    apart: pd.DataFrame, merged: pd.DataFrame, snapshot: Snapshot
) -> None:
    def of_rows(table: pd.DataFrame) -> dict[str, int]:
        return dict(table.drop_duplicates("lead").set_index("lead")["group"])

    def alike(groups: dict[str, int]) -> list[set[str]]:
        return [{one for one in groups if groups[one] == group} for group in sorted(set(groups.values()))]

    everyone_apart = [{lead} for lead in BORN]
    together = [{"A", "B"}, {"C", "D"}, {"E"}]
    assert sorted(alike(of_rows(apart)), key=min) == everyone_apart
    assert sorted(alike(of_rows(merged)), key=min) == together
    # That it had happened counts for nothing until it was recorded.
    for as_of, expected in ((MERGED + 1, everyone_apart), (SEEN, everyone_apart), (SEEN + 1, together)):
        groups = read_history(snapshot, TARGET, as_of=as_of).groups
        assert sorted(alike(dict(groups)), key=min) == expected, as_of
