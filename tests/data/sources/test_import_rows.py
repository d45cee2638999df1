"""What an import stores: each table in file and store, one expression apart."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

from data.times import DAY, ROW_OUTCOME_DELAY, ROW_STEP, parse_instant

LEADS = """
[[files]]
path = "leads.csv"
[files.lead]
id = "id"
created = "created"
"""


VISITS = """
[[files]]
path = "t-*.csv"
[[files.touchpoints]]
lead = "who"
at = "at"
kind = { value = "page_view" }
"""


def test_a_manual_example_goes_through(desk) -> None:
    desk.write(
        "leads.csv",
        """
        lead_no,created,company,employees,source,status,closed
        1,2026/4/1,㈱青嵐,120,web,受注,2026/5/12
        2,2026/4/3,,,Select,失注,2026/4/20
        3,2026/4/8,凪商事,45,trade show,対応中,
        """,
    )
    result = desk.load(
        """
        [[files]]
        path = "leads.csv"
        missing = ["Select"]
        [files.lead]
        id = "lead_no"
        created = "created"
        account = "company"
        [files.columns]
        employees = { as = "employees" }
        source = { as = "channel" }
        [[files.stages]]
        stage = { column = "status", words = { "受注" = "won", "失注" = "lost" }, others = "skip" }
        at = "closed"
        """
    )
    assert desk.rejected() == []
    assert desk.rows("leads")["account_id"].tolist() == ["㈱青嵐", "lead:2", "凪商事"]
    assert desk.rows("stage_changes")[["lead_id", "stage"]].values.tolist() == [["1", "won"], ["2", "lost"]]
    assert [desk.attribute(i, "channel") for i in "123"] == [["web"], [None], ["trade show"]]
    accounts = desk.rows("account_attributes").set_index(["account_id", "name"])
    assert accounts.loc[("㈱青嵐", "employees"), "number"] == 120
    assert accounts.loc[("㈱青嵐", "employee_band"), "text"] == "100–299"
    assert pd.isna(accounts.loc[("lead:2", "employees"), "number"])
    assert result.counts["leads"].accepted == 3


def test_flat_values_are_known_from_the_lead_s_creation(desk) -> None:
    desk.write("leads.csv", "id,created,entered,plan\na,2026-04-01,2026-04-03,pro\n")
    desk.load(LEADS + 'recorded = "entered"\n[files.columns]\nplan = { type = "category" }\n')
    row = desk.rows("lead_attributes").iloc[0]
    assert (row["occurred_at"], row["recorded_at"]) == (parse_instant("2026-04-01"), parse_instant("2026-04-03"))
    assert row["source_id"] == "a:plan"


def test_a_later_column_counts_from_its_import_and_an_outcome_column_not_at_all(desk) -> None:
    desk.write("leads.csv", "id,created,rating,reason,rest\na,2026-04-01,hot,price,x\n")
    body = '[files.columns]\nrating = { type = "category", known = "later" }\nreason = { known = "outcome" }\n'
    result = desk.load(LEADS + body)
    rows = desk.rows("lead_attributes")
    assert rows[["name", "occurred_at", "recorded_at"]].values.tolist() == [["rating", desk.today, desk.today]]
    assert result.kept_out == {"leads.csv": ("reason",)}
    assert result.undeclared == {"leads.csv": ("rest",)}


def test_row_time_numbers_leads_and_puts_outcomes_right_behind_their_row(desk) -> None:
    desk.write("rows.csv", "x,y\n3,yes\n4,no\n5,\n")
    head = 'source = "rows"\n[company]\ntime = "row"\n[targets.won]\nstage = "won"\n'
    desk.load(
        """
        [[files]]
        path = "rows.csv"
        [files.lead]
        [files.columns]
        x = { type = "number" }
        [[files.stages]]
        stage = { column = "y", words = { yes = "won", no = "lost" } }
        """,
        head,
    )
    leads, stages = desk.rows("leads"), desk.rows("stage_changes")
    assert leads[["lead_id", "occurred_at", "recorded_at"]].values.tolist() == [
        [str(n), n * ROW_STEP, n * ROW_STEP] for n in (1, 2, 3)
    ]
    assert stages[["lead_id", "stage", "recorded_at"]].values.tolist() == [
        ["1", "won", ROW_STEP + ROW_OUTCOME_DELAY],
        ["2", "lost", 2 * ROW_STEP + ROW_OUTCOME_DELAY],
    ]


def test_a_flat_outcome_happens_at_the_end_of_the_time_declared(desk) -> None:
    desk.write("leads.csv", "id,created,won\na,2026-01-01,1\nb,2026-01-02,0\n")
    desk.load(
        LEADS + '[[files.stages]]\nstage = { column = "won", words = { 1 = "won", 0 = "lost" } }\nknown_after = "30d"\n'
    )
    stages = desk.rows("stage_changes")
    assert stages[["lead_id", "stage", "occurred_at"]].values.tolist() == [
        ["a", "won", parse_instant("2026-01-01") + 30 * DAY - 1],
        ["b", "lost", parse_instant("2026-01-02") + 30 * DAY - 1],
    ]


def test_a_column_a_stage_passes_over_rows_without_its_date(desk) -> None:
    desk.write("leads.csv", "id,created,mql_on,won_on\na,2026-01-01,2026-01-05,2026-02-01\nb,2026-01-02,,\n")
    desk.load(
        LEADS + '[[files.stages]]\nstage = { value = "mql" }\nat = "mql_on"\n'
        '[[files.stages]]\nstage = { value = "won" }\nat = "won_on"\nrecording_lag = "2d"\n'
    )
    assert desk.rejected() == []
    stages = desk.rows("stage_changes")
    assert stages["stage"].tolist() == ["mql", "won"]
    assert (stages["recorded_at"] - stages["occurred_at"]).tolist() == [0, 2 * DAY]


def test_property_histories_become_values_and_stages_over_time(desk) -> None:
    desk.write("contacts.csv", "id,createdate\n7,2026-01-01 09:00\n")
    desk.write(
        "history.csv",
        """
        contact_id,name,value,timestamp
        7,jobtitle,課長,2026-01-01 09:00:00
        7,lifecyclestage,marketingqualifiedlead,2026-01-03 10:00:00
        7,lifecyclestage,subscriber,2026-01-02 10:00:00
        7,jobtitle,部長,2026-02-01 09:00:00
        7,employees_told,120名,2026-02-01 09:00:00
        7,hs_secret,whatever,2026-02-01 09:00:00
        7,lifecyclestage,customer,2026-03-01 10:00:00
        """,
    )
    desk.load(
        """
        [[files]]
        path = "contacts.csv"
        [files.lead]
        id = "id"
        created = "createdate"
        [[files]]
        path = "history.csv"
        [[files.history]]
        lead = "contact_id"
        name = "name"
        value = "value"
        at = "timestamp"
        columns.jobtitle = { as = "job_title" }
        columns.employees_told = { type = "number" }
        [[files.stages]]
        lead = "contact_id"
        stage = { column = "value", words = { marketingqualifiedlead = "mql", customer = "won" }, others = "skip" }
        at = "timestamp"
        where = { name = "lifecyclestage" }
        """
    )
    assert desk.rejected() == []
    assert desk.attribute("7", "job_title") == ["課長", "部長"]
    assert desk.attribute("7", "job_title_band") == ["課長", "部長"]
    assert desk.attribute("7", "employees_told") == [120]
    assert desk.rows("stage_changes")["stage"].tolist() == ["mql", "won"]
    assert "hs_secret" not in set(desk.rows("lead_attributes")["name"])


def test_field_histories_with_old_and_new_value(desk) -> None:
    desk.write("leads.csv", "id,created\nL1,2026-01-01\n")
    desk.write(
        "LeadHistory.csv",
        """
        LeadId,Field,OldValue,NewValue,CreatedDate
        L1,Status,Open,Working,2026-01-05T00:00:00Z
        L1,Industry,,Retail,2026-01-06T00:00:00Z
        L1,Status,Working,Converted,2026-02-05T00:00:00Z
        """,
    )
    desk.load(
        LEADS
        + """
        [[files]]
        path = "LeadHistory.csv"
        [[files.stages]]
        lead = "LeadId"
        stage = { column = "NewValue", words = { Working = "mql", Converted = "won" } }
        at = "CreatedDate"
        where = { Field = "Status" }
        """.replace("\n        ", "\n")
    )
    assert desk.rejected() == []
    assert desk.rows("stage_changes")["stage"].tolist() == ["mql", "won"]


def test_contact_data_stay_with_persons_and_leave_flags(desk) -> None:
    desk.write(
        "leads.csv",
        """
        id,created,contact,姓,名,カナ,mail,tel,web,body,title
        a,2026-04-01,p1,和田,隆,ワダ タカシ,wada@seiran.co.jp,03-0442-5373,https://www.seiran.co.jp/,資料がほしい,営業部長
        b,2026-04-02,p2,青木,薫,,aoki@gmail.com,,seiran.co.jp,,
        """,
    )
    desk.load(
        LEADS
        + """
