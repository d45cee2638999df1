"""Contributions of single features summed to reasons: one a reason code, ranked by size.

The sums are taken over a bundle's declarations, so that all reasons of a lead
add up to fit + behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.declaration import Declaration

MOST_UP, MOST_DOWN = 3, 2
LEAST_SHOWN = 0.02
"""Reasons of smaller contribution (2% of the odds) are left to "all"; they would only distract."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One reason code of one lead."""

    code: str
    contribution: float
    rank: int
    """1 for the largest |contribution|."""
    feature: int
    """Index of the declaration that says it in words: the largest contribution of the code's own direction."""


class ReasonPlan:
    """Which features make up which reason code, in the declarations' order."""

    def __init__(self, declarations: Sequence[Declaration]) -> None:
        members: dict[str, list[int]] = {}
        for index, declaration in enumerate(declarations):
            members.setdefault(declaration.reason, []).append(index)
        self.codes = tuple(members)
        self.members = tuple(tuple(m) for m in members.values())

    def rank(self, contributions: Sequence[float]) -> list[Ranked]:
        """Every code that contributes anything, the largest |contribution| first; equal ones by code order."""
        summed = [(code, _summed(contributions, m), m) for code, m in zip(self.codes, self.members, strict=True)]
        ordered = sorted((s for s in summed if s[1] != 0.0), key=lambda s: -abs(s[1]))
        return [
            Ranked(code, total, rank, _speaker(contributions, members, total))
            for rank, (code, total, members) in enumerate(ordered, start=1)
        ]

    def sums(self, contributions: np.ndarray) -> np.ndarray:
        """[n, codes] from [n, k]."""
        table = np.empty((len(contributions), len(self.codes)))
        for column, members in enumerate(self.members):
            table[:, column] = contributions[:, members].sum(axis=1)
        return table

    def speakers(self, contributions: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """[n, codes]: index of the feature that says each code in words, as `rank` chooses it."""
        chosen = np.empty(sums.shape, dtype=np.intp)
        for column, members in enumerate(self.members):
            part = contributions[:, members] * np.sign(sums[:, column])[:, None]
            chosen[:, column] = np.asarray(members)[np.argmax(part, axis=1)]
        return chosen


def _summed(contributions: Sequence[float], members: Sequence[int]) -> float:
    return contributions[members[0]] if len(members) == 1 else sum(contributions[i] for i in members)


def _speaker(contributions: Sequence[float], members: Sequence[int], total: float) -> int:
    sign = 1.0 if total > 0 else -1.0
    return max(members, key=lambda i: contributions[i] * sign)


def most_telling(ranked: Sequence[Ranked]) -> list[Ranked]:
    """At most three reasons up and two down, in the order of their rank."""
    told = [r for r in ranked if abs(r.contribution) >= LEAST_SHOWN]
    up = [r for r in told if r.contribution > 0][:MOST_UP]
    down = [r for r in told if r.contribution < 0][:MOST_DOWN]
    return sorted(up + down, key=lambda r: r.rank)


def most_telling_table(sums: np.ndarray) -> np.ndarray:
    """[n, 5] columns of `sums` that `most_telling` would choose, in order of size; −1 where there are fewer."""
    table = np.full((len(sums), MOST_UP + MOST_DOWN), -1, dtype=np.intp)
    sizes = np.abs(sums)
    allowed = (sizes >= LEAST_SHOWN) & (_place(sums) < np.where(sums > 0, MOST_UP, MOST_DOWN))
    order = np.argsort(np.where(allowed, -sizes, np.inf), axis=1, kind="stable")[:, : table.shape[1]]
    kept = np.take_along_axis(allowed, order, axis=1)
    table[:, : order.shape[1]] = np.where(kept, order, -1)
    return table


def _place(sums: np.ndarray) -> np.ndarray:
    """[n, codes]: how many codes of the same direction are larger (or equal and earlier)."""
    place = np.empty(sums.shape, dtype=np.intp)
    for direction in (sums > 0, sums <= 0):
        order = np.argsort(np.where(direction, -np.abs(sums), np.inf), axis=1, kind="stable")
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.broadcast_to(np.arange(sums.shape[1]), sums.shape), axis=1)
        place = np.where(direction, ranks, place)
    return place
