"""Online features over the account's leads."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from data.records import AccountSummary, Attribute
from features.declaration import Declaration
from features.online_profile import newest_by_name
from features.online_touchpoints import Selector, ages_by_key
from features.selection import Selection, selection, selections, window

if TYPE_CHECKING:
    from features.online import Reducer, Value, View


class Member(NamedTuple):
    """A lead of the account: ages of its touchpoints by selection number, newest attributes by name."""

    ages: list[list[int]]
    newest: Mapping[str, Attribute]


class AccountFeatures:
    """Compiles the account's features; `members` gives what they read.

    `own` are the numbers of the selections of the lead's own features: their
    ages are there already in the view and not selected again.
    """

    def __init__(self, declarations: Sequence[Declaration], own: Mapping[Selection, int]) -> None:
        self._selector = Selector(selections(declarations))
        self._numbers = {chosen: number for number, chosen in enumerate(self._selector.selections)}
        chosen = self._selector.selections
        self._shared = [own[one] for one in chosen] if set(chosen) <= own.keys() else None

    def members(self, account: AccountSummary | None, view: View) -> list[Member] | None:
        """The lead itself, then the account's other leads known by then; None without an account."""
        if account is None:
            return None
        as_of = view.as_of
        members = [Member(self._own_ages(view), view.newest_lead)]
        for sibling in account.siblings:
            if sibling.occurred_at < as_of and sibling.recorded_at < as_of:
                ages = self._selector.ages(ages_by_key(sibling.touchpoints, as_of))
                members.append(Member(ages, newest_by_name(sibling.attributes, as_of)))
        return members

    def _own_ages(self, view: View) -> list[list[int]]:
        if self._shared is None:
            return self._selector.ages(view.by_key)
        return [view.ages[number] for number in self._shared]

    def reducer(self, d: Declaration) -> Reducer:
        read = _BUILDERS[d.kind](d, self._numbers)

        def over_members(view: View) -> Value:
            return None if view.members is None else float(read(view.members))

        return over_members


def _account_leads(d: Declaration, numbers: Mapping[Selection, int]) -> Callable[[list[Member]], int]:
    return lambda members: len(members) - 1


def _account_count(d: Declaration, numbers: Mapping[Selection, int]) -> Callable[[list[Member]], int]:
    number, greatest_age = numbers[selection(d)], window(d)
    return lambda members: sum([_count(member.ages[number], greatest_age) for member in members[1:]])


def _account_distinct(d: Declaration, numbers: Mapping[Selection, int]) -> Callable[[list[Member]], int]:
    number, greatest_age, name = numbers[selection(d)], window(d), d.attribute

    def distinct(members: list[Member]) -> int:
        active = [member for member in members if _count(member.ages[number], greatest_age)]
        return len({_text(member, name) for member in active} - {None})

    return distinct


def _account_seen(d: Declaration, numbers: Mapping[Selection, int]) -> Callable[[list[Member]], int]:
    name, values = d.attribute, frozenset(d.values)
    return lambda members: int(any(_text(member, name) in values for member in members))


def _count(ages: list[int], greatest_age: int | None) -> int:
    return len(ages) if greatest_age is None else bisect_right(ages, greatest_age)


def _text(member: Member, name: str) -> str | None:
    attribute = member.newest.get(name)
    return None if attribute is None else attribute.text


_BUILDERS: dict[str, Callable[[Declaration, Mapping[Selection, int]], Callable[[list[Member]], int]]] = {
    "account_leads": _account_leads,
    "account_count": _account_count,
    "account_distinct": _account_distinct,
    "account_seen": _account_seen,
}
