"""From a request to the history it tells of: checked against what the company has declared.

Pure: a request, the company, the times in; a LeadHistory or a refusal out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.company import Company
from data.errors import UsageError
from data.people.bands import employee_band, job_title_band
from data.people.consent import SCORING, Word
from data.records import AccountSummary, Attribute, LeadHistory, StageChange, Touchpoint
from data.tables import STAGES, STANDARD_ATTRIBUTES
from data.times import MICROSECOND, parse_instant
from serving.contract import A_MOMENT, CREATION, LeadSent, ScoreRequest, StageChangeSent, TouchpointSent, Value, moment
from serving.refusals import Refused, invalid, shown

COMPANY_ACTS = frozenset({"email_sent", "call", "meeting"})
"""Kinds of touchpoint that the company makes unless the sender says otherwise."""


@dataclass(frozen=True)
class Known:
    """What a company's leads may carry: attribute name → type, per subject, and its stages."""

    lead: dict[str, str]
    account: dict[str, str]
    stages: frozenset[str]

    @staticmethod
    def of(company: Company) -> Known:
        types = {(subject, name): kind for name, (subject, kind, _) in STANDARD_ATTRIBUTES.items()}
        types |= {(c.subject, c.name): c.type for c in company.columns if c.known != "outcome"}
        by_subject = {s: {n: t for (subject, n), t in types.items() if subject == s} for s in ("lead", "account")}
        return Known(by_subject["lead"], by_subject["account"], frozenset(STAGES) | set(company.extra_stages))


def check_subject(request: ScoreRequest) -> None:
    """Exactly one of `lead` and `lead_id` is there."""
    given = (request.lead is not None) + (request.lead_id is not None)
    if given == 0:
        raise Refused("missing_field", "give a lead or a lead_id", "lead", None, "exactly one of lead and lead_id")
    if given == 2:
        raise invalid("lead_id", "lead and lead_id", "exactly one of lead and lead_id")


def as_of_sent(text: str | None, lead: LeadSent, company: Company, now: int) -> int:
    """The as-of time of a lead sent whole; "creation" is one microsecond after it."""
    if text == CREATION:
        return (lead.created_at if lead.created_at is not None else now - MICROSECOND) + MICROSECOND
    return as_of_time(text, company, now)


def as_of_time(text: str | None, company: Company, now: int) -> int:
    """A given as-of time, else now; "row:N" where the company's data have no dates."""
    if text is None:
        return now
    try:
        return parse_instant(text) if company.time == "row" and text.startswith("row:") else moment(text)
    except (ValueError, UsageError):
        rows = ', "row:N"' if company.time == "row" else ""
        raise invalid("as_of", text, f'{A_MOMENT}{rows} or "{CREATION}"') from None


def right_after(occurred_at: int, recorded_at: int) -> int:
    """The first instant at which a lead is known: one microsecond after its creation was recorded."""
    return max(occurred_at, recorded_at) + MICROSECOND


def history_of(lead: LeadSent, known: Known, as_of: int) -> LeadHistory:
    """The history a lead sent whole tells of; attributes without a date count from its creation."""
    created = lead.created_at if lead.created_at is not None else as_of - MICROSECOND
    if created >= as_of:
        raise invalid("lead.created_at", "a time at or after as_of", "a time before as_of")
    return LeadHistory(
        lead_id=lead.lead_id or "",
        occurred_at=created,
        recorded_at=created,
        cycles=_cycles(lead.stage_changes),
        stages=_stages(lead.stage_changes, known),
        touchpoints=tuple(map(_touchpoint, lead.touchpoints)),
        attributes=_attributes(lead.attributes, known.lead, "lead.attributes", created),
        account=_account(lead, known, created),
    )


def words_about_scoring(lead: LeadSent) -> tuple[Word, ...]:
    """The consents for scoring that came with a lead."""
    return tuple(Word(c.occurred_at, c.occurred_at, c.granted) for c in lead.consents if c.purpose == SCORING)


def _cycles(changes: Sequence[StageChangeSent]) -> tuple[tuple[int, int], ...]:
    return tuple((c.occurred_at, _recorded(c)) for c in changes if c.stage == "recycled")


def _stages(changes: Sequence[StageChangeSent], known: Known) -> tuple[StageChange, ...]:
    for index, change in enumerate(changes):
        if change.stage not in known.stages:
            allowed = "one of: " + ", ".join(sorted(known.stages))
            raise invalid(f"lead.stage_changes.{index}.stage", change.stage, allowed)
    return tuple(StageChange(c.stage, c.occurred_at, _recorded(c), c.reason) for c in changes)


def _touchpoint(sent: TouchpointSent) -> Touchpoint:
    actor = sent.actor or ("company" if sent.kind in COMPANY_ACTS else "lead")
    return Touchpoint(sent.kind, actor, sent.occurred_at, _recorded(sent), sent.channel, sent.campaign_id, sent.detail)


def _recorded(sent: TouchpointSent | StageChangeSent) -> int:
    return sent.occurred_at if sent.recorded_at is None else sent.recorded_at


def _account(lead: LeadSent, known: Known, created: int) -> AccountSummary | None:
    if lead.account is None:
        return None
    attributes = _attributes(lead.account.attributes, known.account, "lead.account.attributes", created)
    return AccountSummary(lead.account.account_id or "", attributes)


def _attributes(values: dict[str, Value], types: dict[str, str], where: str, since: int) -> tuple[Attribute, ...]:
    found = []
    for name, value in values.items():
        if name not in types:
            field, allowed = f"{where}.{name}", ", ".join(sorted(types))
            raise Refused("unknown_attribute", f"{field}: not an attribute here", field, None, allowed)
        found.append(_attribute(name, value, types[name], f"{where}.{name}", since))
    return (*found, *_banded(found, types, since))


def _banded(found: Sequence[Attribute], types: dict[str, str], since: int) -> list[Attribute]:
    """The bands an import works out by itself, so that a lead sent whole is seen as the same lead imported."""
    sent = {attribute.name: attribute for attribute in found}
    employees, title = sent.get("employees"), sent.get("job_title")
    bands = {
        "employee_band": employee_band(employees.number) if employees and employees.number is not None else None,
        "job_title_band": job_title_band(title.text) if title and title.text else None,
    }
    return [
        Attribute(name, since, since, text=band)
        for name, band in bands.items()
        if band is not None and name in types and name not in sent
    ]


def _attribute(name: str, value: Value, kind: str, where: str, since: int) -> Attribute:
    """A blank text is a missing value, as it is in an imported file."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return Attribute(name, since, since)
    if kind == "number":
        if isinstance(value, str):
            raise invalid(where, value, "a finite number or null")
        return Attribute(name, since, since, number=value)
    if not isinstance(value, str):
        raise invalid(where, shown(value), "text or null")
    if kind == "date":
        return Attribute(name, since, since, number=float(_date(value, where)))
    return Attribute(name, since, since, text=value)


def _date(value: str, where: str) -> int:
    try:
        return moment(value)
    except ValueError:
        raise invalid(where, value, A_MOMENT) from None
