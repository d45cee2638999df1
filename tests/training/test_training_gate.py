"""The gate: figures against a slow oracle, no slide in small steps, nobody judged on what they learned from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.store.deployments import Deployment
from training.gate import (
    LEAST_OUTCOMES,
    MOST_SHIFT,
    MOST_SPREAD,
    NOISE,
    TOLERANCE,
    Gate,
    Judged,
    agreement_of,
    compared,
    undecided,
    verdict_of,
)
from training.opponents import promoted_before
from training.promotion import promotions_in_force

ROWS = 6_000


def world(seed: int = 0, rows: int = ROWS) -> tuple[np.ndarray, Judged]:
    """(true margins, rows whose labels are drawn from them)."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-2, 1, rows)
    label = (rng.random(rows) < 1 / (1 + np.exp(-truth))).astype(float)
    return truth, Judged(label, np.ones(rows), np.arange(rows))


def worse(truth: np.ndarray, step: int) -> np.ndarray:
    """A model that is flatter with each step; the root makes the steps about equal in log loss."""
    return truth.mean() + (truth - truth.mean()) * (1 - 0.22 * np.sqrt(step))


def loss(margin: float, label: float) -> float:
    p = 1 / (1 + np.exp(-margin))
    return float(-np.log(p if label else 1 - p))


def test_the_difference_is_that_of_mean_log_losses_and_its_error_counts_groups() -> None:
    truth, rows = world(rows=400)
    other = worse(truth, 2)
    found = compared("x", "y", other, truth, rows)
    each = np.array([loss(a, y) - loss(b, y) for a, b, y in zip(other, truth, rows.label, strict=True)])
    assert found.difference == pytest.approx(each.mean())
    assert found.error == pytest.approx(each.std(ddof=1) / np.sqrt(400), rel=1e-6)
    twice = Judged(*(np.repeat(a, 2) for a in (rows.label, rows.weight, rows.group)))
    again = compared("x", "y", np.repeat(other, 2), np.repeat(truth, 2), twice)
    assert again.error == pytest.approx(found.error)
    rate = rows.label.mean()
    assert found.tolerance == pytest.approx(-TOLERANCE * (rate * np.log(rate) + (1 - rate) * np.log(1 - rate)))


def test_a_chain_of_slightly_worse_challengers_is_stopped() -> None:
    """Each is within the tolerance of the one before; held against all that were promoted, the slide ends."""
    truth, rows = world()
    promoted, stopped = [truth], False
    for step in range(1, 6):
        challenger = worse(truth, step)
        against_last = compared("champion", "", challenger, promoted[-1], rows)
        found = Gate(tuple(compared("an earlier one", "", challenger, old, rows) for old in promoted), None)
        if found.refuses:
            assert against_last.verdict != "loses", "the step alone would have passed"
            stopped = True
            break
        promoted.append(challenger)
    assert stopped
    assert len(promoted) > 1, "the first step is within the tolerance"
    slid = compared("first", "", promoted[-1], truth, rows)
    assert slid.difference <= max(slid.tolerance, NOISE * slid.error)


@settings(max_examples=300, deadline=None)
@given(difference=st.floats(-0.1, 0.1), error=st.floats(0, 0.05), tolerance=st.floats(0, 0.02))
def test_verdicts(difference: float, error: float, tolerance: float) -> None:
    verdict = verdict_of(difference, error, tolerance)
    assert (verdict == "loses") == (difference > tolerance and difference > NOISE * error)
    if verdict == "holds":
        assert difference <= tolerance


def test_equal_models_are_rarely_refused_and_better_ones_never() -> None:
    refused = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth, rows = world(seed, rows=600)
        noisy = [truth + rng.normal(0, 0.25, len(truth)) for _ in range(2)]
        refused += compared("twin of equal worth", "", noisy[0], noisy[1], rows).verdict == "loses"
        assert compared("worse", "", truth, worse(truth, 5), rows).verdict in ("holds", "no loss shown")
    assert refused <= 200 * 0.08


def test_too_few_outcomes_decide_nothing_and_say_so() -> None:
    truth, rows = world(rows=2_000)
    few = np.flatnonzero(rows.label == 1.0)[: LEAST_OUTCOMES - 1]
    kept = np.sort(np.concatenate([few, np.flatnonzero(rows.label == 0.0)]))
    found = compared("x", "y", -truth[kept], truth[kept], rows.take(kept))
    assert found.difference > found.tolerance
    assert found.verdict == "undecided"
    assert str(LEAST_OUTCOMES) in found.note
    assert not Gate((found,), None).refuses
    assert not Gate((found,), None).decided


def test_rows_of_one_group_are_one_outcome() -> None:
    _, rows = world(rows=2_000)
    one_account = Judged(rows.label, rows.weight, np.where(rows.label == 1.0, -1, rows.group))
    assert not one_account.decides
    assert rows.decides


def test_a_refit_that_is_another_model_is_refused_with_the_figures() -> None:
    truth, _ = world()
    weight = np.ones(len(truth))
    assert agreement_of(truth + 0.3, truth, weight).within
    moved = agreement_of(truth + MOST_SHIFT + 0.1, truth, weight)
    shuffled = agreement_of(np.random.default_rng(0).permutation(2 * truth), truth, weight)
    assert moved.spread == pytest.approx(0, abs=1e-9)
    assert shuffled.spread > MOST_SPREAD
    for agreement in (moved, shuffled):
        gate = Gate((), agreement)
        assert gate.refuses
        assert f"{agreement.shift:+.2f}" in gate.reasons()


def test_what_was_not_compared_is_undecided() -> None:
    gate = Gate((undecided("the champion", "it has learned from these outcomes"),), None)
    assert not gate.refuses
    assert not gate.decided


def deployed(*steps: tuple[str, str]) -> list[Deployment]:
    """(action, bundle) pairs as the store would list them."""
    return [
        Deployment(number, "won", "champion", bundle, bundle.upper(), "policy", action, number, "me", "")  # type: ignore[arg-type]
        for number, (action, bundle) in enumerate(steps, 1)
    ]


def test_opponents_are_all_that_was_promoted_and_not_taken_back() -> None:
    history = deployed(("promote", "a"), ("promote", "b"), ("force", "c"), ("promote", "leak"), ("rollback", "c"))
    found = promoted_before(promotions_in_force(history), "new")
    assert {bundle for _, bundle in found} == {"a", "b", "c"}
    names = {bundle: name for name, bundle in found}
    assert names["c"] == "the champion (version C)"
    assert names["a"] == "the first promoted (version A)"
    assert names["b"] == "an earlier champion (version B)"


def test_a_challenger_is_no_opponent_of_itself_and_a_return_makes_it_champion_again() -> None:
    history = deployed(("promote", "a"), ("promote", "b"), ("promote", "a"))
    assert promoted_before(promotions_in_force(history), "b") == [("the champion (version A)", "a")]
    assert promoted_before(promotions_in_force(history[:1]), "a") == []
    assert promoted_before([], "a") == []
