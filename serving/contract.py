"""What goes over the wire of `POST /v1/score`, as strict models.

Unknown fields, NaN and infinity are refused; a time is ISO 8601 text with its
zone and becomes whole microseconds UTC on the way in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

Language = Literal["ja", "en"]
Status = Literal["scored", "unproven", "past_target", "no_consent"]
Trend = Literal["improving", "steady", "declining", "not_enough_info"]

MOST_TOUCHPOINTS = 10_000
MOST_STAGE_CHANGES = 1_000
MOST_ATTRIBUTES = 500
CREATION = "creation"

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
A_MOMENT = "an ISO 8601 time with its zone, such as 2026-04-01T09:00:00+09:00"


def moment(text: object) -> int:
    """Microseconds UTC of an ISO 8601 time that carries its zone.

    >>> moment("1970-01-01T09:00:01+09:00")
    1000000
    """
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise ValueError(A_MOMENT)
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise ValueError(A_MOMENT) from None


Moment = Annotated[int, BeforeValidator(moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
"""An identifier or a category: 1–200 characters, none of them a control character."""
Text = Annotated[str, StringConstraints(max_length=2_000)]
Value = Annotated[str, StringConstraints(max_length=2_000)] | float | None
"""Value of one attribute: text, a finite number, or null for "not known"."""


class Sent(BaseModel):
    """Anything a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class TouchpointSent(Sent):
    kind: Name = Field(description="Kind of touchpoint, such as pricing_view, download or inquiry.")
    occurred_at: Moment = Field(description="When it happened.")
    recorded_at: Moment | None = Field(default=None, description="When your system knew it; else occurred_at.")
    actor: Literal["lead", "company", "machine"] | None = Field(
        default=None, description="Who acted; else the company for email_sent, call and meeting, the lead otherwise."
    )
    channel: Name | None = Field(default=None, description="Marketing channel.")
    campaign_id: Name | None = Field(default=None, description="Campaign it belongs to.")
    detail: Text | None = Field(default=None, description="Page path, seminar title or the like; no personal data.")


class StageChangeSent(Sent):
    stage: Name = Field(description="Stage reached, such as mql or sql.")
    occurred_at: Moment = Field(description="When it was reached.")
    recorded_at: Moment | None = Field(default=None, description="When your system knew it; else occurred_at.")
    reason: Text | None = Field(default=None, description="Why it was returned, lost or disqualified.")


class ConsentSent(Sent):
    purpose: Name = Field(description="scoring, marketing or a purpose of your own.")
    granted: bool = Field(description="true: granted; false: withdrawn or objected.")
    occurred_at: Moment = Field(description="When it was given or withdrawn.")


class AccountSent(Sent):
    account_id: Name | None = Field(default=None, description="Your id of the company.")
    attributes: dict[Name, Value] = Field(
        default_factory=dict, max_length=MOST_ATTRIBUTES, description="industry, employee_band and so on."
    )


class LeadSent(Sent):
    """One lead sent whole. It is scored and not stored as a lead."""

    lead_id: Name | None = Field(default=None, description="Your id of the lead, given back with the answer.")
    created_at: Moment | None = Field(default=None, description="When the lead was created; else just now.")
    attributes: dict[Name, Value] = Field(
        default_factory=dict, max_length=MOST_ATTRIBUTES, description="channel, job_title and so on."
    )
    account: AccountSent | None = Field(default=None, description="The company the lead belongs to.")
    touchpoints: list[TouchpointSent] = Field(default_factory=list, max_length=MOST_TOUCHPOINTS)
    stage_changes: list[StageChangeSent] = Field(default_factory=list, max_length=MOST_STAGE_CHANGES)
    consents: list[ConsentSent] = Field(default_factory=list, max_length=MOST_STAGE_CHANGES)


