"""The sections of one `[[files]]` entry: each maps the file's rows to one table of `data/tables.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from data.sources.cells import Cell, CellOf, Section, Timed, Tokens, Where, checked_duration, constant
from data.sources.columns import ColumnSection, Subject, subject_of


class LeadSection(Timed):
    """Rows that create leads: one row, one lead."""

    id: CellOf | None = None
    """Without it, leads are named by their row number, counted from 1."""
    created: CellOf | None = None
    person: CellOf | None = None
    account: CellOf | None = None
    message: CellOf | None = None
    """Text of the inquiry; only its length is kept."""


class JoinSection(Section):
    """Rows that add columns to leads or accounts which other rows create."""

    lead: CellOf | None = None
    account: CellOf | None = None
    where: Where = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> JoinSection:
        if (self.lead is None) == (self.account is None):
            raise ValueError("needs exactly one of lead and account")
        return self


class PersonSection(Timed):
    """Contact data. It goes to the persons table and nowhere else."""

    id: CellOf | None = None
    """Default: the lead's person, else one person a lead."""
    name: CellOf | None = None
    family_name: CellOf | None = None
    given_name: CellOf | None = None
    name_kana: CellOf | None = None
    email: CellOf | None = None
    phone: CellOf | None = None
    at: CellOf | None = None


class AccountSection(Timed):
    id: CellOf | None = None
    """Default: the lead's account."""
    name: CellOf | None = None
    domain: CellOf | None = None
    at: CellOf | None = None


class TouchpointSection(Timed):
    lead: CellOf | None = None
    at: CellOf
    kind: CellOf
    actor: CellOf = constant("lead")
    channel: CellOf | None = None
    campaign: CellOf | None = None
    detail: CellOf | None = None
    id: CellOf | None = None


class StageSection(Timed):
    """Stage changes, dated or (without `at`) known a declared time after the lead's creation."""

    lead: CellOf | None = None
    stage: CellOf
    at: CellOf | None = None
    known_after: str = ""
    before_creation: Literal["reject", "at_creation"] = "reject"
    reason: CellOf | None = None
    actor: CellOf | None = None
    amount: CellOf | None = None
    id: CellOf | None = None

    @field_validator("known_after")
    @classmethod
    def _duration(cls, text: str) -> str:
        return checked_duration(text)


class HistorySection(Timed):
    """Rows that each say which value one attribute took at which time."""

    lead: CellOf | None = None
    account: CellOf | None = None
    at: CellOf
    name: CellOf
    value: CellOf | None = None
    text: CellOf | None = None
    number: CellOf | None = None
    """Instead of `value`, where the file keeps texts and numbers in columns of their own."""
    id: CellOf | None = None
    columns: dict[str, ColumnSection] = Field(min_length=1)
    """Attribute names in the source's words; others are listed, not used."""

    @model_validator(mode="after")
    def _one(self) -> HistorySection:
        if self.lead is not None and self.account is not None:
            raise ValueError("needs one of lead and account, not both")
        if (self.value is None) == (self.text is None and self.number is None):
            raise ValueError("needs either value, or text and number")
        return self


class OpportunitySection(Timed):
    opportunity: CellOf
    at: CellOf
    account: CellOf | None = None
    stage: CellOf | None = None
    amount: CellOf | None = None
    id: CellOf | None = None


class OpportunityLeadSection(Timed):
    opportunity: CellOf
    lead: CellOf
    at: CellOf
    role: CellOf | None = None
    id: CellOf | None = None


class ConsentSection(Timed):
    person: CellOf
    purpose: CellOf
    granted: CellOf
    at: CellOf
    basis: CellOf | None = None
    text_version: CellOf | None = None
    place: CellOf | None = None
    id: CellOf | None = None


class MergeSection(Timed):
    subject: CellOf
    from_id: CellOf
    into_id: CellOf
    at: CellOf
    undone: CellOf = constant(False)
    id: CellOf | None = None


class CampaignCostSection(Timed):
    campaign: CellOf
    cost: CellOf
    at: CellOf
    channel: CellOf | None = None
    id: CellOf | None = None


class FileSection(Section):
    """One file, or several of one shape (`path` may hold `*`)."""

    path: str = Field(min_length=1)
    encoding: str = "utf-8"
    separator: str = Field(default=",", min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    dates: str = ""
    """Format of this file's times where a column names none of its own."""
    timezone: str = ""
    missing: Tokens | None = None
    recording_lag: str = ""
    ignore: tuple[str, ...] = ()
    """Columns left alone on purpose; others that no section names are reported."""
    lead: LeadSection | None = None
    join: JoinSection | None = None
    person: PersonSection | None = None
    account: AccountSection | None = None
    columns: dict[str, ColumnSection] = Field(default_factory=dict)
    touchpoints: tuple[TouchpointSection, ...] = ()
    stages: tuple[StageSection, ...] = ()
    history: tuple[HistorySection, ...] = ()
    opportunities: tuple[OpportunitySection, ...] = ()
    opportunity_leads: tuple[OpportunityLeadSection, ...] = ()
    consents: tuple[ConsentSection, ...] = ()
    merges: tuple[MergeSection, ...] = ()
    campaign_costs: tuple[CampaignCostSection, ...] = ()

    @field_validator("recording_lag")
    @classmethod
    def _lag(cls, text: str) -> str:
        return checked_duration(text)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError(f"{name!r} is no encoding; use utf-8, cp932 or another of Python's names") from None
        return name

    @property
    def lead_cell(self) -> Cell | None:
        """The column with the lead's id, wherever this file names it."""
        dated: tuple[StageSection | TouchpointSection | HistorySection, ...] = (
            *self.stages,
            *self.touchpoints,
            *self.history,
        )
        own = self.lead.id if self.lead else self.join.lead if self.join else None
        return own or next((s.lead for s in dated if s.lead is not None), None)

    @property
    def column_subject(self) -> Subject:
        """What a column without `subject` describes."""
        about_account = (self.join and self.join.account) or (self.account and not self.lead and not self.join)
        return "account" if about_account else "lead"

    def declared_columns(self) -> Iterator[tuple[str, ColumnSection, Subject]]:
        """(name in the source, section, subject) of flat columns and of histories."""
        for name, section in self.columns.items():
            yield name, section, subject_of(name, section, self.column_subject)
        for history in self.history:
            default: Subject = "account" if history.account else "lead"
            for name, section in history.columns.items():
                yield name, section, subject_of(name, section, default)

    def dated_sections(self) -> Iterator[tuple[str, Timed]]:
        """(name, section) of every list section in the file."""
        for name in LISTS:
            for section in getattr(self, name):
                yield name, section


LISTS = (
    "touchpoints",
    "stages",
    "history",
    "opportunities",
    "opportunity_leads",
    "consents",
    "merges",
    "campaign_costs",
)
