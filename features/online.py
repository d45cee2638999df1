"""The online interpreter: one history in, one row of feature values out, in microseconds of time.

Declarations are compiled once, into one small function each over a view of
what is visible of the history. Imports neither ibis nor duckdb nor pandas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.company import Company
from data.records import Attribute, LeadHistory, StageChange, Touchpoint
from features.declaration import ACCOUNT_KINDS, ATTRIBUTE_KINDS, TOUCHPOINT_KINDS_OF_FEATURE, Declaration
from features.online_account import AccountFeatures, Member
from features.online_profile import (
    attribute_reducer,
    calendar_reducer,
    current_cycle,
    newest_by_name,
    newest_stage,
    stage_reducer,
)
from features.online_touchpoints import Selector, ages_by_key, in_time_order, touchpoint_reducer
from features.selection import selections

Value = float | str | None


class View:
    """What is visible of one history at one instant, in the shapes the reducers read."""

    __slots__ = (
        "ages",
        "as_of",
        "by_key",
        "created",
        "cycle_start",
        "cycles",
        "members",
        "newest_account",
        "newest_lead",
        "stage",
        "stages",
        "touchpoints",
    )

    as_of: int
    by_key: dict[tuple[str, str], list[int]]
    """Ages of the lead's touchpoints by (kind, actor), in no order."""
    ages: list[list[int]]
    """The same by selection number, ascending."""
    touchpoints: list[Touchpoint]
    """Oldest first; empty where no feature reads more than ages."""
    created: int | None
    cycle_start: int | None
    cycles: int
    stage: StageChange | None
    stages: Sequence[StageChange]
    """All of the history, visible or not."""
    newest_lead: dict[str, Attribute]
    newest_account: dict[str, Attribute]
    members: list[Member] | None
    """The account's leads, the lead itself first; None without an account."""


Reducer = Callable[[View], Value]


class OnlineFeatures:
    """The features of `declarations`, in their order, for one history at a time."""

    def __init__(self, declarations: Sequence[Declaration], company: Company) -> None:
        touching = [d for d in declarations if d.kind in TOUCHPOINT_KINDS_OF_FEATURE]
        self._selector = Selector(selections(touching))
        self._numbers = {chosen: number for number, chosen in enumerate(self._selector.selections)}
        self._reads_values = any(_reads_values(d) for d in touching)
        of_account = [d for d in declarations if d.kind in ACCOUNT_KINDS]
        self._account = AccountFeatures(of_account, self._numbers) if of_account else None
        self._reducers = [self._reducer(d, company) for d in declarations]

    def row(self, history: LeadHistory, as_of: int) -> list[Value]:
        """The values as of `as_of`, one a declaration: float, str or None.

        Records that happened or were recorded at or after `as_of` change nothing.
        """
        view = self._view(history, as_of)
        return [reduce(view) for reduce in self._reducers]

    def _view(self, history: LeadHistory, as_of: int) -> View:
        view = View()
        view.as_of = as_of
        view.by_key = ages_by_key(history.touchpoints, as_of)
        view.ages = self._selector.ages(view.by_key)
        view.touchpoints = in_time_order(history.touchpoints, as_of) if self._reads_values else []
        known = history.occurred_at < as_of and history.recorded_at < as_of
        view.created = history.occurred_at if known else None
        view.cycle_start, recycled, view.cycles = current_cycle(history, as_of)
        view.stage = newest_stage(history.stages, as_of, view.cycle_start, recycled)
        view.stages = history.stages
        view.newest_lead = newest_by_name(history.attributes, as_of)
        account = history.account if known else None
        view.newest_account = newest_by_name(account.attributes, as_of) if account else {}
        view.members = self._account.members(account, view) if self._account else None
        return view

    def _reducer(self, d: Declaration, company: Company) -> Reducer:
        if d.kind in TOUCHPOINT_KINDS_OF_FEATURE:
            return touchpoint_reducer(d, self._numbers, company)
        if d.kind in ATTRIBUTE_KINDS:
            return attribute_reducer(d)
        if self._account and d.kind in ACCOUNT_KINDS:
            return self._account.reducer(d)
        return calendar_reducer(d, company) if d.kind == "calendar" else stage_reducer(d)


def _reads_values(d: Declaration) -> bool:
    """Whether ages do not suffice."""
    return d.kind in ("first_touch", "last_touch") or (d.kind == "distinct_count" and d.of not in ("kind", "day"))
