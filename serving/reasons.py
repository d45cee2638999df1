"""Contributions of single features summed to reasons: one a reason code, ranked by size.

The sums are taken over a bundle's declarations, so that all reasons of a lead
add up to fit + behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from features.declaration import Declaration

MOST_UP, MOST_DOWN = 3, 2
LEAST_SHOWN = 0.02
"""Reasons of smaller contribution (2% of the odds) are left to "all"; they would only distract."""


class Ranked(NamedTuple):
    """One reason code of one lead."""

    contribution: float
    code: int
    """Index into `ReasonPlan.codes`."""
    rank: int
    """1 for the largest |contribution|."""


class ReasonPlan:
    """Which features make up which reason code, in the declarations' order."""

    def __init__(self, declarations: Sequence[Declaration]) -> None:
        members: dict[str, list[int]] = {}
        for index, declaration in enumerate(declarations):
            members.setdefault(declaration.reason, []).append(index)
        self.codes = tuple(members)
        self.members = tuple(tuple(m) for m in members.values())
        code_of = {code: number for number, code in enumerate(self.codes)}
        self._code_of_feature = [code_of[declaration.reason] for declaration in declarations]

    def rank(self, contributions: Sequence[float]) -> list[Ranked]:
        """Every code that contributes anything, the largest |contribution| first; equal ones by code order."""
        sums = [0.0] * len(self.codes)
        for code, contribution in zip(self._code_of_feature, contributions, strict=True):
            sums[code] += contribution
        sizes = [-abs(total) for total in sums]
        order = sorted(range(len(sums)), key=sizes.__getitem__)
        return [Ranked(sums[code], code, rank) for rank, code in enumerate(order, start=1) if sums[code] != 0.0]

    def speaker(self, contributions: Sequence[float], ranked: Ranked) -> int:
        """Index of the declaration that says a code in words: the largest contribution of the code's own direction."""
        members = self.members[ranked.code]
        if len(members) == 1:
            return members[0]
        choose = max if ranked.contribution > 0 else min
        return choose(members, key=contributions.__getitem__)

    def sums(self, contributions: np.ndarray) -> np.ndarray:
        """[n, codes] from [n, k]."""
        table = np.empty((len(contributions), len(self.codes)))
        for column, members in enumerate(self.members):
            table[:, column] = contributions[:, members].sum(axis=1)
        return table

    def speakers(self, contributions: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """[n, codes]: index of the feature that says each code in words, as `speaker` chooses it."""
        chosen = np.empty(sums.shape, dtype=np.intp)
        for column, members in enumerate(self.members):
            part = contributions[:, members] * np.sign(sums[:, column])[:, None]
            chosen[:, column] = np.asarray(members)[np.argmax(part, axis=1)]
        return chosen


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
