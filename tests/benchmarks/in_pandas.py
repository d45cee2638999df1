"""The default catalogue as a pandas user writes it: merges, masks and groupbys, vectorised, ids as integers.

Like the SQL beside it, it may rely on what the generated data are: Tokyo's
fixed offset, no merges, no two records of a lead at one microsecond.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data.times import DAY, HOUR

TOKYO = 9 * HOUR
LEAD_ATTRIBUTES = (
    "channel",
    "campaign",
    "job_title_band",
    "department",
    "free_mail",
    "mail_matches_account",
)
ACCOUNT_ATTRIBUTES = ("industry", "employee_band", "prefecture", "country")
ACCOUNT_NUMBERS = ("employees", "annual_revenue")


class Read:
    """The tables with leads and accounts as integers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.leads = self.table("leads", ["lead_id", "account_id"])
        self.lead_codes = pd.Index(self.leads["lead_id"])
        self.accounts = pd.Index(self.leads["account_id"].dropna().unique())
        self.leads["lead"] = np.arange(len(self.leads))
        self.leads["account"] = self.accounts.get_indexer(self.leads["account_id"])
        rows = pd.read_parquet(folder / "rows.parquet")
        self.rows = rows.sort_values(["lead_id", "as_of"], ignore_index=True)
        self.rows["lead"] = self.lead_codes.get_indexer(self.rows["lead_id"])
        self.rows["id"] = np.arange(len(rows))

    def table(self, name: str, columns: list[str]) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{name}.parquet", columns=[*columns, "occurred_at", "recorded_at"])

    def of_leads(self, name: str, columns: list[str], wanted: np.ndarray) -> pd.DataFrame:
        found = self.table(name, ["lead_id", *columns])
        found["lead"] = self.lead_codes.get_indexer(found.pop("lead_id"))
        return found[np.isin(found["lead"], wanted)]


def features(folder: Path) -> pd.DataFrame:
    read = Read(folder)
    rows, leads = read.rows, read.leads
    known = leads.loc[rows["lead"]].reset_index(drop=True)
    seen = (known["occurred_at"] < rows["as_of"]) & (known["recorded_at"] < rows["as_of"])
    rows["account"] = known["account"].where(seen, -1)
    moments = rows.loc[rows["account"] >= 0, ["account", "as_of"]].drop_duplicates(ignore_index=True)
    moments["moment"] = np.arange(len(moments))
    members = visible(moments, leads[leads["account"] >= 0], "account")[["moment", "as_of", "lead"]]
    members = members.reset_index(drop=True)
    members["member"] = np.arange(len(members))
    needed = np.union1d(rows["lead"].unique(), members["lead"].unique())
    touches = read.of_leads("touchpoints", ["kind", "actor", "channel", "campaign_id"], needed)
    touches["kind"], touches["actor"] = touches["kind"].astype("category"), touches["actor"].astype("category")
    of_leads = read.of_leads("lead_attributes", ["name", "text", "number"], needed)
    out = rows[["lead_id", "cycle_id", "cycle_start", "as_of"]].copy()
    own(out, rows, touches)
    stages(out, rows, read)
    account(out, rows, moments, members, touches, of_leads)
    profile(out, rows, moments, of_leads, read)
    calendar(out, rows, known["occurred_at"].where(seen))
    return out


def visible(rows: pd.DataFrame, records: pd.DataFrame, key: str) -> pd.DataFrame:
    pairs = rows.merge(records, on=key)
    return pairs[(pairs["occurred_at"] < pairs["as_of"]) & (pairs["recorded_at"] < pairs["as_of"])]


