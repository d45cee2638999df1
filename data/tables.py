"""The tables of history: what happened, to whom, what we may use it for.

One declaration a table; the store, the snapshots, the import and
`docs/contracts.md` are all derived from it. Every *record* carries three
times, in microseconds since 1970-01-01 UTC:

  occurred_at   when it happened
  recorded_at   when the source system knew it
  loaded_at     when this store received it (audit only, never in a snapshot)

and is append-only: a change is a new row. A record may be used as of *t* when
`occurred_at < t` and `recorded_at < t`. (`source`, `source_id`) names a record
for good: the same pair again is the same record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

ColumnType = Literal["text", "number", "integer", "boolean", "instant"]

ARROW_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "instant": pa.int64(),
}


@dataclass(frozen=True)
class Column:
    name: str
    type: ColumnType
    meaning: str
    required: bool = True
    contact: bool = False
    """Contact data: stays in the operational store, is never in a snapshot."""


@dataclass(frozen=True)
class Table:
    """`grain` says what one row is; `columns` are in storage order, the record columns last."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    in_snapshot: bool = True

    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def snapshot_columns(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if not c.contact and c.name != "loaded_at")

    def arrow_schema(self) -> pa.Schema:
        """All columns but `loaded_at`, which the store stamps itself."""
        return _arrow(tuple(c for c in self.columns if c.name != "loaded_at"))

    def snapshot_schema(self) -> pa.Schema:
        return _arrow(self.snapshot_columns())


def _arrow(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(c.name, ARROW_TYPES[c.type], nullable=not c.required) for c in columns])


RECORD_COLUMNS = (
    Column("source", "text", "system the record came from, as its mapping calls it"),
    Column("source_id", "text", "the record's name in that system; unique with `source`"),
    Column("occurred_at", "instant", "when it happened"),
    Column("recorded_at", "instant", "when the source system knew it"),
    Column("loaded_at", "instant", "when this store received it; audit only"),
)


def _record(name: str, grain: str, *columns: Column, in_snapshot: bool = True) -> Table:
    return Table(name, grain, (*columns, *RECORD_COLUMNS), in_snapshot)


PERSONS = _record(
    "persons",
    "one version of one person's contact data; the only table that holds any",
    Column("person_id", "text", "pseudonymous id"),
    Column("name", "text", "name as written", required=False, contact=True),
    Column("name_kana", "text", "reading in katakana", required=False, contact=True),
    Column("email", "text", "mail address as received", required=False, contact=True),
    Column("phone", "text", "telephone number as received", required=False, contact=True),
    in_snapshot=False,
)
ACCOUNTS = _record(
    "accounts",
    "one version of one company",
    Column("account_id", "text", "id of the company"),
    Column("name", "text", "company name as written", required=False),
    Column("domain", "text", "mail or web domain", required=False),
)
LEADS = _record(
    "leads",
    "one lead; occurred_at is its creation",
    Column("lead_id", "text", "id as the source has it"),
    Column("person_id", "text", "whose interest it is", required=False),
    Column("account_id", "text", "for which company", required=False),
)
LEAD_CYCLES = _record(
    "lead_cycles",
    "one run of a lead through the funnel; its start is occurred_at; recycling opens a new one",
    Column("cycle_id", "text", "lead_id for the first, lead_id~source_id of the recycling stage change for later ones"),
    Column("lead_id", "text", "the lead"),
    Column("opened_by", "text", "created | recycled"),
)
LEAD_ATTRIBUTES = _record(
    "lead_attributes",
    "one value of one attribute of one lead, from occurred_at until the next",
    Column("lead_id", "text", "the lead"),
    Column("name", "text", "attribute name, standard or declared by the mapping"),
    Column("text", "text", "value of a category or text; null where missing", required=False),
    Column("number", "number", "value of a number (or a date, as microseconds); null where missing", required=False),
)
ACCOUNT_ATTRIBUTES = _record(
    "account_attributes",
    "one value of one attribute of one account, from occurred_at until the next",
    Column("account_id", "text", "the account"),
    Column("name", "text", "attribute name, standard or declared by the mapping"),
    Column("text", "text", "value of a category or text; null where missing", required=False),
    Column("number", "number", "value of a number (or a date, as microseconds); null where missing", required=False),
)
TOUCHPOINTS = _record(
    "touchpoints",
    "one contact between a lead and the company, by whichever side",
    Column("lead_id", "text", "the lead"),
    Column("kind", "text", "one of TOUCHPOINT_KINDS or a kind the mapping adds"),
    Column("actor", "text", "who acted: lead | company | machine"),
    Column("channel", "text", "marketing channel", required=False),
    Column("campaign_id", "text", "campaign it belongs to", required=False),
    Column("detail", "text", "page path, seminar title or the like; never personal data", required=False),
)
STAGE_CHANGES = _record(
    "stage_changes",
    "one step of one lead in the funnel",
    Column("lead_id", "text", "the lead"),
    Column("stage", "text", "one of STAGES or a stage the mapping adds"),
    Column("reason", "text", "why it was returned, lost or disqualified", required=False),
    Column("actor", "text", "owner or system that made it", required=False),
    Column("amount", "number", "value of the deal when known", required=False),
)
OPPORTUNITIES = _record(
    "opportunities",
    "one version of one opportunity",
    Column("opportunity_id", "text", "id as the source has it"),
    Column("account_id", "text", "for which company", required=False),
    Column("stage", "text", "stage in the source's own words", required=False),
    Column("amount", "number", "value in the company's currency", required=False),
)
OPPORTUNITY_LEADS = _record(
    "opportunity_leads",
    "one lead's part in one opportunity",
    Column("opportunity_id", "text", "the opportunity"),
    Column("lead_id", "text", "the lead"),
    Column("role", "text", "part in the buying, if known", required=False),
)
CONSENTS = _record(
    "consents",
    "one grant or withdrawal by one person for one purpose",
    Column("person_id", "text", "who"),
    Column("purpose", "text", "scoring | marketing | a purpose the mapping adds"),
    Column("granted", "boolean", "true: granted, false: withdrawn or objected"),
    Column("basis", "text", "consent | contract | legitimate_interest | objection", required=False),
    Column("text_version", "text", "which text was agreed to", required=False),
    Column("place", "text", "where: form, mail, telephone", required=False),
)
MERGES = _record(
    "merges",
    "one finding that two ids are the same; undone by a later row with `undone`",
    Column("subject", "text", "person | lead | account"),
    Column("from_id", "text", "the id that ends"),
    Column("into_id", "text", "the id that goes on"),
    Column("undone", "boolean", "true: this takes the merge back"),
)
CAMPAIGN_COSTS = _record(
    "campaign_costs",
    "what one campaign cost in one period that starts at occurred_at",
    Column("campaign_id", "text", "the campaign"),
    Column("channel", "text", "its channel", required=False),
    Column("cost", "number", "in the company's currency"),
)
HANDOVERS = _record(
    "handovers",
    "one hand-over of one lead cycle to sales",
    Column("cycle_id", "text", "the lead cycle"),
    Column("lead_id", "text", "the lead"),
    Column("target", "text", "target whose probability decided"),
    Column("probability", "number", "that probability"),
    Column("threshold", "number", "the threshold then in force"),
    Column("policy_id", "text", "the policy then in force"),
    Column("owner", "text", "to whom", required=False),
    Column("propensity", "number", "chance with which it was offered; 1 unless explored"),
)

