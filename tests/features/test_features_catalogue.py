"""The catalogue says everything about every feature, in both languages, and the page shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from data.company import Company, CompanyColumn
from data.errors import UsageError
from data.tables import STANDARD_ATTRIBUTES, TOUCHPOINT_KINDS
from features.catalogue import declarations, render_catalogue
from features.declaration import CATEGORY_KINDS, Declaration, Kind, check
from features.own import EXAMPLE

DEFAULT = declarations(Company())


@pytest.mark.parametrize("d", DEFAULT, ids=lambda d: d.name)
def test_every_default_feature_is_complete(d: Declaration) -> None:
    check(d)
    assert d.null
    assert d.unit or d.is_category
    assert any("぀" <= letter <= "ヿ" or "一" <= letter <= "鿿" for letter in d.wording_ja)
    assert d.wording_en.isascii()
    assert "because" not in d.wording_en.lower()
    assert not d.wording_ja.endswith(("。", "です", "ます", "した", "する"))
    for wording in (d.wording_ja, d.wording_en, d.absent_ja, d.absent_en):
        assert "_" not in wording
        wording.format(value="3", window=d.window_days)
    if d.window_days and d.kind != "active_weeks":
        assert "{window}" in d.wording_ja
        assert "{window}" in d.wording_en
        assert f"{d.window_days}d" in d.name
    assert bool(d.absent_ja) == bool(d.absent_en)
    assert set(d.touchpoints) | set(d.denominator) <= set(TOUCHPOINT_KINDS)


def test_default_catalogue_covers_the_vocabulary() -> None:
    used = {d.kind for d in DEFAULT}
    assert used >= set(get_args(Kind)) - {"days_since_date", "text_length"}
    assert {d.window_days for d in DEFAULT if d.kind == "count"} >= {1, 7, 30, 90, 365, None}
    assert {d.of for d in DEFAULT if d.kind == "calendar"} == {
        "creation_hour", "creation_weekday", "creation_month", "days_to_quarter_end",
    }  # fmt: skip
    assert 55 <= len(DEFAULT) <= 75


def test_a_reason_code_belongs_to_one_group() -> None:
    groups: dict[str, set[str]] = {}
    for d in DEFAULT:
        groups.setdefault(d.reason, set()).add(d.group)
    assert {reason for reason, found in groups.items() if len(found) > 1} == set()


def test_who_is_in_charge_is_never_a_feature() -> None:
    read = {d.attribute for d in DEFAULT}
    assert read.isdisjoint({"owner", "region", "job_title"})
    assert read - {""} <= set(STANDARD_ATTRIBUTES)


def test_categories_have_no_direction() -> None:
    assert [d.name for d in DEFAULT if d.kind in CATEGORY_KINDS and d.direction] == []


def test_the_page_is_current(root: Path) -> None:
    page = (root / "docs" / "features.md").read_text(encoding="utf-8")
    assert page == render_catalogue(DEFAULT), "run: python -m features.catalogue > docs/features.md"
    for d in DEFAULT:
        assert f"`{d.name}`" in page


def test_data_without_dates_has_attributes_only() -> None:
    assert {d.kind for d in declarations(Company(time="row"))} == {"number", "category", "missing"}


COLUMNS = (
    CompanyColumn("Plan", type="category", label_ja="プラン", label_en="Plan"),
    CompanyColumn("seats", type="number", direction=1, group="behaviour", known="later"),
    CompanyColumn("契約日", type="date"),
    CompanyColumn("note", type="text", subject="account"),
    CompanyColumn("won_amount", type="number", known="outcome"),
    CompanyColumn("age", type="number", protected=True),
    CompanyColumn("stage", type="category"),
    CompanyColumn("industry", type="category", subject="lead"),
    CompanyColumn("emp.var-rate", type="number"),
)


def test_columns_become_features_as_declared() -> None:
    found = {d.name: d for d in declarations(Company(columns=COLUMNS))}
    assert found["Plan"].wording_ja == "プラン「{value}」"
    assert (found["seats"].kind, found["seats"].group, found["seats"].direction) == ("number", "behaviour", 1)
    assert found["seats_missing"].group == "behaviour"
    assert (found["契約日"].kind, found["契約日_missing"].kind) == ("days_since_date", "missing")
    assert (found["note"].kind, found["note"].subject) == ("text_length", "account")
    assert not {"won_amount", "age"} & {d.attribute for d in found.values()}
    assert found["own_stage"].attribute == "stage"
    assert found["industry"].subject == "lead"
    assert found["emp_var_rate"].attribute == "emp.var-rate"


OWN = EXAMPLE


def test_own_declarations_are_added(tmp_path: Path) -> None:
    (tmp_path / "webinars.toml").write_text(OWN, encoding="utf-8")
    (tmp_path / "empty.toml").write_text("", encoding="utf-8")
    found = declarations(Company(), tmp_path)
    assert len(found) == len(DEFAULT) + 1
    assert found[-1].touchpoints == ("webinar_replay",)
    assert Declaration.from_dict(found[-1].to_dict()) == found[-1]


AGE = OWN.replace('kind = "count"', 'kind = "number"\nattribute = "age"').split("touchpoints")[0]


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (CompanyColumn("age", type="number", protected=True), "protected"),
        (CompanyColumn("age", type="number", known="outcome"), "known only after the outcome"),
    ],
)
def test_an_own_declaration_is_no_way_around_the_mapping(tmp_path: Path, column: CompanyColumn, why: str) -> None:
    (tmp_path / "age.toml").write_text(AGE, encoding="utf-8")
    assert declarations(Company(), tmp_path)[-1].attribute == "age"
    with pytest.raises(UsageError, match=why):
        declarations(Company(columns=(column,)), tmp_path)


def test_default_features_of_a_protected_column_are_left_out() -> None:
    """Also those that read it of the account's other people."""
    company = Company(columns=(CompanyColumn("department", protected=True),))
    assert "account_departments_365d" in {d.name for d in DEFAULT}
    assert not [d.name for d in declarations(company) if d.attribute == "department"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("kind = \"count\"", "kind = \"counting\""), ("kind", "counting", "days_since_last")),
        (("direction = 1", "direction = 2"), ("direction", "2", "-1, 0, 1")),
        (("direction = 1", "colour = 1"), ("unknown field colour", "window_days")),
        (("window_days = 30", "window_days = 0"), ("window_days", "36500")),
        (("window_days = 30", "window_days = 1.5"), ("window_days", "1.5")),
        (("kind = \"count\"", "kind = \"decayed_sum\""), ("half_life_days", "decayed_sum")),
        (("kind = \"count\"", "kind = \"ratio\""), ("denominator",)),
        (("kind = \"count\"", "kind = \"first_touch\"\nof = \"colour\""), ("of", "colour", "channel")),
        (("kind = \"count\"", "kind = \"active_weeks\"\nhalf_life_days = 0.01"), ("half_life_days", "0.01")),
        (("name = \"webinar", "name = \"webinar replay"), ("name", "underscores")),
        (("touchpoints = [\"webinar_replay\"]", "touchpoints = [1]"), ("touchpoints", "list of texts")),
        (("wording_en", "# wording_en"), ("wording_en",)),
        (("[[feature]]", "[[features]]"), ("features", "[[feature]]")),
        (("[[feature]]", "[[feature]"), ("TOML",)),
        (("name = \"webinar_replays_30d_count\"", "name = \"Industry\""), ("Industry", "twice", "rename")),
    ],
)  # fmt: skip
def test_wrong_declarations_are_refused_by_name(tmp_path: Path, change: tuple[str, str], said: tuple[str, ...]) -> None:
    (tmp_path / "webinars.toml").write_text(OWN.replace(*change), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        declarations(Company(), tmp_path)
    for words in said:
        assert words in str(refused.value)


def test_the_serving_side_needs_neither_ibis_nor_duckdb_nor_pandas(root: Path) -> None:
    code = (
        "import sys, features.online, features.catalogue, features.declaration\n"
        "print(sorted({'ibis', 'duckdb', 'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    # data.tables declares Arrow types; nothing else heavy may come in.
    assert set(eval(run.stdout)) <= {"pyarrow", "numpy"}