class ScoreRequest(Sent):
    """Ask for the score of one lead: give `lead` or `lead_id`, never both."""

    lead: LeadSent | None = Field(default=None, description="The lead sent whole.")
    lead_id: Name | None = Field(default=None, description="Id of a lead in the store, or source:external_id.")
    targets: list[Name] | None = Field(
        default=None, min_length=1, max_length=20, description="Targets to answer for; else all that are deployed."
    )
    as_of: Name | None = Field(
        default=None, description='What was known before this time is used: a time with zone, "creation"; else now.'
    )
    lang: Language | None = Field(default=None, description="Words in this language only; else in both.")
    reasons: Literal["top", "all"] = Field(default="top", description="At most three up and two down, or all.")


class Given(BaseModel):
    """Anything the service answers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, protected_namespaces=())


class Words(Given):
    ja: str | None = Field(description="In Japanese; null when another language was asked for.")
    en: str | None = Field(description="In English; null when another language was asked for.")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason code's part of the answer; plain, since there are many in one answer."""

    code: Annotated[str, Field(description="Reason code; stays the same from model to model.")]
    direction: Annotated[Literal["up", "down"], Field(description="Whether it raises or lowers the margin.")]
    rank: Annotated[int, Field(description="1 for the largest contribution, whichever its direction.")]
    contribution: Annotated[
        float, Field(description="Its part of the margin; the parts of all reasons sum to fit + behaviour.")
    ]
    text_ja: Annotated[str | None, Field(description="The observed fact in Japanese.")]
    text_en: Annotated[str | None, Field(description="The observed fact in English.")]


class LittleKnown(Given):
    text_ja: str | None
    text_en: str | None
    ask_for: list[str] = Field(description="Attributes worth finding out, the most telling first.")


class TargetAnswer(Given):
    """The answer for one target. Figures are null where `status` is past_target or no_consent."""

    target: str
    status: Status = Field(
        description="scored; unproven: too few outcomes, a score without probability; past_target: the cycle has "
        "reached the target or ended; no_consent: the person does not allow scoring."
    )
    score: int | None = Field(description="0–100, a fixed monotone map of probability.")
    probability: float | None = Field(description="Calibrated chance of reaching the target within the horizon.")
    grade: Literal["A", "B", "C", "D"] | None
    trend: Trend | None = Field(
        description="7-day change of the margin beyond ±0.2 at the same model and policy; null: not computed yet."
    )
    margin: float | None = Field(description="Log-odds: base + fit + behaviour; probability is its logistic.")
    base: float | None
    fit: float | None
    behaviour: float | None
    odds: Words | None = Field(description="The probability in words.")
    reasons: list[Reason]
    little_known: LittleKnown | None = Field(description="Said when there is too little to judge by; else null.")
    expected_value: float | None = Field(
        description="probability × the amount such a deal comes to; null without amounts, and unless the target is won."
    )
    expected_value_low: float | None = Field(
        description="probability × the amount that nine in ten such deals exceed; null where no interval is known."
    )
    expected_value_high: float | None = Field(
        description="probability × the amount that one in ten such deals exceeds."
    )
    days_to_outcome: float | None = Field(
        description="Median days to the outcome of leads in this stage that had it within the horizon; null where "
        "too few did, and without dates."
    )
    threshold_met: bool | None = Field(description="Whether the probability reaches the hand-over threshold.")
    model_version: str
    policy_version: str


class ScoreAnswer(Given):
    request_id: str
    lead_id: str | None = Field(
        description="The lead answered for: after a merge the one that goes on; null if sent whole without an id."
    )
    as_of: str = Field(description="What was known before this time was used.")
    scored_at: str
    note: Words = Field(description="The fixed line to show with every score.")
    targets: list[TargetAnswer]


class Refusal(Given):
    """The one shape of every error."""

    code: str = Field(description="Stable code; docs/api.md gives cause and remedy of each.")
    message: str
    field: str | None = Field(description="Path of the field at fault, such as lead.touchpoints.0.occurred_at.")
    received: Any = Field(description="What was received there; never the value of an unknown field.")
    allowed: str | None = Field(description="What is allowed there.")
    request_id: str
