"""A drafted mapping: what it guesses, and that it loads once a person has named the outcome."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from data.errors import DataRefused
from data.sources.draft import draft_mapping
from data.sources.mapping import mapping_of


def drafted(folder: Path, *names: str) -> tuple[str, dict]:
    text = draft_mapping([folder / n for n in names], relative_to=folder)
    return text, tomllib.loads(text)


def sound(raw: dict, folder: Path) -> bool:
    return bool(mapping_of(raw, folder / "mapping.toml").files)


ROWS = [
    f"L{n:03d};{n % 28 + 1:02d}/0{n % 9 + 1}/2025;{('web', 'fair', 'Select')[n % 3]};{n % 4 + 1};{n * 7 % 50}"
    f";{999 if n % 2 else n % 20};wada{n}@seiran.co.jp;和田{n};{'¥' if n % 2 else ''}{n},000"
    f";{'won;late' if n % 5 == 0 else 'lost;'}"
    for n in range(200)
]
FLAT = (
    "lead_id;created_at;channel;region_code;visits;days_since;mail;氏名;annual_revenue;status;contract\n"
    + "\n".join(ROWS)
)


def test_a_flat_file_is_understood(desk) -> None:
    desk.write("leads.csv", FLAT)
    text, raw = drafted(desk.folder, "leads.csv")
    file = raw["files"][0]
    assert file["separator"] == ";"
    assert file["missing"] == ["Select"]
    assert file["lead"]["id"] == "lead_id"
    assert file["lead"]["created"] == {"column": "created_at", "format": "%d/%m/%Y"}
    assert file["person"] == {"name": "氏名", "email": "mail"}
    assert file["stages"][0]["stage"] == {"column": "status", "words": {"won": "won", "lost": "lost"}}
    columns = file["columns"]
    assert columns["channel"] == {"as": "channel"}
    assert columns["region_code"]["type"] == "category"
    assert columns["visits"]["type"] == "number"
    assert columns["days_since"] == {"type": "number", "missing": [999]}
    assert columns["annual_revenue"] == {"as": "annual_revenue"}
    assert columns["contract"] == {"known": "outcome"}
    assert "a leak" in text
    assert sound(raw, desk.folder)


def test_the_draft_of_a_flat_file_imports_as_it_is(desk) -> None:
    desk.write("leads.csv", FLAT)
    text, _ = drafted(desk.folder, "leads.csv")
    result = desk.load(text, head="")
    assert result.counts["leads"].accepted == 200
    assert desk.rejected() == []
    assert (desk.rows("stage_changes")["stage"] == "won").sum() == 40


def test_without_dates_rows_are_time_and_a_missing_outcome_is_asked_for(desk) -> None:
    desk.write("rows.csv", "age,job,answer_code\n" + "\n".join(f"{n},{'ab'[n % 2]},{n % 3 + 5}" for n in range(60)))
    text, raw = drafted(desk.folder, "rows.csv")
    assert raw["company"]["time"] == "row"
    assert "no outcome was recognised" in text
    assert "id" not in raw["files"][0]["lead"]
    named = re.sub(r"# (\[\[files.stages\]\])", r"\1", text)
    named = re.sub(
        r'# (stage = \{ column = )"…", words = \{.*\} \}',
        r'\1"answer_code", words = { 5 = "won" }, others = "skip" }',
        named,
    )
    named = named.replace('answer_code = { type = "category" }', "#")
    desk.load(named, head="")
    assert len(desk.rows("stage_changes")) == 20


def test_deals_in_a_second_file_are_joined_and_their_columns_kept_out(desk) -> None:
    desk.write(
        "mqls.csv",
        "mql_id,first_contact_date,origin\n" + "\n".join(f"m{n},2025-01-{n % 28 + 1:02d},web" for n in range(90)),
    )
    desk.write(
        "deals.csv",
        "mql_id,won_date,segment\n" + "\n".join(f"m{n},2025-03-{n % 28 + 1:02d} 10:00,pets" for n in range(30)),
    )
    _, raw = drafted(desk.folder, "deals.csv", "mqls.csv")
    leads, deals = raw["files"]
    assert (leads["path"], leads["lead"]["id"]) == ("mqls.csv", "mql_id")
    assert deals["stages"] == [{"lead": "mql_id", "stage": {"value": "won"}, "at": "won_date"}]
    assert deals["columns"] == {"segment": {"known": "outcome"}}
    assert sound(raw, desk.folder)


def test_many_dated_rows_a_lead_are_touchpoints(desk) -> None:
    desk.write("leads.csv", "id,created\n" + "\n".join(f"a{n},2025-01-01" for n in range(20)))
    desk.write(
        "events.csv",
        "event_id,id,event_type,at\n"
        + "\n".join(f"e{n},a{n % 20},call,2025-02-{n % 28 + 1:02d} 09:00" for n in range(60)),
    )
    _, raw = drafted(desk.folder, "leads.csv", "events.csv")
    touchpoints = raw["files"][1]["touchpoints"][0]
    assert (touchpoints["lead"], touchpoints["at"], touchpoints["id"]) == ("id", "at", "event_id")
    assert touchpoints["kind"] == {"column": "event_type", "words": {"call": "call"}}
    assert sound(raw, desk.folder)


def test_property_histories_are_recognised(desk) -> None:
    desk.write("leads.csv", "id,created\n" + "\n".join(f"a{n},2025-01-01" for n in range(20)))
    rows = [f"a{n % 20},{('jobtitle', 'plan')[n % 2]},v{n % 3},2025-02-{n % 28 + 1:02d} 09:00" for n in range(60)]
    desk.write("history.csv", "contact_id,name,value,timestamp\n" + "\n".join(rows))
    _, raw = drafted(desk.folder, "leads.csv", "history.csv")
    history = raw["files"][1]["history"][0]
    assert (history["lead"], history["name"], history["value"], history["at"]) == (
        "contact_id",
        "name",
        "value",
        "timestamp",
    )
    assert set(history["columns"]) == {"jobtitle", "plan"}
    assert sound(raw, desk.folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp932"])
def test_encodings_are_found_out(desk, encoding: str) -> None:
    desk.write(
        "leads.csv",
        "番号,登録日,業種,成約\n"
        + "\n".join(f"K{n},2025/4/{n % 28 + 1},製造業,{'はい' if n % 3 else 'いいえ'}" for n in range(50)),
        encoding,
    )
    _, raw = drafted(desk.folder, "leads.csv")
    assert raw["files"][0].get("encoding", "utf-8-sig") == encoding
    assert raw["files"][0]["stages"][0]["stage"]["words"] == {"はい": "won", "いいえ": "lost"}
    assert raw["files"][0]["columns"]["業種"] == {"as": "industry"}
    assert sound(raw, desk.folder)


def test_a_file_that_is_not_there_or_empty(desk) -> None:
    with pytest.raises(DataRefused, match="no such file"):
        drafted(desk.folder, "none.csv")
    desk.write("empty.csv", "")
    with pytest.raises(DataRefused, match="empty file"):
        drafted(desk.folder, "empty.csv")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("files", "outcome"),
    [
        (["bank_marketing/bank-additional-full.csv"], {"yes": "won", "no": "lost"}),
        (["online_shoppers/online_shoppers_intention.csv"], {"TRUE": "won", "FALSE": "lost"}),
        (["salvirt_b2b/Salvirt_B2B_ML_dataset.csv"], {"Won": "won", "Lost": "lost"}),
        (["olist_funnel/mqls.csv", "olist_funnel/closed_deals_known_at_cutoff.csv"], None),
    ],
)
def test_drafts_of_real_files_load_as_they_are(shared_datasets: Path, files: list[str], outcome: dict | None) -> None:
    text = draft_mapping([shared_datasets / f for f in files], relative_to=shared_datasets)
    raw = tomllib.loads(text)
    assert sound(raw, shared_datasets)
    stage = raw["files"][-1]["stages"][0]["stage"]
    assert stage == ({"value": "won"} if outcome is None else {"column": stage["column"], "words": outcome})


@pytest.mark.parametrize(
    ("column", "values", "standard"),
    [
        ("Headcount", [10, 250, 4000], "employees"),
        ("No. of Employees", [10, 250, 4000], "employees"),
        ("employee_count", [10, 250, 4000], "employees"),
        ("従業員数", [10, 250, 4000], "employees"),
        ("Lead Source", ["web", "fair", "web"], "channel"),
        ("original_source", ["web", "fair", "web"], "channel"),
        ("流入経路", ["web", "fair", "web"], "channel"),
    ],
)
def test_columns_under_their_usual_other_names(tmp_path: Path, column: str, values: list, standard: str) -> None:
    rows = [
        f"L{n},2026-01-{n % 28 + 1:02d},{values[n % 3] + n if standard == 'employees' else values[n % 3]}"
        for n in range(60)
    ]
    (tmp_path / "leads.csv").write_text("\n".join([f"id,created,{column}", *rows]) + "\n", encoding="utf-8")
    drafted = draft_mapping([tmp_path / "leads.csv"], tmp_path)
    assert f'{{ as = "{standard}" }}' in drafted
