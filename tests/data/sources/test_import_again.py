"""Importing again: nothing changes, or exactly what changed is found, now."""

from __future__ import annotations

import pytest

from data.errors import DataRefused
from data.tables import TABLES
from data.times import DAY, parse_instant

BODY = """
[[files]]
path = "leads.csv"
[files.lead]
id = "id"
created = "created"
account = "firm"
[files.person]
email = "mail"
[files.columns]
plan = { type = "category" }
seats = { type = "number" }
sector = { as = "industry" }
"""
FIRST = "id,created,firm,mail,plan,seats,sector\na,2026-04-01,F,x@f.jp,pro,3,retail\nb,2026-04-02,F,y@f.jp,,,retail\n"


def everything(desk) -> dict[str, str]:
    return {t.name: desk.rows(t.name).to_csv() for t in TABLES}


def test_the_same_again_changes_nothing(desk) -> None:
    desk.write("leads.csv", FIRST)
    assert desk.load(BODY).changed
    before = everything(desk)
    again = desk.load(BODY)
    assert everything(desk) == before
    assert not again.changed
    assert again.counts["lead_attributes"].unchanged == desk.results[0].counts["lead_attributes"].accepted
    assert again.rejected_file is None


@pytest.mark.parametrize(
    ("old", "new", "lead", "name", "values"),
    [
        ("pro,3", "max,3", "a", "plan", ["pro", "max"]),
        ("pro,3", ",3", "a", "plan", ["pro", None]),
        ("y@f.jp,,", "y@f.jp,lite,", "b", "plan", [None, "lite"]),
        ("pro,3", "pro,4", "a", "seats", [3, 4]),
        ("x@f.jp", "x@gmail.com", "a", "free_mail", ["no", "yes"]),
    ],
)
def test_a_changed_flat_value_is_a_change_found_now(
    desk, old: str, new: str, lead: str, name: str, values: list
) -> None:
    desk.write("leads.csv", FIRST)
    desk.load(BODY)
    desk.write("leads.csv", FIRST.replace(old, new))
    desk.load(BODY)
    assert desk.attribute(lead, name) == values
    newest = desk.rows("lead_attributes").iloc[-1]
    assert newest["name"] == name
    assert newest["occurred_at"] == newest["recorded_at"] == desk.today + DAY


def test_a_value_that_comes_back_is_a_change_as_well(desk) -> None:
    for text in (FIRST, FIRST.replace("pro", "max"), FIRST, FIRST):
        desk.write("leads.csv", text)
        desk.load(BODY)
    assert desk.attribute("a", "plan") == ["pro", "max", "pro"]


def test_a_changed_person_and_account_become_new_versions(desk) -> None:
    desk.write("leads.csv", FIRST)
    desk.load(BODY)
    desk.write("leads.csv", FIRST.replace("x@f.jp", "z@f.jp").replace("retail", "energy"))
    desk.load(BODY)
    assert desk.rows("persons").query("person_id == 'lead:a'")["email"].tolist() == ["x@f.jp", "z@f.jp"]
    sector = desk.rows("account_attributes")
    assert sector["text"].tolist() == ["retail", "energy"]
    assert sector["recorded_at"].tolist() == [parse_instant("2026-04-01"), desk.today + DAY]


def test_a_column_declared_later_counts_from_creation(desk) -> None:
    desk.write("leads.csv", FIRST)
    desk.load(BODY.replace('plan = { type = "category" }\n', ""))
    desk.load(BODY)
    plans = desk.rows("lead_attributes").query("name == 'plan'")
    assert plans["recorded_at"].tolist() == [parse_instant("2026-04-01"), parse_instant("2026-04-02")]


def test_new_rows_join_old_ones(desk) -> None:
    desk.write("leads.csv", FIRST)
    desk.load(BODY)
    desk.write("leads.csv", FIRST + "c,2026-06-01,F,w@f.jp,pro,1,retail\n")
    result = desk.load(BODY)
    assert (result.counts["leads"].accepted, result.counts["leads"].unchanged) == (1, 2)
    assert len(desk.rows("account_attributes")) == 1


def test_a_lead_with_other_facts_is_a_conflict_and_stays_as_it_was(desk) -> None:
    desk.write("leads.csv", FIRST)
    desk.load(BODY)
    desk.write("leads.csv", FIRST.replace("a,2026-04-01,F", "a,2026-04-01,G"))
    result = desk.load(BODY)
    assert result.counts["leads"].conflicts == 1
    assert desk.rows("leads")["account_id"].tolist() == ["F", "F"]
    assert [(r[0], r[1], r[3]) for r in desk.rejected()] == [("leads.csv", 1, "a")]


FLAT = """
[[files]]
path = "leads.csv"
[files.lead]
id = "id"
created = "created"
[[files.stages]]
stage = { column = "status", words = { won = "won", lost = "lost" }, others = "skip" }
known_after = "30d"
"""


