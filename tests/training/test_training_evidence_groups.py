"""What many rows of one person may say about which rung is better: no more than one row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from tests.training.worlds import QUICK, world
from training.backtest import HALF_LIVES
from training.blend import Slice, blend_weights, overdispersion, pull_towards
from training.fitting import COMPONENTS, USUAL, fit_scorer
from training.slices import CUTS, LATER, backtest_folds

USUALLY = np.array([0.5, 0.5])


def calm(copies: int, *, grouped: bool) -> list[Slice]:
    """One stationary law, each person in `copies` rows of the same outcome and nearly the same margin."""
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.normal(-1, 1, 6_000), copies)
    label = np.repeat((rng.random(6_000) < expit(truth[::copies])).astype(float), copies)
    margins = np.column_stack([truth, 0.5 * truth + rng.normal(0, 0.05, len(truth))])
    person = np.repeat(np.arange(6_000), copies)
    parts = zip(*(np.array_split(a, 4) for a in (margins, label, person)), strict=True)
    return [Slice(m, y, np.full(len(y), 1 / copies), 1.0, p if grouped else None) for m, y, p in parts]


def test_rows_of_one_person_do_not_look_like_a_change_of_regime() -> None:
    assert overdispersion(calm(1, grouped=False), USUALLY) < 3
    assert overdispersion(calm(12, grouped=False), USUALLY) > 6
    assert overdispersion(calm(12, grouped=True), USUALLY) < 3


def test_a_person_s_rows_weigh_in_the_choice_as_one_row_would() -> None:
    once, often = calm(1, grouped=True), calm(12, grouped=True)
    assert pull_towards(often, USUALLY) == pytest.approx(pull_towards(once, USUALLY), rel=0.25)
    assert blend_weights(often, USUALLY) == pytest.approx(blend_weights(once, USUALLY), abs=0.03)


def test_each_half_life_is_a_part_of_its_own() -> None:
    assert len(COMPONENTS) == len(USUAL) == 5 + len(HALF_LIVES)
    assert USUAL.sum() == pytest.approx(1.0)
    choice = fit_scorer(world(1_200, seed=30), QUICK).choice
    assert [lo.half_life for lo in choice.logistics] == [None, *HALF_LIVES]
    assert sum(choice.weights) == pytest.approx(1.0)


def test_a_row_of_a_later_slice_says_more_and_the_newest_slice_is_a_fortieth() -> None:
    folds = backtest_folds(world(8_000, seed=31), seed=0).folds
    assert CUTS[-2:] == (0.975, 1.0)
    per_row = [f.weight / len(f.test) for f in folds]
    assert np.diff(np.log(per_row)) == pytest.approx(np.log(LATER))
    assert len(folds[-1].test) == 200


def test_a_rate_that_moved_lately_is_followed() -> None:
    """In the newest fifteenth the rate is 40%, whatever the columns say: lines that forget are heard."""
    rng = np.random.default_rng(5)
    matrix = world(6_000, seed=32, signal=0.5)
    moved = np.arange(6_000) >= 5_600
    label = np.where(moved, (rng.random(6_000) < 0.4).astype(float), matrix.label)
    still = fit_scorer(matrix, QUICK).choice.weights
    shifted = fit_scorer(replace(matrix, label=label), QUICK).choice.weights
    forgetful = [i for i, name in enumerate(COMPONENTS) if "half-life" in name or "recent" in name]
    assert sum(shifted[i] for i in forgetful) > sum(still[i] for i in forgetful)
