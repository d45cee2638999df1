"""Policies from capacity: against a slow oracle, and what must hold whatever the scores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataRefused, UsageError
from data.times import DAY, WEEK
from training.aims import Aim, chosen_aim, priced
from training.calibration import fit_calibration
from training.choosing import LEAST_TAKEN, LOOKBACK_WEEKS, RECENT_WEEKS, choose_policy, choose_share, crossings
from training.policy import Policy, handed_over

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


def counted(rows: tuple[np.ndarray, np.ndarray, np.ndarray], chosen: Policy) -> int:
    """Hand-overs in the recent weeks, one lead at a time."""
    cycle, as_of, probability = rows
    count = 0
    for lead in np.unique(cycle):
        series = sorted(zip(as_of[cycle == lead].tolist(), probability[cycle == lead].tolist(), strict=True))
        count += sum(at >= UNTIL - RECENT_WEEKS * WEEK for at in handed_over(series, chosen))
    return count


def policy(cycle: np.ndarray, as_of: np.ndarray, probability: np.ndarray, capacity: float) -> Policy:
    found = crossings(cycle, as_of, probability, until=UNTIL)
    return choose_policy(found, target="won", capacity=capacity, mean_amount=None, as_of=UNTIL)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), capacity=st.floats(0.1, 8))
def test_hand_overs_equal_the_oracle_and_stay_within_capacity(seed: int, capacity: float) -> None:
    rows = panel(seed)
    chosen = policy(*rows, capacity)
    a_week = counted(rows, chosen) / RECENT_WEEKS
    assert chosen.handovers_per_week == pytest.approx(a_week)
    assert a_week <= capacity


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
    found = crossings(np.zeros(2, dtype=int), as_of, np.array([0.9, 0.89]), until=UNTIL)
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


def at_threshold(threshold: float, **more: float) -> Policy:
    return Policy("won", threshold, threshold, threshold, threshold, "capacity", 1.0, 0.0, 1.0, 1.0, 0.5, **more)


def with_odds(threshold: float, factor: float) -> float:
    odds = threshold / (1 - threshold) * factor
    return odds / (1 + odds)


@settings(max_examples=200, deadline=None)
@given(
    threshold=st.floats(0.01, 0.95),
    moves=st.lists(st.floats(0.95, 1.05), min_size=30, max_size=30),
)
def test_a_month_of_small_moves_around_the_threshold_is_one_hand_over(threshold: float, moves: list[float]) -> None:
    series = [(day * DAY, with_odds(threshold, move)) for day, move in enumerate([*moves, 1.05])]
    assert len(handed_over(series, at_threshold(threshold))) == 1


@settings(max_examples=200, deadline=None)
@given(threshold=st.floats(0.01, 0.95), probability=st.lists(st.floats(0.001, 0.999), max_size=40))
def test_hand_overs_meet_the_threshold_and_a_fall_lies_between_any_two(
    threshold: float, probability: list[float]
) -> None:
    chosen = at_threshold(threshold)
    instants = handed_over(list(enumerate(probability)), chosen)
    assert all(probability[at] >= threshold for at in instants)
    assert bool(instants) == any(p >= threshold for p in probability)
    for one, next_one in itertools.pairwise(instants):
        assert min(probability[one:next_one]) < chosen.fall_back


def test_a_lead_that_fell_well_below_is_handed_over_again() -> None:
    assert handed_over([(1, 0.3), (2, 0.19), (3, 0.3), (4, 0.05), (5, 0.2)], at_threshold(0.2)) == [1, 5]
    assert handed_over([(1, 0.3), (2, 0.19), (3, 0.3)], at_threshold(0.2, hysteresis=0.0)) == [1, 3]


def aimed(rows: tuple[np.ndarray, np.ndarray, np.ndarray], aim: Aim, recalibrations: object = ()) -> Policy:
    found = crossings(*rows, until=UNTIL)
    return choose_policy(found, target="won", aim=aim, mean_amount=None, as_of=UNTIL, recalibrations=recalibrations)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), cost=st.floats(1, 40), value=st.floats(100, 1_000))
def test_profit_calls_whoever_brings_more_than_a_call_costs(seed: int, cost: float, value: float) -> None:
    """Against brute force: no other threshold earns more on the same hand-overs, by the probabilities' own word."""
    found = crossings(*panel(seed), until=UNTIL)
    chosen = aimed(panel(seed), Aim(call_cost=cost, deal_value=value))
    assert chosen.method == "profit"

    def earned(threshold: float) -> float:
        first = (found.before < threshold) & (found.probability >= threshold) & (found.before < 0)
        return float((found.probability[first] * value - cost).sum())

    assert earned(chosen.threshold) >= max(earned(t) for t in np.linspace(0.001, 0.999, 200)) - 1e-9


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), floor=st.floats(0.05, 0.3))
def test_a_precision_floor_is_kept_at_the_lowest_threshold_that_keeps_it(seed: int, floor: float) -> None:
    rows = panel(seed, leads=120)
    chosen = aimed(rows, Aim(precision=floor))
    assert chosen.method == "precision"
    assert chosen.expected_yield >= floor
    assert chosen.handovers_per_week * RECENT_WEEKS >= LEAST_TAKEN
    assert aimed(rows, Aim(precision=floor + 0.02)).threshold >= chosen.threshold


