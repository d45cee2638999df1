"""What is written: keys, times, order of stages, invented people."""

from __future__ import annotations

import json
import re
from datetime import date

import holidays
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from data.errors import UsageError
from data.home import Home
from data.simulator.write import simulate_to
from data.sources.importing import import_mapping
from data.sources.mapping import read_mapping
from data.store.operational import Store
from data.tables import LEAD_CYCLES, STAGES, STANDARD_ATTRIBUTES, TOUCHPOINT_KINDS
from data.times import parse_instant

TABLES = {
    "persons", "accounts", "account_attributes", "leads", "lead_attributes", "touchpoints", "stage_changes",
    "opportunities", "opportunity_leads", "consents", "merges", "campaign_costs",
}  # fmt: skip
REFERENCES = (
    ("leads", "person_id", "persons", "person_id"),
    ("leads", "account_id", "accounts", "account_id"),
    ("touchpoints", "lead_id", "leads", "lead_id"),
    ("touchpoints", "campaign_id", "campaign_costs", "campaign_id"),
    ("stage_changes", "lead_id", "leads", "lead_id"),
    ("lead_attributes", "lead_id", "leads", "lead_id"),
    ("account_attributes", "account_id", "accounts", "account_id"),
    ("opportunities", "account_id", "accounts", "account_id"),
    ("opportunity_leads", "opportunity_id", "opportunities", "opportunity_id"),
    ("opportunity_leads", "lead_id", "leads", "lead_id"),
    ("consents", "person_id", "persons", "person_id"),
)


def test_every_table_is_there_and_counted(written):
    assert set(written.tables) == TABLES
    assert {name: len(table) for name, table in written.tables.items()} == written.summary.rows
    assert written.summary.wins == (written.tables["stage_changes"]["stage"] == "won").sum() > 50


@pytest.mark.parametrize("name", sorted(TABLES))
def test_records_have_ids_of_their_own_and_are_never_known_before_they_happen(written, name):
    table = written.tables[name]
    assert table["source_id"].is_unique
    assert (table["occurred_at"] <= table["recorded_at"]).all()
    assert (table["recorded_at"] < pd.Timestamp(written.summary.end)).all()
    assert (table["recorded_at"] >= pd.Timestamp(written.summary.end) - pd.Timedelta(days=731)).all()


@pytest.mark.parametrize(("table", "column", "other", "key"), REFERENCES)
def test_references_lead_somewhere(written, table, column, other, key):
    assert set(written.tables[table][column].dropna()) <= set(written.tables[other][key])


def test_words_are_the_contracts_own(written):
    assert set(written.tables["touchpoints"]["kind"]) == set(TOUCHPOINT_KINDS)
    assert set(written.tables["touchpoints"]["actor"]) == {"lead", "company", "machine"}
    assert set(written.tables["stage_changes"]["stage"]) == set(STAGES) - {"new"}
    flat = {"channel", "campaign", "job_title_band", "department", "free_mail", "region", "message_length"}
    assert flat <= set(written.tables["leads"]) & set(STANDARD_ATTRIBUTES)


def test_stages_of_a_cycle_come_in_funnel_order(written):
    order = {"mql": 1, "sql": 2, "opportunity": 3, "won": 4, "lost": 4, "disqualified": 4}
    leads = written.tables["leads"].set_index("lead_id")
    for lead, steps in written.tables["stage_changes"].sort_values("recorded_at").groupby("lead_id"):
        reached, before = 0, leads.loc[lead, "occurred_at"]
        for stage, occurred in zip(steps["stage"], steps["occurred_at"], strict=True):
            assert occurred > before
            assert stage == "recycled" or order[stage] > reached
            assert stage in {"recycled", "lost", "disqualified"} or order[stage] == reached + 1
            reached, before = order.get(stage, 0), occurred


def test_work_is_done_on_working_days(written):
    """An independent calendar: weekends, national holidays, 年末年始 and お盆."""
    days = written.tables["stage_changes"]["recorded_at"].dt.tz_convert("Asia/Tokyo").dt.date
    waits = written.tables["stage_changes"]["stage"] == "recycled"
    duplicate = written.tables["stage_changes"]["reason"] == "重複"
    national = holidays.country_holidays("JP")
    for day in set(days[~waits & ~duplicate]):
        assert day.weekday() < 5
        assert day not in national
        assert not date(day.year, 8, 13) <= day <= date(day.year, 8, 16)


def test_only_people_are_late(written):
    """What machines see is recorded at once; cards, seminars, calls and meetings may be typed in days later."""
    touches = written.tables["touchpoints"]
    late = touches["recorded_at"] - touches["occurred_at"] > pd.Timedelta(hours=20)
    assert set(touches["kind"][late]) == {"trade_show", "seminar", "call", "meeting"}
    steps = written.tables["stage_changes"]
    delay = steps["recorded_at"] - steps["occurred_at"]
    assert 0.03 < (delay > pd.Timedelta(hours=14)).mean() < 0.3
    assert delay.max() < pd.Timedelta(days=8)