def test_an_outcome_without_date_that_appears_later_is_found_now(desk) -> None:
    for status in ("open", "open", "won", "won"):
        desk.write("leads.csv", f"id,created,status\na,2026-01-01,{status}\nz,2026-01-01,lost\n")
        desk.load(FLAT)
    stages = desk.rows("stage_changes")
    assert stages[["lead_id", "stage"]].values.tolist() == [["z", "lost"], ["a", "won"]]
    assert stages["recorded_at"].tolist() == [parse_instant("2026-01-31") - 1, desk.today + 2 * DAY]


def test_two_sources_may_share_leads_but_not_claim_them(desk) -> None:
    desk.write("leads.csv", "id,created\na,2026-04-01\n")
    plain = '[[files]]\npath = "leads.csv"\n[files.lead]\nid = "id"\ncreated = "created"\n'
    desk.load(plain)
    web = 'source = "web"\n[company]\ntimezone = "UTC"\n'
    result = desk.load(plain, web, "web.toml")
    assert result.counts["leads"].rejected == 1
    assert "id_prefix" in desk.rejected()[0][4]
    desk.load(plain, web.replace('"web"\n', '"web"\nid_prefix = "w-"\n', 1), "web.toml")
    assert desk.rows("leads")["lead_id"].tolist() == ["a", "w-a"]
    assert desk.rows("leads")["source_id"].tolist() == ["a", "a"]
    desk.write("visits.csv", "id,at\na,2026-04-03\n")
    visits = '[[files]]\npath = "visits.csv"\n[[files.touchpoints]]\nlead = "id"\nat = "at"\n'
    visits += 'kind = { value = "page_view" }\n'
    desk.load(visits, web, "visits.toml")
    assert desk.rows("touchpoints")["lead_id"].tolist() == ["a"]


def test_mappings_add_up_to_one_company_and_an_edited_one_replaces_its_own_word(desk) -> None:
    desk.write("leads.csv", "id,created,plan,size\na,2026-04-01,pro,1\n")
    part = '[[files]]\npath = "leads.csv"\n[files.lead]\nid = "id"\ncreated = "created"\n[files.columns]\n'
    desk.load(part + 'plan = { type = "category" }\n')
    desk.load(part + 'plan = { type = "category", direction = 1 }\n')
    head = 'source = "crm"\n[company]\ntimezone = "UTC"\n[targets.sql]\nstage = "sql"\nhorizon = "7d"\n'
    desk.load(part + 'size = { type = "number" }\n', head, "second.toml")
    company = desk.store.company()
    assert [t.name for t in company.targets] == ["won", "sql"]
    assert {c.name: c.direction for c in company.columns} == {"plan": 1, "size": 0}


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ('source = "b"\n[company]\ntimezone = "Asia/Tokyo"\n', "company.timezone.*Asia/Tokyo.*UTC.*mapping.toml"),
        ('source = "b"\n[company]\ntimezone = "UTC"\n[targets.won]\nstage = "won"\nhorizon = "9d"\n', "target won"),
    ],
)
def test_mappings_that_contradict_each_other_are_refused_and_store_nothing(desk, head: str, said: str) -> None:
    desk.write("leads.csv", "id,created\na,2026-04-01\n")
    body = '[[files]]\npath = "leads.csv"\n[files.lead]\nid = "id"\ncreated = "created"\n'
    desk.load(body)
    with pytest.raises(DataRefused, match=said):
        desk.load(body, head, "other.toml")
    assert len(desk.rows("leads")) == 1


def test_two_imports_in_one_instant_keep_what_each_found(desk) -> None:
    desk.write("leads.csv", "id,created,plan\na,2026-04-01,pro\nb,never,pro\n")
    body = '[[files]]\npath = "leads.csv"\n[files.lead]\nid = "id"\ncreated = "created"\n'
    for mapping in ("one.toml", "two.toml"):
        desk.results.clear()
        head = f'source = "{mapping}"\nid_prefix = "{mapping}-"\n[company]\ntimezone = "UTC"\n'
        desk.load(body, head + '[targets.won]\nstage = "won"\nhorizon = "90d"\n', mapping)
    kept = sorted(desk.home.imports.iterdir())
    assert len(kept) == 2
    assert [sorted(p.name for p in folder.iterdir()) for folder in kept] == [["columns.json", "rejected.csv"]] * 2


def test_without_any_target_there_is_nothing_to_predict(desk) -> None:
    desk.write("leads.csv", "id,created\na,2026-04-01\n")
    body = '[[files]]\npath = "leads.csv"\n[files.lead]\nid = "id"\ncreated = "created"\n'
    with pytest.raises(DataRefused, match=r"no target.*targets.won"):
        desk.load(body, 'source = "b"\n')