def test_a_precision_nobody_reaches_is_refused_with_the_best_there_is() -> None:
    with pytest.raises(DataRefused, match="best yield of 0"):
        aimed(panel(1), Aim(precision=0.999))


def test_the_interval_says_how_sure_the_probabilities_are() -> None:
    """Recalibrations drawn from right probabilities: the interval holds the threshold that is true, and narrows."""
    rng = np.random.default_rng(0)
    widths = []
    for size in (500, 20_000):
        margin = rng.normal(-2, 1, size)
        draws = []
        for _ in range(60):
            again = rng.integers(0, size, size)
            label = (rng.random(size) < 1 / (1 + np.exp(-margin[again]))).astype(float)
            fitted = fit_calibration("platt", margin[again], label, np.ones(size))
            draws.append((fitted.shift, fitted.slope))
        chosen = aimed(panel(2), Aim(call_cost=20, deal_value=100), draws)
        assert chosen.threshold == 0.2
        assert chosen.threshold_low < 0.2 < chosen.threshold_high
        widths.append(chosen.threshold_high - chosen.threshold_low)
    assert widths[1] < widths[0] / 3


def test_profit_and_precision_without_weeks() -> None:
    probability = np.linspace(0, 1, 1_001)
    profit = choose_share(probability, target="won", aim=Aim(call_cost=1, deal_value=4), mean_amount=None, as_of=0)
    assert profit.threshold == 0.25
    assert profit.expected_yield == pytest.approx(0.625)
    floor = choose_share(probability, target="won", aim=Aim(precision=0.8), mean_amount=None, as_of=0)
    assert floor.threshold == pytest.approx(0.6, abs=0.005)


def test_an_unproven_scorer_has_a_capacity_only() -> None:
    found = crossings(*panel(3), until=UNTIL)
    with pytest.raises(DataRefused, match="unproven"):
        choose_policy(found, target="won", aim=Aim(precision=0.5), mean_amount=None, as_of=0, proven=False)


def test_aims_that_contradict_or_say_nothing_are_wrong_usage() -> None:
    assert chosen_aim(None, None, None, None).method == "capacity"
    assert priced(chosen_aim(None, 10, None, None), mean_amount=400.0).least_worth == 0.025
    for options in ((5, 1, None, None), (None, 1, None, 0.5), (None, None, 9, None), (0, None, None, None)):
        with pytest.raises(UsageError):
            chosen_aim(*options)
    for aim, amount in ((Aim(call_cost=10), None), (Aim(call_cost=10, deal_value=5), 400.0)):
        with pytest.raises(UsageError):
            priced(aim, amount)


def test_later_fields_do_not_rename_older_policies() -> None:
    """A policy saved before profit and precision were there keeps the id it was deployed under."""
    old = at_threshold(0.2)
    assert "precision" not in old.to_json()
    assert Policy.from_json(old.to_json()).policy_id == old.policy_id
    assert Policy.from_json(at_threshold(0.2, precision=0.5).to_json()).precision == 0.5
