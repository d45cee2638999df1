"""One lead's history as the online side sees it: small, immutable, without a store.

Times are microseconds since 1970-01-01 UTC. What was not sent is empty or
None, which every feature declares the meaning of.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Touchpoint:
    kind: str
    actor: str
    occurred_at: int
    recorded_at: int
    channel: str | None = None
    campaign_id: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class StageChange:
    stage: str
    occurred_at: int
    recorded_at: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One value from `occurred_at` on; exactly one of `text` and `number` unless missing."""

    name: str
    occurred_at: int
    recorded_at: int
    text: str | None = None
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another lead of the same account: what account-wide features need of it."""

    lead_id: str
    occurred_at: int
    recorded_at: int
    attributes: tuple[Attribute, ...] = ()
    touchpoints: tuple[Touchpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountSummary:
    account_id: str
    attributes: tuple[Attribute, ...] = ()
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
    occurred_at: int
    recorded_at: int
    cycles: tuple[tuple[int, int], ...] = ()
    stages: tuple[StageChange, ...] = ()
    touchpoints: tuple[Touchpoint, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    account: AccountSummary | None = None
    source: str = field(default="", compare=False)
