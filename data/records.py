"""One lead's history as the online side sees it: small, immutable, without a store.

Times are microseconds since 1970-01-01 UTC. What was not sent is empty or
None, which every feature declares the meaning of.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Touchpoint:
    kind: str
    """One of TOUCHPOINT_KINDS, or a kind the mapping adds."""
    actor: str
    """Who acted: lead | company | machine."""
    occurred_at: int
    """When it happened."""
    recorded_at: int
    """When the source system knew it."""
    channel: str | None = None
    """Marketing channel, where known."""
    campaign_id: str | None = None
    """Campaign it belongs to, where known."""
    detail: str | None = None
    """Page path, seminar title or the like; never personal data."""


@dataclass(frozen=True, slots=True)
class StageChange:
    stage: str
    """One of STAGES, or a stage the mapping adds."""
    occurred_at: int
    """When the stage was entered."""
    recorded_at: int
    """When the source system knew it."""
    reason: str | None = None
    """Why it was returned, lost or disqualified, where known."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One value from `occurred_at` on; exactly one of `text` and `number` unless missing."""

    name: str
    """Attribute name, standard or declared by the mapping."""
    occurred_at: int
    """From when it holds."""
    recorded_at: int
    """When the source system knew it."""
    text: str | None = None
    """Value of a category or text; None where missing."""
    number: float | None = None
    """Value of a number (or a date, as microseconds); None where missing."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another lead of the same account: what account-wide features need of it."""

    lead_id: str
    """The other lead."""
    occurred_at: int
    """Its creation."""
    recorded_at: int
    """When the source system knew of it."""
    attributes: tuple[Attribute, ...] = ()
    """Its attributes, and those of leads read as it."""
    touchpoints: tuple[Touchpoint, ...] = ()
    """Its touchpoints, and those of leads read as it."""


@dataclass(frozen=True, slots=True)
class AccountSummary:
    account_id: str
    """Id of the company, as it is read at the as-of time."""
    attributes: tuple[Attribute, ...] = ()
    """Its attributes, and those of accounts read as it."""
    siblings: tuple[Sibling, ...] = ()
    """The account's other leads, in any order."""


@dataclass(frozen=True, slots=True)
class LeadHistory:
    """All that is known of one lead; the reader filters by as-of time, the sender need not.

    `occurred_at` is the lead's creation; `cycles` are (start, recorded_at) of
    its later cycles, the first being the creation itself. Sequences may be in
    any order.
    """

    lead_id: str
    """The lead, as it is read at the as-of time."""
    occurred_at: int
    """Its creation."""
    recorded_at: int
    """When the source system knew of it."""
    cycles: tuple[tuple[int, int], ...] = ()
    """(start, recorded_at) of every later cycle."""
    stages: tuple[StageChange, ...] = ()
    """Its own stage changes."""
    touchpoints: tuple[Touchpoint, ...] = ()
    """Its touchpoints, and those of leads read as it."""
    attributes: tuple[Attribute, ...] = ()
    """Its attributes, and those of leads read as it."""
    account: AccountSummary | None = None
    """Its company; None where none is known."""
    source: str = field(default="", compare=False)
    """System the lead came from; no feature reads it."""
