"""Policies from capacity: against a slow oracle, and what must hold whatever the scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.times import WEEK
from training.choosing import LOOKBACK_WEEKS, RECENT_WEEKS, choose_policy, choose_share, crossings
from training.policy import Policy

UNTIL = 100 * WEEK


def panel(seed: int, leads: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weeks = RECENT_WEEKS + LOOKBACK_WEEKS
    cycle = np.repeat(np.arange(leads), weeks)
    as_of = UNTIL - weeks * WEEK + np.tile(np.arange(weeks) * WEEK + 1, leads)
    born = rng.integers(0, weeks, leads)[cycle]
    kept = np.tile(np.arange(weeks), leads) >= born
    probability = np.round(rng.beta(1, 8, len(cycle)), 3)
    return cycle[kept], as_of[kept], probability[kept]


def handed_over(cycle: np.ndarray, as_of: np.ndarray, probability: np.ndarray, threshold: float) -> int:
    """Leads whose first row at or above the threshold stands in the recent weeks, one lead at a time."""
    count = 0
    for lead in np.unique(cycle):
        rows = sorted(zip(as_of[cycle == lead], probability[cycle == lead], strict=True))
        crossed = [at for at, p in rows if p >= threshold]
        count += bool(crossed and crossed[0] >= UNTIL - RECENT_WEEKS * WEEK)
    return count


def policy(cycle: np.ndarray, as_of: np.ndarray, probability: np.ndarray, capacity: float) -> Policy:
    found = crossings(cycle, as_of, probability, until=UNTIL)
    return choose_policy(found, target="won", capacity=capacity, mean_amount=None, as_of=UNTIL)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), capacity=st.floats(0.1, 8))
def test_hand_overs_equal_the_oracle_and_stay_within_capacity(seed: int, capacity: float) -> None:
    rows = panel(seed)
    chosen = policy(*rows, capacity)
    counted = handed_over(*rows, chosen.threshold) / RECENT_WEEKS
    assert chosen.handovers_per_week == pytest.approx(counted)
    assert counted <= capacity


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), capacity=st.floats(0.1, 5), more=st.floats(0, 5))
def test_more_capacity_never_raises_the_threshold(seed: int, capacity: float, more: float) -> None:
    rows = panel(seed)
    assert policy(*rows, capacity + more).threshold <= policy(*rows, capacity).threshold


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), capacity=st.floats(0.1, 8))
def test_cut_points_are_in_order_and_the_interval_holds_the_threshold(seed: int, capacity: float) -> None:
    chosen = policy(*panel(seed), capacity)
    assert chosen.cut_c <= chosen.cut_b <= chosen.cut_a == chosen.threshold
    assert chosen.threshold_low <= chosen.threshold <= chosen.threshold_high


def test_a_lead_above_the_threshold_before_the_recent_weeks_is_not_new() -> None:
    as_of = np.array([UNTIL - (RECENT_WEEKS + 1) * WEEK, UNTIL - WEEK])
    found = crossings(np.zeros(2, dtype=int), as_of, np.array([0.9, 0.5]), until=UNTIL)
    assert len(found.probability) == 0


def test_without_weeks_the_share_is_handed_over() -> None:
    probability = np.linspace(0, 1, 1_001)
    chosen = choose_share(probability, target="won", share=0.25, mean_amount=None, as_of=0)
    assert np.mean(probability >= chosen.threshold) == pytest.approx(0.25, abs=0.002)
    assert chosen.threshold_low < chosen.threshold < chosen.threshold_high


def test_no_recent_lead_gives_a_policy_all_the_same() -> None:
    empty = crossings(np.array([], dtype=int), np.array([], dtype=int), np.array([]), until=UNTIL)
    chosen = choose_policy(empty, target="won", capacity=3, mean_amount=None, as_of=0)
    assert 0 < chosen.threshold < 1
    assert Policy.from_json(chosen.to_json()) == chosen
