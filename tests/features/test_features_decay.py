"""Decay as whole numbers, far enough from every rounding edge for any engine's error."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal, getcontext

import pytest

from data.company import Company
from features.catalogue import declarations
from features.decay import ROUNDING, decayed_sum, half_life_hours, weight, weights

HALF_LIVES = sorted({d.half_life_days for d in declarations(Company()) if d.half_life_days} | {0.5, 1, 60, 90, 365})
HOUR = 3_600_000_000


@pytest.mark.parametrize("half_life", HALF_LIVES)
def test_no_weight_lies_near_a_rounding_edge(half_life: float) -> None:
    """Engines' powers differ by units in the last place, about 1e-10 here."""
    hours = half_life_hours(half_life)
    for age in range(len(weights(hours)) + 2):
        exact = 2.0 ** (-age / hours) * 1_000_000 + ROUNDING
        assert abs(exact - round(exact)) > 1e-8, age


def test_weights_are_the_formula_to_the_millionth() -> None:
    getcontext().prec = 40
    for hours in (12, 168, 336):
        for age in range(0, len(weights(hours)), 7):
            exact = Decimal(1_000_000) * Decimal(2) ** (Decimal(-age) / Decimal(hours))
            assert weight(age, hours) == int(exact.to_integral_value(ROUND_HALF_UP))


def test_weights_fall_from_a_million_to_nothing() -> None:
    table = weights(168)
    assert table[0] == 1_000_000
    assert table[168] == 500_000
    assert table[7 * 168] == 7_813  # 7,812.5 goes up
    assert list(table) == sorted(table, reverse=True)
    assert weight(len(table), 168) == 0


def test_order_of_addition_cannot_show() -> None:
    ages = [n * 977 * HOUR // 13 for n in range(1, 500)]
    assert decayed_sum(ages, 168) == decayed_sum(ages[::-1], 168) == sum(weight(a // HOUR, 168) for a in ages) / 1e6
    assert math.isclose(decayed_sum(ages, 168), sum(2.0 ** (-(a // HOUR) / 168) for a in ages), abs_tol=1e-3)