person = "contact"
message = "body"
[files.person]
family_name = "姓"
given_name = "名"
name_kana = "カナ"
email = "mail"
phone = "tel"
[files.account]
domain = "web"
[files.columns]
title = { as = "job_title" }
"""
    )
    persons = desk.rows("persons")
    assert persons[["person_id", "name", "email"]].values.tolist() == [
        ["p1", "和田 隆", "wada@seiran.co.jp"],
        ["p2", "青木 薫", "aoki@gmail.com"],
    ]
    flags = ("free_mail", "mail_matches_account", "message_length", "job_title_band")
    assert [desk.attribute("a", f) for f in flags] == [["no"], ["yes"], [6], ["部長"]]
    assert [desk.attribute("b", f) for f in flags] == [["yes"], ["no"], [None], [None]]
    elsewhere = "".join(desk.rows(t).to_csv() for t in ("leads", "lead_attributes", "accounts", "account_attributes"))
    assert not [secret for secret in ("和田", "wada@", "0442", "資料がほしい") if secret in elsewhere]


def test_a_mail_address_as_id_becomes_the_same_pseudonym_in_every_file(desk) -> None:
    desk.write("leads.csv", "id,created\nWada@x.jp,2026-04-01\n")
    desk.write("visits.csv", "who,at\nwada@x.jp,2026-04-02\n")
    desk.load(LEADS + VISITS.replace("t-*.csv", "visits.csv"))
    lead = desk.rows("leads")["lead_id"].item()
    assert "@" not in lead
    assert desk.rows("touchpoints")["lead_id"].tolist() == [lead]


def test_an_account_s_values_follow_its_leads_in_time(desk) -> None:
    desk.write(
        "leads.csv",
        """
        id,created,firm,staff
        a,2026-04-01,F,10
        b,2026-04-03,F,10
        c,2026-04-02,F,40
        d,2026-04-04,F,
        """,
    )
    desk.load(LEADS + 'account = "firm"\n[files.columns]\nstaff = { as = "employees" }\n')
    rows = desk.rows("account_attributes").query("name == 'employees'").sort_values("occurred_at")
    days = [(at - parse_instant("2026-04-01")) // DAY for at in rows["occurred_at"]]
    assert list(zip(days, rows["number"].fillna(-1), strict=True)) == [(0, 10), (1, 40), (2, 10), (3, -1)]


def test_joined_files_add_columns_to_leads_and_accounts(desk) -> None:
    desk.write("leads.csv", "id,created,firm\na,2026-04-01,F\n")
    desk.write("more.csv", "lead,plan\na,pro\n")
    desk.write("firms.csv", "firm,sector\nF,retail\n")
    desk.load(
        LEADS
        + """
