"""Changes of regime are seen where there are some, and seldom where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.times import DAY
from training.regimes import Cohorts, base_rate_changes, clearest_cut, look, mix_changes

HORIZON = 30 * DAY
CHANNELS = ("seminar", "search", "referral")


def history(
    cycles: int,
    *,
    seed: int,
    rates: tuple[float, float] = (0.1, 0.1),
    shares: tuple[float, float] = (0.3, 0.3),
    at: float = 0.6,
) -> Cohorts:
    """Two years in which rate and share of a channel step at `at`; accounts of up to six leads close in time."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 7, cycles)
    account = np.repeat(np.arange(cycles), size)[:cycles]
    begun = np.sort(rng.uniform(0, 730, account.max() + 1))[account] + rng.exponential(5, cycles)
    order = np.argsort(begun)
    account, begun = account[order], begun[order]
    late = begun >= at * 730
    # Half of the leads of an account share the account's luck; winning has a season of a quarter of a year.
    luck, together = rng.random(account.max() + 1)[account], rng.random(cycles) < 0.5
    season = 1.0 + 0.3 * np.sin(begun / 91 * 2 * np.pi)
    label = (np.where(together, luck, rng.random(cycles)) < np.where(late, rates[1], rates[0]) * season).astype(float)
    first = rng.random(cycles) < np.where(late, shares[1], shares[0])
    channel = np.where(first, 0, rng.integers(1, 3, cycles))
    columns = np.column_stack([*((channel == k).astype(float) for k in range(3)), rng.random(cycles)])
    instants = (begun * DAY).astype(np.int64)
    names = (*(f"channel = {c}" for c in CHANNELS), "employees")
    return Cohorts(instants, label, instants + HORIZON, columns, names)


@pytest.mark.parametrize("cycles", [400, 4_000])
def test_a_stationary_history_is_seldom_warned_of(cycles: int) -> None:
    """Six looks a history, as a training run takes: at most one in twenty histories may be warned of at any of them."""
    warned = 0
    for seed in range(40):
        found = history(cycles, seed=seed)
        looks = [look(found, int(np.quantile(found.at, share))) for share in (0.4, 0.6, 0.8, 0.9, 0.95)]
        warned += any(one.changes for one in (*looks, look(found, int(found.matured_at.max()))))
    # Of 40 with a chance of .05 each, more than five are seen once in a hundred times.
    assert warned <= 5


def test_a_base_rate_that_moved_is_seen_with_its_date() -> None:
    """Of ten histories whose accounts and seasons make their own waves, at least eight."""
    seen = [base_rate_changes(history(4_000, seed=seed, rates=(0.06, 0.15))) for seed in range(10)]
    assert sum(bool(found) for found in seen) >= 8
    for found in filter(None, seen):
        assert found[0].before == pytest.approx(0.06, abs=0.02)
        assert found[-1].after == pytest.approx(0.15, abs=0.05)
        assert found[-1].at / DAY == pytest.approx(438, abs=60)


@pytest.mark.parametrize("seed", range(5))
def test_a_mix_that_moved_is_seen_with_its_date_and_name(seed: int) -> None:
    found = history(4_000, seed=seed, shares=(0.3, 0.5))
    (change,) = mix_changes(found)
    assert change.name == "channel = seminar"
    assert change.at / DAY == pytest.approx(438, abs=40)
    assert base_rate_changes(found) == ()


def test_a_move_too_small_to_matter_is_not_told_however_sure_it_is() -> None:
    small, large = (history(60_000, seed=1, shares=(0.30, 0.30 + step)) for step in (0.03, 0.07))
    blocks = np.stack([part.mean(axis=0) for part in np.array_split(small.columns, 48)])
    assert clearest_cut(blocks, seed=0)[2] < 0.001, "beyond chance"
    assert mix_changes(small) == ()
    assert mix_changes(large)


def test_a_look_uses_nothing_that_was_known_later() -> None:
    found = history(3_000, seed=2, rates=(0.05, 0.25))
    then = int(np.quantile(found.at, 0.8))
    later = (found.matured_at > then) | (found.at >= then)
    changed = replace(
        found,
        label=np.where(later, 1.0 - found.label, found.label),
        columns=np.where((found.at >= then)[:, None], 1.0 - found.columns, found.columns),
    )
    assert look(found, then) == look(changed, then)
    assert look(found, then).changes


def test_the_rate_that_probabilities_rest_on_is_the_newest_regime_s() -> None:
    found = history(5_000, seed=3, rates=(0.05, 0.2))
    seen = look(found, int(found.matured_at.max()))
    assert seen.rate.low < 0.2 < seen.rate.high
    assert seen.since == seen.changes[0].at


def test_too_short_a_history_is_not_judged() -> None:
    found = history(60, seed=4, rates=(0.0, 1.0))
    assert base_rate_changes(found) == ()
    assert look(found, 0).changes == ()


@pytest.mark.soak
def test_the_simulator_is_stationary_and_is_left_in_peace() -> None:
    """A hundred simulated companies of 4,000 leads, six looks each; then companies whose rate or mix did move."""
    from data.simulator.world import Change, World
    from tests.training.simulated import simulated_cohorts

    warned = sum(bool(_changes(simulated_cohorts(World(), seed, 4_000))) for seed in range(100))
    moved = World(changes=(Change("advance", 0.5, 400),))
    mixed = World(changes=(Change("arrivals", 1.0, 400, "paid_search"),))
    rate_seen = sum(bool(_changes(simulated_cohorts(moved, seed, 4_000))) for seed in range(12))
    mix_seen = sum(bool(_changes(simulated_cohorts(mixed, seed, 4_000))) for seed in range(12))
    print(f"warned of {warned} of 100 stationary companies; rate seen in {rate_seen}, mix in {mix_seen} of 12")
    assert warned <= 5
    assert rate_seen >= 10
    assert mix_seen == 12


def _changes(found: Cohorts) -> list[object]:
    instants = [int(np.quantile(found.at, share)) for share in (0.4, 0.6, 0.8, 0.9, 0.95)]
    return [c for at in (*instants, int(found.matured_at.max())) for c in look(found, at).changes]
