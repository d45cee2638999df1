"""Exponential decay as whole numbers, the same in every engine.

A touchpoint of age *a* hours (whole hours, rounded down) weighs
⌊10⁶ · 2^(−a / half-life) + ½ + ε⌋ millionths. Weights are added as integers, so
that the order of addition cannot matter. Engines may differ in the last bit of
the power; ε keeps the exact halves (10⁶/2⁷ = 7812.5) on one side, and all other
ages are farther from a half than any engine's error, which a test holds for
every half-life in use.
"""

from __future__ import annotations

import math
from functools import cache

from data.times import HOUR

MILLION = 1_000_000
ROUNDING = 0.5 + 2.0**-20


def half_life_hours(half_life_days: float) -> int:
    return round(half_life_days * 24)


def weight(age_hours: int, hours: int) -> int:
    """Millionths that a touchpoint of `age_hours` weighs at a half-life of `hours`."""
    return math.floor(2.0 ** (-age_hours / hours) * MILLION + ROUNDING)


@cache
def weights(hours: int) -> tuple[int, ...]:
    """`weight` by age in hours, up to the first age that weighs nothing, itself left out."""
    table: list[int] = []
    while millionths := weight(len(table), hours):
        table.append(millionths)
    return tuple(table)


def decayed_sum(ages: list[int], hours: int) -> float:
    """Sum of the weights of `ages` (microseconds, ascending)."""
    table = weights(hours)
    horizon = len(table) * HOUR
    return sum([table[age // HOUR] for age in ages if age < horizon]) / MILLION
