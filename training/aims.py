"""What decides the hand-over threshold: a capacity, profit, or a precision that must be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.errors import UsageError


@dataclass(frozen=True)
class Aim:
    """One of the three; all None is a capacity nobody named, for which a usual one stands in."""

    capacity: float | None = None
    """Hand-overs a week; in row time, of each hundred leads."""
    call_cost: float | None = None
    """Cost of following up one lead."""
    deal_value: float | None = None
    """Value of a won deal, in the same money."""
    precision: float | None = None
    """Share of the leads handed over that must have the outcome."""

    @property
    def method(self) -> Literal["capacity", "profit", "precision"]:
        if self.call_cost is not None:
            return "profit"
        return "capacity" if self.precision is None else "precision"

    @property
    def least_worth(self) -> float:
        """The probability at which a call costs what it brings."""
        assert self.call_cost is not None
        assert self.deal_value is not None
        return self.call_cost / self.deal_value


def chosen_aim(
    capacity: float | None, call_cost: float | None, deal_value: float | None, precision: float | None
) -> Aim:
    """From the command line's options. Raises UsageError where they contradict one another."""
    named = [
        name
        for name, value in (("--capacity", capacity), ("--call-cost", call_cost), ("--precision", precision))
        if value is not None
    ]
    if len(named) > 1:
        raise UsageError(" and ".join(named), "several aims", expected="one: what decides the threshold")
    if deal_value is not None and call_cost is None:
        raise UsageError("--deal-value", deal_value, expected="--call-cost beside it", remedy="give both")
    if capacity is not None and not capacity > 0:
        raise UsageError(
            "--capacity", capacity, expected="a number above 0: leads a week; in row time, of each hundred"
        )
    if call_cost is not None and not call_cost > 0:
        raise UsageError("--call-cost", call_cost, expected="a number above 0")
    if precision is not None and not 0 < precision < 1:
        raise UsageError("--precision", precision, expected="a share between 0 and 1")
    return Aim(capacity, call_cost, deal_value, precision)


def priced(aim: Aim, mean_amount: float | None) -> Aim:
    """The aim with the mean amount of won deals as the value of one, where no other was given."""
    if aim.call_cost is None:
        return aim
    value = mean_amount if aim.deal_value is None else aim.deal_value
    if value is None:
        raise UsageError("--call-cost", "no value of a deal, and no amounts in the history", expected="--deal-value")
    if not value > aim.call_cost:
        raise UsageError(
            "--deal-value",
            f"{value:g}",
            expected=f"more than the cost of a call, {aim.call_cost:g}",
        )
    return Aim(call_cost=aim.call_cost, deal_value=value)
