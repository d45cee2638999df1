"""What a deal will come to and when, should the lead be won: beside the probability, never part of it.

The amount is a log-linear function of who the lead is (fit features), taken
only where it predicted later deals better than their mean did; the mean over
the exponent of the mean logarithm (the smearing factor, Duan 1983) brings it
back to money. The interval is that of later deals around what had been
predicted for them. Days are the quartiles of those that reached the target
within the horizon, by the stage the lead stood at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from features.declaration import Declaration
from training.compiled import CompiledScorer
from training.parts import (
    Calibration,
    CategoryColumn,
    CategoryTerm,
    LinearPart,
    NumberColumn,
    NumberTerm,
    Scorer,
    linear_document,
    linear_from_document,
)

COVERED = 0.8
"""The share of deals whose amount lies in the interval."""

Value = float | str | None
Quartiles = tuple[float, float, float]


@dataclass(frozen=True)
class Amounts:
    """amount = factor × exp(linear(x)); four in five deals lie between low and high times that."""

    linear: LinearPart
    factor: float
    low: float
    high: float
    deals: int
    """Lead cycles it was learned from."""

    @property
    def by_profile(self) -> bool:
        """Whether the amount differs between leads."""
        return any(_moves(term) for term in self.linear.terms)


@dataclass(frozen=True)
class Days:
    """Days from the as-of time to the outcome among those that had it within the horizon: lower quartile, median,
    upper quartile."""

    every: Quartiles
    by_stage: Mapping[str, Quartiles]
    """Where a stage has enough of them; the rest answer as `every`."""
    deals: int

    def at(self, stage: Value) -> Quartiles:
        return self.by_stage.get(stage, self.every) if isinstance(stage, str) else self.every


@dataclass(frozen=True)
class Expected:
    """One lead's deal, should it come; each None where the history did not say."""

    amount: float | None = None
    amount_low: float | None = None
    amount_high: float | None = None
    days: float | None = None


@dataclass(frozen=True)
class Deals:
    """`amounts` is None without recorded amounts or for targets other than won, `days` without dates."""

    amounts: Amounts | None
    days: Days | None

    def to_document(self) -> dict[str, Any]:
        return {"amounts": _amounts_document(self.amounts), "days": _days_document(self.days)}

    @staticmethod
    def of_document(document: Mapping[str, Any]) -> Deals:
        """The inverse; KeyError, TypeError or ValueError where it is malformed."""
        amounts, days = document["amounts"], document["days"]
        return Deals(
            None
            if amounts is None
            else Amounts(
                linear_from_document(amounts["linear"]),
                factor=_positive(amounts["factor"]),
                low=_positive(amounts["low"]),
                high=_positive(amounts["high"]),
                deals=int(amounts["deals"]),
            ),
            None
            if days is None
            else Days(
                _quartiles(days["every"]),
                {str(stage): _quartiles(q) for stage, q in days["by_stage"].items()},
                int(days["deals"]),
            ),
        )


class DealsOfBundle:
    """`Deals` made ready for rows of a schema; sums run in the scorer's own order, so one row is as many."""

    def __init__(
        self, deals: Deals, columns: Sequence[NumberColumn | CategoryColumn], declarations: Sequence[Declaration]
    ) -> None:
        self.deals = deals
        self._stage = next((i for i, d in enumerate(declarations) if d.kind == "stage"), None)
        self._logarithm = (
            CompiledScorer(_alone(deals.amounts.linear, columns), declarations) if deals.amounts is not None else None
        )

    def expected(self, values: Sequence[Value]) -> Expected:
        """Of one row of feature values in declaration order."""
        found = Expected()
        if self.deals.days is not None:
            stage = None if self._stage is None else values[self._stage]
            found = replace(found, days=self.deals.days.at(stage)[1])
        if self._logarithm is not None:
            contributions, _, _ = self._logarithm.explain(values)
            middle = self._money(np.array([self._logarithm.base + contributions.sum()]))
            found = replace(found, **{name: float(part[0]) for name, part in middle.items()})
        return found

    def expected_columns(self, columns: Sequence[np.ndarray | Sequence[Value]]) -> dict[str, np.ndarray]:
        """`Expected` of n rows given by column, NaN for None."""
        n = len(columns[0]) if columns else 0
        found = {name: np.full(n, np.nan) for name in ("amount", "amount_low", "amount_high", "days")}
        if self.deals.days is not None:
            stages = [None] * n if self._stage is None else list(columns[self._stage])
            found["days"] = np.array([self.deals.days.at(stage)[1] for stage in stages])
        if self._logarithm is not None:
            contributions, _, _ = self._logarithm.explain_many(columns)
            found |= self._money(self._logarithm.base + contributions.sum(axis=1))
        return found

    def _money(self, logarithm: np.ndarray) -> dict[str, np.ndarray]:
        amounts = self.deals.amounts
        assert amounts is not None
        middle = amounts.factor * np.exp(np.clip(logarithm, -50.0, 50.0))
        return {"amount": middle, "amount_low": amounts.low * middle, "amount_high": amounts.high * middle}


def _moves(term: NumberTerm | CategoryTerm) -> bool:
    if isinstance(term, NumberTerm):
        return term.slope != 0.0 or term.null != term.offset
    return any(value != 0.0 for value in (*term.levels.values(), term.other, term.null))


def _alone(linear: LinearPart, columns: Sequence[NumberColumn | CategoryColumn]) -> Scorer:
    return Scorer(
        columns=tuple(columns),
        linear=linear,
        boosters=(),
        prior_margin=0.0,
        prior_weight=0.0,
        linear_weight=1.0,
        calibration=Calibration(),
    )


def _amounts_document(amounts: Amounts | None) -> dict[str, Any] | None:
    if amounts is None:
        return None
    return {
        "linear": linear_document(amounts.linear),
        "factor": amounts.factor,
        "low": amounts.low,
        "high": amounts.high,
        "deals": amounts.deals,
    }


def _days_document(days: Days | None) -> dict[str, Any] | None:
    if days is None:
        return None
    return {
        "every": list(days.every),
        "by_stage": {s: list(q) for s, q in sorted(days.by_stage.items())},
        "deals": days.deals,
    }


def _positive(number: Any) -> float:
    if not 0.0 < float(number) < float("inf"):
        raise ValueError(f"{number!r} is no positive factor")
    return float(number)


def _quartiles(numbers: Any) -> Quartiles:
    low, middle, high = (float(n) for n in numbers)
    if not 0.0 <= low <= middle <= high:
        raise ValueError(f"{numbers!r} are no quartiles")
    return low, middle, high
