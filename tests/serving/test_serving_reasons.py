"""Contributions summed to reason codes: nothing lost, the same ranking one by one and by the table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.declaration import Declaration
from serving.reasons import LEAST_SHOWN, ReasonPlan, most_telling, most_telling_table

CODES = ("a", "b", "a", "c", "d", "e", "f", "g", "b")
DECLARED = [Declaration(f"f{n}", "number", "fit", code, "値{value}", "value {value}") for n, code in enumerate(CODES)]
PLAN = ReasonPlan(DECLARED)

size = st.one_of(st.just(0.0), st.floats(-3, 3), st.sampled_from([-1.0, 1.0, 0.5, -0.5, LEAST_SHOWN]))
contributions = st.lists(size, min_size=len(CODES), max_size=len(CODES))


@given(contributions)
def test_all_reasons_sum_to_all_contributions(row: list[float]) -> None:
    assert math.fsum(r.contribution for r in PLAN.rank(row)) == pytest.approx(math.fsum(row), abs=1e-12)


@given(contributions)
def test_reasons_are_ranked_by_size_and_each_code_is_named_once(row: list[float]) -> None:
    ranked = PLAN.rank(row)
    assert [r.rank for r in ranked] == list(range(1, len(ranked) + 1))
    assert len({r.code for r in ranked}) == len(ranked)
    sizes = [abs(r.contribution) for r in ranked]
    assert sizes == sorted(sizes, reverse=True)


@given(contributions)
def test_the_feature_that_speaks_for_a_code_pulls_its_way(row: list[float]) -> None:
    for reason in PLAN.rank(row):
        feature = PLAN.speaker(row, reason)
        assert DECLARED[feature].reason == PLAN.codes[reason.code]
        assert (row[feature] > 0) == (reason.contribution > 0)


@given(contributions)
def test_at_most_three_reasons_up_and_two_down_none_too_small(row: list[float]) -> None:
    shown = most_telling(PLAN.rank(row))
    assert sum(r.contribution > 0 for r in shown) <= 3
    assert sum(r.contribution < 0 for r in shown) <= 2
    assert all(abs(r.contribution) >= LEAST_SHOWN for r in shown)


@given(st.lists(contributions, min_size=1, max_size=6))
def test_the_table_chooses_what_the_single_row_chooses(rows: list[list[float]]) -> None:
    table = np.array(rows)
    sums = PLAN.sums(table)
    chosen = most_telling_table(sums)
    speakers = PLAN.speakers(table, sums)
    for number, row in enumerate(rows):
        expected = [(PLAN.codes[r.code], PLAN.speaker(row, r)) for r in most_telling(PLAN.rank(row))]
        found = [(PLAN.codes[c], int(speakers[number, c])) for c in chosen[number] if c >= 0]
        assert found == expected
