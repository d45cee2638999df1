"""Labels against an oracle that goes row by row through the definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.company import Company, Target
from data.tables import MERGES
from data.times import DAY
from training.outcomes import label_rows, outcome_groups, reaching_stages

T = 100 * DAY
COMPANY = Company()
NO_MERGES = MERGES.snapshot_schema().empty_table()


def rows_frame(rows: list[tuple[str, int, int]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["lead_id", "cycle_start", "as_of"])
    frame = frame.astype({"lead_id": "str", "cycle_start": "int64", "as_of": "int64"})
    return frame.assign(cycle_id=frame["lead_id"] + "@" + frame["cycle_start"].astype(str))


def changes_frame(changes: list[tuple[str, str, int, int]]) -> pd.DataFrame:
    frame = pd.DataFrame(changes, columns=["lead_id", "stage", "occurred_at", "recorded_at"])
    return frame.astype({"lead_id": "str", "stage": "str", "occurred_at": "int64", "recorded_at": "int64"})


def oracle(rows: pd.DataFrame, changes: pd.DataFrame, target: Target, as_of: int) -> dict[tuple[str, int], float]:
    """The definition, one row and one change at a time."""
    found = {}
    for row in rows.itertuples():
        if row.as_of + target.horizon + target.recording_lag > as_of:
            continue
        label, past = 0.0, False
        for change in changes.itertuples():
            if change.lead_id != row.lead_id or change.stage not in reaching_stages(target):
                continue
            if change.recorded_at >= as_of or change.occurred_at >= as_of:
                continue
            if row.cycle_start <= change.occurred_at < row.as_of:
                past = True
            if row.as_of <= change.occurred_at < row.as_of + target.horizon:
                label = 1.0
        if not past:
            found[row.lead_id, row.as_of] = label
    return found


DAYS = st.integers(0, 120)
LEADS = st.sampled_from(["a", "b", "c"])
STAGE = st.sampled_from(["new", "mql", "sql", "opportunity", "won", "lost"])


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(LEADS, DAYS, DAYS), max_size=12, unique=True),
    changes=st.lists(st.tuples(LEADS, STAGE, DAYS, st.integers(0, 20)), max_size=12),
    stage=st.sampled_from(["mql", "sql", "won"]),
    horizon=st.integers(1, 40),
    lag=st.integers(0, 10),
)
def test_labels_equal_the_definition(rows, changes, stage, horizon, lag) -> None:
    target = Target(stage, stage, horizon * DAY, lag * DAY)
    asked = rows_frame([(lead, start * DAY, (start + later) * DAY) for lead, start, later in rows])
    told = changes_frame([(lead, s, at * DAY, (at + late) * DAY) for lead, s, at, late in changes])
    company = Company(history_from={"stage_changes": -1})
    found = label_rows(asked, told, target, company, as_of=T).rows
    received = {(r.lead_id, r.as_of): r.label for r in found.itertuples()}
    assert received == oracle(asked, told, target, T)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("sql", ("sql", "opportunity", "won")),
        ("won", ("won",)),
        ("mql", ("mql", "sql", "opportunity", "won")),
        ("trial started", ("trial started",)),
        ("lost", ("lost",)),
    ],
)
def test_a_later_stage_of_the_ascent_implies_the_earlier(stage: str, expected: tuple[str, ...]) -> None:
    assert reaching_stages(Target(stage, stage, DAY)) == expected


def test_an_early_win_does_not_let_an_immature_row_in() -> None:
    rows = rows_frame([("a", 80 * DAY, 80 * DAY)])
    won = changes_frame([("a", "won", 81 * DAY, 81 * DAY)])
    found = label_rows(rows, won, Target("won", "won", 30 * DAY), COMPANY, as_of=T)
    assert (len(found.rows), found.immature) == (0, 1)


def test_declared_start_of_recording_leaves_earlier_rows_out() -> None:
    rows = rows_frame([("a", 10 * DAY, 10 * DAY), ("b", 50 * DAY, 50 * DAY)])
    company = Company(history_from={"stage_changes": 40 * DAY})
    found = label_rows(rows, changes_frame([]), Target("won", "won", DAY), company, as_of=T)
    assert list(found.rows["lead_id"]) == ["b"]
    assert (found.before_recording, found.detected) == (1, False)


def leads_with_rate(rate: float, *, silent_days: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """1,000 leads over 100 days; outcomes at `rate`, but none recorded for leads of the first days."""
    rng = np.random.default_rng(5)
    starts = np.sort(rng.integers(0, 100, 1_000))
    rows = rows_frame([(f"l{i}", int(s) * DAY, int(s) * DAY + 1) for i, s in enumerate(starts)])
    winners = [i for i, s in enumerate(starts) if s >= silent_days and rng.random() < rate]
    changes = [(f"l{i}", "won", int(starts[i]) * DAY + DAY // 2, int(starts[i]) * DAY + DAY // 2) for i in winners]
    return rows, changes_frame(changes)


def test_a_silent_beginning_is_found_and_left_out() -> None:
    rows, changes = leads_with_rate(0.12, silent_days=40)
    found = label_rows(rows, changes, Target("won", "won", 2 * DAY), COMPANY, as_of=200 * DAY)
    assert found.detected
    assert found.recorded_from == changes["occurred_at"].min()
    assert found.rows["as_of"].min() >= found.recorded_from


def test_a_low_rate_is_not_taken_for_a_silent_beginning() -> None:
    rows, changes = leads_with_rate(0.01, silent_days=0)
    assert label_rows(rows, changes, Target("won", "won", 2 * DAY), COMPANY, as_of=200 * DAY).recorded_from is None


def test_leads_of_one_person_or_account_share_a_group() -> None:
    leads = pd.DataFrame(
        [("a", "p1", None), ("b", "p1", "x"), ("c", None, "x"), ("d", None, None), ("e", "p2", "y")],
        columns=["lead_id", "person_id", "account_id"],
    )
    group = outcome_groups(leads, NO_MERGES)
    assert group["a"] == group["b"] == group["c"]
    assert len({group["a"], group["d"], group["e"]}) == 3


@pytest.mark.parametrize(
    ("subject", "one", "other"), [("lead", "d", "e"), ("person", "p1", "p2"), ("account", "y", "x")]
)
def test_who_was_ever_merged_shares_a_group_even_when_it_was_taken_back(subject: str, one: str, other: str) -> None:
    leads = pd.DataFrame(
        [("a", "p1", None), ("b", None, "x"), ("d", None, None), ("e", "p2", "y"), ("f", None, None)],
        columns=["lead_id", "person_id", "account_id"],
    )
    merge = {"subject": subject, "from_id": one, "into_id": other, "source": "t", "occurred_at": 1, "recorded_at": 1}
    merges = [{**merge, "source_id": "1", "undone": False}, {**merge, "source_id": "2", "undone": True}]
    group = outcome_groups(leads, pa.Table.from_pylist(merges, schema=MERGES.snapshot_schema()))
    joined = {"lead": ("d", "e"), "person": ("a", "e"), "account": ("b", "e")}[subject]
    assert group[joined[0]] == group[joined[1]]
    assert group.nunique() == 4
