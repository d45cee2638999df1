"""The contract types hold what they promise, whoever reads them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import tables
from data.company import Company, CompanyColumn, Target
from data.errors import DataRefused, LeadscoreError, UsageError
from data.home import Home
from data.times import parse_instant
from features.declaration import Declaration
from training.policy import Policy, score_of

CONTACT = {"name", "name_kana", "email", "phone"}


def test_contact_data_live_in_persons_only() -> None:
    elsewhere = {(t.name, c.name) for t in tables.TABLES if t.name != "persons" for c in t.columns if c.contact}
    assert elsewhere == set()
    assert {c.name for c in tables.PERSONS.columns if c.contact} == CONTACT
    assert not tables.PERSONS.in_snapshot


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda t: t.name)
def test_every_table_is_bitemporal_and_keyed(table: tables.Table) -> None:
    assert table.columns[-5:] == tables.RECORD_COLUMNS
    assert "loaded_at" not in table.snapshot_schema().names
    assert "loaded_at" not in table.arrow_schema().names
    assert len(set(table.column_names())) == len(table.columns)


def test_terminal_stages_are_stages() -> None:
    assert set(tables.TERMINAL_STAGES) < set(tables.STAGES)


def test_a_company_survives_its_json() -> None:
    company = Company(
        targets=(Target("won", "won", 90),),
        columns=(CompanyColumn("origin", protected=True, label_ja="流入元"),),
        extra_stages=("demo",),
        history_from={"stage_changes": 5},
    )
    assert Company.from_json(company.to_json()) == company


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="one of: sql, won"):
        Company(targets=(Target("sql", "sql", 1), Target("won", "won", 1))).target("lost")


@pytest.mark.parametrize(
    ("time", "text", "known"),
    [("dates", "2026-04-01", True), ("dates", "row:5", False), ("row", "row:5", True), ("row", "2026-04-01", False)],
)
def test_a_time_is_of_the_datas_own_kind(time: str, text: str, known: bool) -> None:
    company = Company(time=time)  # type: ignore[arg-type]
    if known:
        assert company.instant(text) == parse_instant(text, company.timezone)
    else:
        with pytest.raises(UsageError, match="since the data have"):
            company.instant(text)


def test_a_declaration_survives_its_dict() -> None:
    declared = Declaration(
        "downloads_30d_count", "count", "behaviour", "downloads", "直近30日間に{value}件", "{value} in 30 days",
        touchpoints=("download",), window_days=30, direction=1,
    )  # fmt: skip
    assert Declaration.from_dict(declared.to_dict()) == declared


def test_a_declaration_with_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="windw"):
        Declaration.from_dict({"name": "x", "windw": 3})


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_score_is_monotone_and_within_0_to_100(p: float, q: float) -> None:
    assert 0 <= score_of(p) <= 100
    assert score_of(min(p, q)) <= score_of(max(p, q))


@pytest.mark.parametrize(("probability", "score"), [(0, 0), (1 / 16, 25), (1 / 4, 50), (1 / 2, 71), (1, 100)])
def test_the_score_map_is_fixed(probability: float, score: int) -> None:
    assert score_of(probability) == score


def policy(**changes: object) -> Policy:
    plain = Policy(
        target="won", threshold=0.2, cut_a=0.2, cut_b=0.1, cut_c=0.05, method="capacity", capacity_per_week=40.0,
        threshold_low=0.1, threshold_high=0.3, handovers_per_week=39.0, expected_yield=0.3,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


@pytest.mark.parametrize(
    ("probability", "grade"),
    [
        (1.0, "A"),
        (0.2, "A"),
        (math.nextafter(0.2, 0), "B"),
        (0.1, "B"),
        (0.07, "C"),
        (0.05, "C"),
        (0.0499, "D"),
        (0.0, "D"),
    ],
)
def test_grades_begin_at_their_cut_points(probability: float, grade: str) -> None:
    assert policy().grade(probability) == grade
    assert policy().threshold_met(probability) == (probability >= 0.2)


def test_a_policy_is_named_by_its_content() -> None:
    assert policy().policy_id == policy().policy_id != policy(threshold=0.21).policy_id
    assert Policy.from_json(policy().to_json()) == policy()


def test_every_error_says_subject_received_expected_and_remedy() -> None:
    said = str(DataRefused("leads.csv row 3", "x", expected="a date", remedy="correct it"))
    assert said == "leads.csv row 3: received x; expected a date. To mend it: correct it."
    assert all(issubclass(kind, LeadscoreError) for kind in (DataRefused, UsageError))


def test_a_home_makes_its_folders_inside_itself(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "a" / "home")
    folders = [home.bundles, home.snapshots, home.ledger, home.reports, home.imports, home.own_features, home.tracking]
    assert all(folder.is_dir() and folder.parent == home.path for folder in folders)
    assert Home.at(home.path, "postgresql://x").store_url == "postgresql://x"
    assert dataclasses.replace(home, database_url="").store_url.startswith("sqlite:///")
