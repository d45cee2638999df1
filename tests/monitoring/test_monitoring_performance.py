"""Figures on matured outcomes against scikit-learn, and bounds that know the sample's size."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from monitoring.performance import auc, calibration_error, lift, log_loss, matured_performance


@pytest.fixture(scope="module")
def honest() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right, and outcomes they drew."""
    generator = np.random.default_rng(1)
    p = generator.beta(1, 12, 4_000)
    return p, generator.random(4_000) < p


def test_figures_agree_with_scikit_learn(honest: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = honest
    p = np.round(p, 2).clip(0.001, 0.999)  # ties
    assert auc(p, y) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert log_loss(p, y) == pytest.approx(sklearn_log_loss(y, p), abs=1e-12)


def test_calibration_error_by_hand() -> None:
    p = np.array([0.1] * 50 + [0.9] * 50)
    y = np.array([False] * 40 + [True] * 10 + [True] * 50)
    assert calibration_error(p, y) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)


def test_lift_by_hand() -> None:
    p = np.arange(100) / 100
    y = np.zeros(100, dtype=bool)
    y[[95, 96, 97, 3, 4]] = True
    assert lift(p, y) == pytest.approx((3 / 10) / (5 / 100))
    assert lift(p, np.zeros(100, dtype=bool)) is None


def test_a_champion_that_is_right_is_not_worse(honest: tuple[np.ndarray, np.ndarray]) -> None:
    matured = matured_performance(*honest)
    assert matured is not None
    assert matured.enough
    assert (matured.worse, matured.ranking_holds, matured.calibration_holds) == (False, True, True)


def test_small_honest_samples_are_seldom_called_worse() -> None:
    generator = np.random.default_rng(4)
    called = 0
    for _ in range(40):
        p = generator.beta(1, 8, 300)
        matured = matured_performance(p, generator.random(300) < p)
        assert matured is not None
        called += matured.worse or not matured.calibration_holds
    assert called <= 4  # three bounds at 1% each: 1.2 expected


def test_a_doubled_base_rate_breaks_calibration_and_not_ranking(honest: tuple[np.ndarray, np.ndarray]) -> None:
    p, _ = honest
    outcome = np.random.default_rng(2).random(len(p)) < np.minimum(2 * p, 1)
    matured = matured_performance(p, outcome)
    assert matured is not None
    assert matured.ranking_holds
    assert not matured.calibration_holds


def test_outcomes_without_relation_to_the_probabilities_break_ranking(honest: tuple[np.ndarray, np.ndarray]) -> None:
    p, _ = honest
    outcome = np.random.default_rng(3).random(len(p)) < p.mean()
    matured = matured_performance(p, outcome)
    assert matured is not None
    assert not matured.ranking_holds
    assert matured.worse


def test_no_outcomes_give_no_figures_and_one_class_gives_no_auc() -> None:
    assert matured_performance(np.array([]), np.array([], dtype=bool)) is None
    matured = matured_performance(np.full(30, 0.1), np.zeros(30, dtype=bool))
    assert matured is not None
    assert (matured.auc, matured.lift, matured.enough) == (None, None, False)