def test_winning_peaks_when_budgets_end(written):
    won = written.tables["stage_changes"].query("stage == 'won'")["occurred_at"].dt.tz_convert("Asia/Tokyo")
    peak = won.dt.month.isin((3, 9)) & (won.dt.day >= 15)
    assert peak.sum() / (4 * 16) > 1.5 * (~peak).sum() / (730 - 4 * 16)


def test_duplicates_are_the_same_person_and_are_merged_into_the_earlier_lead(written):
    merges, persons = written.tables["merges"], written.tables["persons"].set_index("person_id")
    people = merges[merges["subject"] == "person"]
    assert len(people) > 10
    first, second = persons.loc[people["into_id"]], persons.loc[people["from_id"]]
    assert list(first["email"].str.lower()) == list(second["email"].str.lower())
    assert list(first["name"].str.replace(" ", "")) == list(second["name"].str.replace(" ", ""))
    assert (first["recorded_at"].to_numpy() < second["recorded_at"].to_numpy()).all()


def test_nobody_can_be_reached(written):
    """Reserved domains, numbers that cannot be dialled, a provider's domain only with an impossible local part."""
    persons, accounts = written.tables["persons"], written.tables["accounts"]
    reserved = re.compile(r".*@([a-z0-9-]+\.)*example\.(com|jp|org)$", re.IGNORECASE)
    real = persons["email"][~persons["email"].str.match(reserved)]
    assert len(real) < 0.01 * len(persons)
    assert (real.str.split("@").str[0].str.len() > 30).all()
    fictional = re.compile(r"03-0\d{3}-\d{4}|\+1-202-555-01\d\d|\+44-20-7946-0\d{3}")
    assert persons["phone"].dropna().str.fullmatch(fictional).all()
    assert accounts["domain"].str.fullmatch(r"[a-z]+-\d{6}\.example\.(jp|com)").all()


def test_names_are_written_in_both_scripts(written):
    persons, accounts = written.tables["persons"], written.tables["accounts"]
    assert persons["name_kana"].dropna().str.fullmatch(r"[ァ-ヴー ]+").all()
    japan = accounts.query("country == 'JP'")["name"]
    assert 0.3 < japan.str.startswith("株式会社").mean() < 0.8
    assert 0.2 < japan.str.endswith("株式会社").mean() < 0.7
    assert accounts.query("country != 'JP'")["name"].str.isascii().all()


def test_head_counts_agree_with_their_band(written):
    account = written.tables["accounts"].set_index("account_id")["employee_band"]
    bought = written.tables["account_attributes"].query("name == 'employees'")
    edges = [1, 30, 100, 300, 1_000, 5_000, 10**9]
    bands = np.array(["1–29", "30–99", "100–299", "300–999", "1,000–4,999", "5,000+"])
    assert list(bands[np.digitize(bought["number"], edges) - 1]) == list(account.loc[bought["account_id"]])


def test_a_win_has_an_amount_that_its_opportunity_repeats(written):
    won = written.tables["stage_changes"].query("stage == 'won'")
    assert (won["amount"] > 0).all()
    opportunity = written.tables["opportunities"].query("stage == '受注'")
    assert sorted(won["amount"]) == sorted(opportunity["amount"])


def test_the_mapping_imports_everything_and_cycles_have_the_names_the_truth_uses(written, tmp_path):
    with Store.open(Home.at(tmp_path)) as store:
        result = import_mapping(
            read_mapping(written.folder / "mapping.toml"),
            store,
            Home.at(tmp_path),
            now=parse_instant(written.summary.end),
            progress=lambda *_, **__: None,
        )
        assert {name: count.rejected for name, count in result.counts.items() if count.rejected} == {}
        assert result.undeclared == {}
        cycles = store.read(LEAD_CYCLES).to_pandas()
    truth = pq.read_table(written.folder / "truth" / "truth.parquet").to_pandas()
    named = truth.merge(cycles, on=["cycle_id", "lead_id"], how="left")
    assert named["occurred_at"].notna().all()
    assert (named["recorded_at"] < named["as_of"]).all()
    assert (truth["cycle_id"] != truth["lead_id"]).any()


def test_the_summary_says_where_history_ends(written):
    said = json.loads((written.folder / "summary.json").read_text())
    assert said["end"] == "2026-10-01T00:00+09:00"
    assert said["rows"] == written.summary.rows


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"leads": 0}, "--leads"),
        ({"seed": -1}, "--seed"),
        ({"format": "xlsx"}, "--format"),
        ({"end": "2026-10-01T12:00"}, "--end"),
    ],
)
def test_nonsense_is_refused(tmp_path, wrong, said):
    with pytest.raises(UsageError, match=said):
        simulate_to(tmp_path, **{"leads": 10, "seed": 1, **wrong})
