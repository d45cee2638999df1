"""What declarations have in common, worked out once for both interpreters: selections, windows, tie-breaks.

Ties are broken by content alone, so that no order of storage can show:

  first and last touch   oldest or newest by (occurred_at, value), the lesser or the greater
  stage                  newest by (occurred_at, recorded_at, funnel rank, stage)
  attribute              newest by (occurred_at, recorded_at, has a value, value)

Texts compare by code point, which is also the order of their UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from data.times import DAY
from features.declaration import TOUCHPOINT_KINDS_OF_FEATURE, Declaration

_COUNTING_ACCOUNT_KINDS = ("account_count", "account_distinct")


class Selection(NamedTuple):
    """Touchpoints of some kinds by some actor, empty meaning any, less some kinds."""

    kinds: tuple[str, ...]
    but_not: tuple[str, ...]
    actor: str

    def takes(self, kind: str, actor: str) -> bool:
        of_kind = (not self.kinds or kind in self.kinds) and kind not in self.but_not
        return of_kind and (not self.actor or actor == self.actor)


def selection(declaration: Declaration) -> Selection:
    kinds, but_not = (tuple(sorted(set(names))) for names in (declaration.touchpoints, declaration.except_touchpoints))
    return Selection(kinds, but_not, declaration.actor)


def denominator(declaration: Declaration) -> Selection:
    """Mails are sent by the company and opened by the lead: a denominator counts any actor."""
    return Selection(tuple(sorted(set(declaration.denominator))), (), "")


def selections(declarations: Iterable[Declaration]) -> tuple[Selection, ...]:
    """All selections of touchpoints that `declarations` use, each once, in order of first use."""
    found: dict[Selection, None] = {}
    for declaration in declarations:
        if declaration.kind in TOUCHPOINT_KINDS_OF_FEATURE or declaration.kind in _COUNTING_ACCOUNT_KINDS:
            found[selection(declaration)] = None
        if declaration.kind == "ratio":
            found[denominator(declaration)] = None
    return tuple(found)


def window(declaration: Declaration) -> int | None:
    """The greatest age in microseconds that is still inside; None: any."""
    return None if declaration.window_days is None else declaration.window_days * DAY


def weeks_of(declaration: Declaration) -> int:
    """The longest run that `active_weeks` counts."""
    return (declaration.window_days or 0) // 7


_FUNNEL_RANK = {"recycled": 0, "new": 1, "mql": 3, "sql": 4, "opportunity": 5, "won": 6, "lost": 7, "disqualified": 8}
FUNNEL_RANKS = tuple(_FUNNEL_RANK.items())
RANK_OF_OTHER_STAGES = 2


def funnel_rank(stage: str) -> int:
    """Which of two stages entered at the same instant is the later: the one farther down the funnel."""
    return _FUNNEL_RANK.get(stage, RANK_OF_OTHER_STAGES)