account = "firm"
[[files]]
path = "more.csv"
[files.join]
lead = "lead"
[files.columns]
plan = { type = "category" }
[[files]]
path = "firms.csv"
[files.account]
id = "firm"
[files.columns]
sector = { as = "industry" }
"""
    )
    assert desk.attribute("a", "plan") == ["pro"]
    account = desk.rows("account_attributes").iloc[0]
    assert (account["text"], account["occurred_at"]) == ("retail", parse_instant("2026-04-01"))


def test_touchpoints_without_ids_keep_equal_rows_apart_and_overlapping_files_together(desk) -> None:
    desk.write("leads.csv", "id,created\na,2026-04-01\n")
    desk.write("t-1.csv", "who,at\na,2026-04-02 10:00\na,2026-04-02 10:00\na,2026-04-03 10:00\n")
    desk.write("t-2.csv", "who,at\na,2026-04-03 10:00\na,2026-04-04 10:00\n")
    desk.load(LEADS + VISITS)
    days = (desk.rows("touchpoints")["occurred_at"] - parse_instant("2026-04-02 10:00")) // DAY
    assert sorted(days) == [0, 0, 1, 2]
    assert desk.rows("touchpoints")["source_id"].is_unique


@pytest.mark.parametrize("typed", [False, True])
def test_parquet_reads_like_csv(desk, typed: bool) -> None:
    created = pd.to_datetime(["2026-04-01", "2026-04-02"])
    frame = pd.DataFrame({"id": [1, 2], "created": created, "n": [1.5, None], "kind": pd.Categorical(["x", None])})
    if not typed:
        frame = frame.assign(created=["2026-04-01", "2026-04-02"], n=["1.5", ""], id=["1", "2"])
    frame.to_parquet(desk.folder / "leads.parquet")
    assert pq.ParquetFile(desk.folder / "leads.parquet").metadata.num_rows == 2
    body = (
        LEADS.replace(".csv", ".parquet") + '[files.columns]\nn = { type = "number" }\nkind = { type = "category" }\n'
    )
    desk.load(body)
    assert desk.rows("leads")["lead_id"].tolist() == ["1", "2"]
    assert desk.rows("leads")["occurred_at"].tolist() == [parse_instant("2026-04-01"), parse_instant("2026-04-02")]
    assert [desk.attribute("1", "n"), desk.attribute("2", "n"), desk.attribute("1", "kind")] == [[1.5], [None], ["x"]]


def test_japanese_files_in_cp932_with_bom_or_not(desk) -> None:
    text = "番号,登録日,会社\n①,令和8年4月1日,㈱髙﨑\n"
    desk.write("leads.csv", text, "cp932")
    body = '[[files]]\npath = "leads.csv"\nencoding = "cp932"\n[files.lead]\nid = "番号"\n'
    body += 'created = "登録日"\naccount = "会社"\n'
    desk.load(body)
    assert desk.rows("leads")[["lead_id", "account_id"]].values.tolist() == [["①", "㈱髙﨑"]]
    desk.write("leads.csv", text.replace("①", "②"), "utf-8-sig")
    desk.load(body.replace('encoding = "cp932"\n', ""))
    assert desk.rows("leads")["lead_id"].tolist() == ["①", "②"]


def test_other_records(desk) -> None:
    desk.write("leads.csv", "id,created,p\na,2026-04-01,P\n")
    desk.write("opp.csv", "o,l,s,v,at\nO1,a,提案,120万円,2026-04-05\n")
    desk.write("consent.csv", "p,what,ok,at\nP,scoring,いいえ,2026-04-06\n")
    desk.write("cost.csv", "c,v,at\nspring,¥10,2026-04-01\n")
    desk.load(
        LEADS
        + """
person = "p"
[[files]]
path = "opp.csv"
[[files.opportunities]]
opportunity = "o"
stage = "s"
amount = "v"
at = "at"
[[files.opportunity_leads]]
opportunity = "o"
lead = "l"
at = "at"
[[files]]
path = "consent.csv"
[[files.consents]]
person = "p"
purpose = "what"
granted = { column = "ok", words = { "はい" = true, "いいえ" = false } }
at = "at"
[[files]]
path = "cost.csv"
[[files.campaign_costs]]
campaign = "c"
cost = "v"
at = "at"
"""
    )
    assert desk.rejected() == []
    assert desk.rows("opportunities")[["opportunity_id", "amount"]].values.tolist() == [["O1", 1_200_000]]
    assert desk.rows("opportunity_leads")["lead_id"].tolist() == ["a"]
    assert desk.rows("consents")[["person_id", "granted"]].values.tolist() == [["P", False]]
    assert desk.rows("campaign_costs")["cost"].tolist() == [10]