def own(out: pd.DataFrame, rows: pd.DataFrame, touches: pd.DataFrame) -> None:
    pairs = visible(rows[["id", "lead", "as_of"]], touches, "lead").drop(columns=["lead", "recorded_at"])
    age, kind, by_lead = pairs["as_of"] - pairs["occurred_at"], pairs["kind"], pairs["actor"] == "lead"
    mine = by_lead & (kind != "email_unsubscribed")
    ids = pairs["id"]

    def is_(*kinds: str) -> pd.Series:
        return by_lead & kind.isin(kinds)

    def count(mask: pd.Series, days: int | None = None) -> pd.Series:
        mask = mask & (age <= days * DAY) if days else mask
        return ids[mask].groupby(ids[mask]).size().reindex(out.index, fill_value=0).astype("float64")

    for days in (1, 7, 30, 90, 365):
        out[f"touchpoints_{days}d_count"] = count(mine, days)
    out["touchpoints_ever_count"] = count(mine)
    for name, mask, spans in (
        ("pricing_views", is_("pricing_view"), (7, 30)),
        ("page_views", is_("page_view"), (7, 30)),
        ("downloads", is_("download"), (90,)),
        ("events", is_("seminar", "trade_show"), (365,)),
        ("email_opens", is_("email_opened"), (30,)),
        ("email_clicks", is_("email_clicked"), (30,)),
        ("inquiries", is_("inquiry"), (30,)),
        ("talks", is_("call", "meeting"), (90,)),
        ("ad_clicks", is_("ad_click"), (30,)),
    ):
        for days in spans:
            out[f"{name}_{days}d_count"] = count(mask, days)
    out["inquiries_ever_count"] = count(is_("inquiry"))
    for name, mask in (
        ("touchpoint", mine),
        ("pricing_view", is_("pricing_view")),
        ("download", is_("download")),
        ("event", is_("seminar", "trade_show")),
        ("email_click", is_("email_clicked")),
        ("inquiry", is_("inquiry")),
    ):
        out[f"days_since_last_{name}"] = age[mask].groupby(ids[mask]).min().reindex(out.index) / DAY
    out["days_since_first_touchpoint"] = age[mine].groupby(ids[mine]).max().reindex(out.index) / DAY
    strong = is_("pricing_view", "download", "inquiry", "meeting", "seminar")
    for name, mask, days in (("touchpoints", mine, 7), ("touchpoints", mine, 30), ("strong_interest", strong, 14)):
        weight = np.floor(1e6 * 2.0 ** (-(age[mask] // HOUR) / (24.0 * days)) + 0.5).astype("int64")
        out[f"{name}_decayed_{days}d"] = weight.groupby(ids[mask]).sum().reindex(out.index, fill_value=0) / 1e6
    out["touchpoints_90d_trend"] = out["touchpoints_30d_count"] * 3 - out["touchpoints_90d_count"]
    day = (pairs["occurred_at"] + TOKYO) // DAY
    for name, value, days in (("active_days_30d", day, 30), ("touchpoint_kinds_90d", kind.cat.codes, 90)):
        inside = mine & (age <= days * DAY)
        distinct = pd.DataFrame({"id": ids[inside], "value": value[inside]}).drop_duplicates()
        out[name] = distinct.groupby("id").size().reindex(out.index, fill_value=0).astype("float64")
    back = ((pairs["as_of"] + TOKYO) // DAY + 3) // 7 - (day + 3) // 7
    active = np.zeros((len(out), 28), bool)
    recent = mine & (back <= 26)
    active[ids[recent], back[recent]] = True
    active = np.where(active[:, :1], active[:, :26], active[:, 1:27])
    out["active_weeks"] = np.cumprod(active, axis=1).sum(axis=1).astype("float64")
    sent = count(kind == "email_sent")
    out["email_clicks_per_sent"] = count(is_("email_clicked")) / sent.where(sent > 0)
    ours = pairs["actor"] == "company"
    out["email_unsubscribes_ever_count"] = count(is_("email_unsubscribed"))
    out["emails_sent_ever_count"] = count(ours & (kind == "email_sent"))
    out["contacts_by_company_ever_count"] = count(ours & kind.isin(["call", "meeting"]))
    ordered = pairs.loc[mine, ["id", "occurred_at", "channel", "campaign_id"]].sort_values("occurred_at")
    for keep in ("first", "last"):
        for of, column in (("channel", "channel"), ("campaign", "campaign_id")):
            found = ordered[["id", column]].dropna().drop_duplicates("id", keep=keep)  # type: ignore[call-overload]
            out[f"{keep}_touch_{of}"] = found.set_index("id")[column].reindex(out.index)


def stages(out: pd.DataFrame, rows: pd.DataFrame, read: Read) -> None:
    changes = read.of_leads("stage_changes", ["stage", "reason"], rows["lead"].unique())
    pairs = visible(rows[["id", "lead", "as_of", "cycle_start"]], changes, "lead")
    given = pairs[pairs["stage"].isin(["recycled", "lost", "disqualified"]) & pairs["reason"].notna()]
    given = given.sort_values("occurred_at").drop_duplicates("id", keep="last").set_index("id")
    pairs = pairs[pairs["occurred_at"] >= pairs["cycle_start"]].sort_values("occurred_at")
    out["return_reason"] = given["reason"].reindex(out.index)
    newest = pairs.drop_duplicates("id", keep="last").set_index("id").reindex(out.index)
    out["stage"] = newest["stage"]
    out["stage_age"] = (rows["as_of"] - newest["occurred_at"]) / DAY
    out["lead_age"] = (rows["as_of"] - rows["cycle_start"]) / DAY
    cycles = read.of_leads("lead_cycles", [], rows["lead"].unique())
    seen = visible(rows[["id", "lead", "as_of"]], cycles, "lead")
    out["times_recycled"] = seen.groupby("id").size().reindex(out.index) - 1.0


def newest(rows: pd.DataFrame, key: str, attributes: pd.DataFrame, on: str, names: tuple, value: str) -> pd.DataFrame:
    """One row a row, one column a name: the newest visible value."""
    pairs = visible(rows[[key, on, "as_of"]], attributes[attributes["name"].isin(names)], on)
    pairs = pairs.sort_values("occurred_at").drop_duplicates([key, "name"], keep="last")
    return pairs.pivot(index=key, columns="name", values=value).reindex(columns=list(names))


def account(out, rows, moments, members, touches, of_leads) -> None:
    mine = touches[(touches["actor"] == "lead") & (touches["kind"] != "email_unsubscribed")]
    pairs = visible(members, mine[["lead", "occurred_at", "recorded_at"]], "lead")
    age = pairs["as_of"] - pairs["occurred_at"]
    for days in (30, 365):
        ids = pairs.loc[age <= days * DAY, "member"]
        members[f"n{days}"] = ids.groupby(ids).size().reindex(members.index, fill_value=0)
    known = newest(members, "member", of_leads, "lead", ("department", "job_title_band"), "text").reindex(members.index)
    members["decides"] = known["job_title_band"].isin(["役員", "部長"])
    members["department"] = known["department"].where(members["n365"] > 0)
    by_moment = members.groupby("moment")
    totals = by_moment.agg(n30=("n30", "sum"), n365=("n365", "sum"), leads=("lead", "size"), decides=("decides", "max"))
    distinct = members[["moment", "department"]].dropna().drop_duplicates()
    totals["departments"] = distinct.groupby("moment").size().reindex(totals.index, fill_value=0)
    of_row = rows.merge(moments, on=["account", "as_of"], how="left").set_index("id")["moment"]
    totals = totals.reindex(of_row).set_axis(out.index)
    for days in (30, 365):
        out[f"account_touchpoints_{days}d_count"] = totals[f"n{days}"] - out[f"touchpoints_{days}d_count"]
    out["account_other_leads"] = totals["leads"] - 1.0
    out["account_departments_365d"] = totals["departments"]
    out["account_decision_maker_seen"] = totals["decides"].astype("float64")


def profile(out, rows, moments, of_leads, read: Read) -> None:
    texts = newest(rows, "id", of_leads, "lead", LEAD_ATTRIBUTES, "text").reindex(out.index)
    out[list(LEAD_ATTRIBUTES)] = texts
    out["message_length"] = newest(rows, "id", of_leads, "lead", ("message_length",), "number").reindex(out.index)
    attributes = read.table("account_attributes", ["account_id", "name", "text", "number"])
    attributes["account"] = read.accounts.get_indexer(attributes["account_id"])
    of_row = rows.merge(moments, on=["account", "as_of"], how="left")["moment"]
    for names, value in ((ACCOUNT_ATTRIBUTES, "text"), (ACCOUNT_NUMBERS, "number")):
        found = newest(moments, "moment", attributes, "account", names, value)
        out[list(names)] = found.reindex(of_row).set_axis(out.index)
    for name in ("job_title_band", "message_length", "industry", "employee_band"):
        out[f"{name}_missing"] = out[name].isna().astype("float64")


def calendar(out: pd.DataFrame, rows: pd.DataFrame, created: pd.Series) -> None:
    local = pd.to_datetime(created + TOKYO, unit="us")
    out["creation_hour"] = local.dt.hour.astype("float64")
    out["creation_weekday"] = local.dt.weekday.astype("float64")
    out["creation_month"] = local.dt.month.astype("float64")
    today = pd.to_datetime(rows["as_of"] + TOKYO, unit="us").dt.normalize()
    ends = today.dt.to_period("Q").dt.end_time.dt.normalize() + pd.Timedelta(days=1)
    out["days_to_quarter_end"] = (ends - today).dt.days.astype("float64")
