"""Slices never let a training row know what comes after."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ModelRefused
from data.times import DAY
from tests.training.worlds import world
from training.matrix import Matrix
from training.slices import LEAST_SLICE, LEAST_TRAINING, backtest_folds, random_folds


def history(leads: int, span_days: float, horizon_days: float, rate: float, seed: int) -> Matrix:
    """Leads spread over a span, all of them matured at its end plus the horizon."""
    rng = np.random.default_rng(seed)
    matrix = world(leads, seed=seed)
    start = np.sort(rng.integers(0, int(span_days * DAY), leads))
    return replace(
        matrix,
        cycle_start=start,
        as_of=start + 1,
        matured_at=start + 1 + int(horizon_days * DAY),
        label=rng.permutation(np.arange(leads) < round(rate * leads)).astype(float),
    )


@settings(max_examples=60, deadline=None)
@given(
    leads=st.integers(100, 800),
    span=st.floats(10, 900),
    horizon=st.floats(0.1, 200),
    rate=st.floats(0.03, 0.9),
    seed=st.integers(0, 99),
)
def test_training_rows_are_known_before_their_slice_begins(
    leads: int, span: float, horizon: float, rate: float, seed: int
) -> None:
    matrix = history(leads, span, horizon, rate, seed)
    backtest = backtest_folds(matrix, seed=0)
    for fold in backtest.folds:
        assert not set(fold.train) & set(fold.test)
        assert not np.isin(matrix.cycle[fold.train], matrix.cycle[fold.test]).any()
        if backtest.kind == "random by group":
            continue
        assert (matrix.cycle_start[fold.test] >= fold.begins).all()
        assert (matrix.cycle_start[fold.test] < fold.ends).all()
        assert (matrix.cycle_start[fold.train] < fold.begins).all()
        assert (matrix.as_of[fold.train] < fold.begins).all()
        if backtest.kind == "forward":
            assert (matrix.matured_at[fold.train] <= fold.begins).all()
        for rows, least in ((fold.train, LEAST_TRAINING), (fold.test, LEAST_SLICE)):
            won = matrix.label[rows].sum()
            assert min(won, len(rows) - won) >= least


@settings(max_examples=20, deadline=None)
@given(leads=st.integers(200, 600), seed=st.integers(0, 99))
def test_forward_slices_follow_each_other_and_later_ones_have_more_say_for_their_size(leads: int, seed: int) -> None:
    folds = backtest_folds(history(leads, 700, 10, 0.3, seed), seed=0).folds
    for earlier, later in itertools.pairwise(folds):
        assert earlier.ends == later.begins
        assert later.weight / np.sqrt(len(later.test)) > earlier.weight / np.sqrt(len(earlier.test))


@pytest.mark.parametrize(
    ("span", "horizon", "kind"),
    [(700, 30, "forward"), (60, 50, "forward, labels overlap")],
)
def test_horizons_that_leave_no_history_fall_back_and_say_so(span: float, horizon: float, kind: str) -> None:
    assert backtest_folds(history(600, span, horizon, 0.3, seed=1), seed=0).kind == kind


def test_leads_of_one_day_leave_only_random_slices() -> None:
    matrix = history(400, 1, 30, 0.3, seed=2)
    same_day = replace(matrix, cycle_start=np.zeros(400, dtype=np.int64), as_of=np.ones(400, dtype=np.int64))
    assert backtest_folds(same_day, seed=0).kind == "random by group"


def test_random_slices_keep_groups_and_equal_rows_together() -> None:
    matrix = world(300, seed=3)
    columns = tuple(np.concatenate([c, c]) for c in matrix.columns)
    twice = {name: np.tile(getattr(matrix, name), 2) for name in ("label", "weight", "cycle_start", "as_of")}
    twice |= {name: np.tile(getattr(matrix, name), 2) for name in ("matured_at", "creation")}
    doubled = replace(matrix, columns=columns, **twice, group=np.arange(600) // 2, cycle=np.arange(600))
    for fold in random_folds(doubled, 5, seed=0):
        here, there = set(fold.test), set(fold.train)
        for row in range(300):
            assert (row in here) == (row + 300 in here)
        assert not {g // 2 for g in here} & {g // 2 for g in there}


def test_outcomes_of_one_kind_are_refused() -> None:
    with pytest.raises(ModelRefused, match="one kind"):
        backtest_folds(history(100, 700, 10, 0.0, seed=4), seed=0)
