"""Who has a value of a column, and since when: evidence from counts alone.

A value is *at creation* where it is dated no later than its lead's creation;
so are all values of a flat column, on the word of the mapping.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from features.leaks import LEAST_OUTCOMES

LATE_SHARE = 0.5
"""Of the leads with the outcome and a value, those whose value came no earlier."""
EXCLUSIVE_SHARE = 0.98
UNLIKELY = 1e-6
"""Chance below which one-sidedness is no accident: among 1,000 columns, once in 1,000 companies."""
WANTING = 0.5
"""Open leads that have a value, of those expected by the sparser outcome, below which it seems written at the end."""


@dataclass(frozen=True)
class Filled:
    """Who has a value of one attribute, among leads whose outcome is known."""

    leads: int
    """Leads in all."""
    outcomes: int
    """Of those, leads with the outcome."""
    with_value: int
    outcomes_with_value: int
    after: int
    """Leads with the outcome whose first value came later than their creation, at the outcome or after it."""
    at_creation: int = 0
    """Leads whose first value is dated at their creation."""
    stated: int = 0
    """Leads of which the source says anything in this column, be it that it is empty."""
    outcomes_stated: int = 0
    ended_with_value: int = 0
    """Leads that are over, whichever way, and have a value."""
    after_end: int = 0
    """Of those, leads whose first value came later than their creation, at the end or after it."""
    open_with_value: int = 0
    """Leads still open that have a value dated at creation."""
    open_expected: float = 0.0
    """As many would, if they had it as often as leads created at the same time that are over."""
    open_expected_least: float = 0.0
    """As many, if as often as those of the outcome that has it less often."""


def filled_late(filled: Filled) -> bool:
    """Whether most leads with the outcome, or most that are over, got their value only at or after it."""
    return _mostly(filled.after, filled.outcomes_with_value) or _mostly(filled.after_end, filled.ended_with_value)


def _mostly(late: int, of: int) -> bool:
    return of >= LEAST_OUTCOMES and late >= LATE_SHARE * of


def only_with_outcome(filled: Filled) -> bool:
    """Whether all but a few of those with a value have the outcome, which at the base rate would be UNLIKELY."""
    return _only_with(filled, filled.with_value, filled.outcomes_with_value)


def only_stated_with_outcome(filled: Filled) -> bool:
    """Likewise of those the source speaks of at all: rows of a file that only some leads have."""
    return _only_with(filled, filled.stated, filled.outcomes_stated)


def _only_with(filled: Filled, some: int, outcomes_of_some: int) -> bool:
    return outcomes_of_some >= EXCLUSIVE_SHARE * some and all_alike(filled.outcomes, filled.leads, some) < UNLIKELY


def only_without_outcome(filled: Filled) -> bool:
    """Whether next to none of those with a value have the outcome, which at the base rate would be UNLIKELY."""
    expected = filled.with_value * filled.outcomes / max(filled.leads, 1)
    exclusive = filled.outcomes_with_value <= (1 - EXCLUSIVE_SHARE) * expected
    return exclusive and all_alike(filled.leads - filled.outcomes, filled.leads, filled.with_value) < UNLIKELY


def only_once_over(filled: Filled) -> bool:
    """Whether next to no open lead has a value although leads of the same weeks that are over do."""
    few = filled.open_with_value <= (1 - EXCLUSIVE_SHARE) * filled.open_expected
    return few and _chance_of_so_few(filled.open_with_value, filled.open_expected) < UNLIKELY


def wanting_while_open(filled: Filled) -> bool:
    """Whether open leads have a value far less often than either outcome: they will have one of the two."""
    few = filled.open_with_value < WANTING * filled.open_expected_least
    return few and _chance_of_so_few(filled.open_with_value, filled.open_expected_least) < UNLIKELY


def all_alike(alike: int, leads: int, drawn: int) -> float:
    """Chance that as many leads as were drawn at random were all among the `alike`."""
    return float((alike / max(leads, 1)) ** drawn)


def _chance_of_so_few(found: int, expected: float) -> float:
    """Bound on the chance of at most `found` where `expected` are (Chernoff; Poisson and binomial alike)."""
    if found >= expected:
        return 1.0
    return math.exp(found - expected + (found * math.log(expected / found) if found else 0.0))