TABLES: tuple[Table, ...] = (
    PERSONS,
    ACCOUNTS,
    LEADS,
    LEAD_CYCLES,
    LEAD_ATTRIBUTES,
    ACCOUNT_ATTRIBUTES,
    TOUCHPOINTS,
    STAGE_CHANGES,
    OPPORTUNITIES,
    OPPORTUNITY_LEADS,
    CONSENTS,
    MERGES,
    CAMPAIGN_COSTS,
    HANDOVERS,
)
BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}

STAGES = ("new", "mql", "sql", "opportunity", "won", "lost", "disqualified", "recycled")
"""Standard stages in funnel order; `recycled` returns the lead to nurture and opens a new cycle."""
TERMINAL_STAGES = ("won", "lost", "disqualified")
"""Stages that end a cycle; a lead in one of them is not open."""
GIVEN_UP_STAGES = ("recycled", "lost", "disqualified")
"""Stages whose change says why the lead was not pursued further."""

TOUCHPOINT_KINDS = (
    "page_view",
    "pricing_view",
    "download",
    "seminar",
    "trade_show",
    "email_sent",
    "email_opened",
    "email_clicked",
    "email_unsubscribed",
    "ad_click",
    "inquiry",
    "call",
    "meeting",
)

STANDARD_ATTRIBUTES: dict[str, tuple[str, str, str]] = {
    # name: (subject, type, meaning)
    "channel": ("lead", "category", "marketing channel that brought the lead"),
    "campaign": ("lead", "category", "campaign that brought the lead"),
    "owner": ("lead", "category", "salesperson in charge; never a feature"),
    "region": ("lead", "category", "sales region; never a feature by default"),
    "job_title": ("lead", "category", "title as written"),
    "job_title_band": ("lead", "category", "一般 | 係長 | 課長 | 部長 | 役員"),
    "department": ("lead", "category", "department"),
    "free_mail": ("lead", "category", "yes | no: the mail domain is a free provider's"),
    "mail_matches_account": ("lead", "category", "yes | no: mail domain equals the account's"),
    "message_length": ("lead", "number", "characters of the inquiry text"),
    "industry": ("account", "category", "日本標準産業分類 major group, or as written"),
    "employee_band": ("account", "category", "1–29 | 30–99 | 100–299 | 300–999 | 1,000–4,999 | 5,000+"),
    "employees": ("account", "number", "head count"),
    "prefecture": ("account", "category", "都道府県, JIS X 0401"),
    "country": ("account", "category", "ISO 3166 alpha-2"),
    "annual_revenue": ("account", "number", "in the company's currency"),
}
