"""The linear part against scikit-learn where both can be asked the same, and its own promise where not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from features.declaration import Declaration
from training.backtest import prepare
from training.linear import fit_linear
from training.matrix import Matrix


def drawn(rows: int, effects: tuple[float, ...], directions: tuple[int, ...], seed: int = 1) -> Matrix:
    """Numbers with a logistic truth, and one category with rare levels."""
    rng = np.random.default_rng(seed)
    numbers = [rng.normal(size=rows) for _ in effects]
    levels = rng.zipf(1.7, rows).clip(max=60)
    margin = -1.5 + sum(e * x for e, x in zip(effects, numbers, strict=True)) + 0.6 * (levels == 2)
    label = (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(float)
    declared = [
        Declaration(f"x{i}", "number", "fit", f"x{i}", "", "", attribute=f"x{i}", direction=d)  # type: ignore[arg-type]
        for i, d in enumerate(directions)
    ]
    declared.append(Declaration("level", "category", "fit", "level", "", "", attribute="level"))
    order = np.arange(rows)
    return Matrix(
        declarations=tuple(declared),
        columns=(*numbers, np.array([f"L{v}" for v in levels], dtype=object)),
        label=label,
        weight=rng.uniform(0.5, 2.0, rows),
        cycle_start=order,
        as_of=order,
        matured_at=order,
        group=order,
        cycle=order,
        creation=np.ones(rows, dtype=bool),
    )


@pytest.mark.parametrize("strength", [0.01, 0.1, 1.0])
def test_without_directions_it_is_scikit_learns_optimum(strength: float) -> None:
    matrix = drawn(4_000, (0.8, -0.5, 0.0), (1, 1, 0))
    prepared = prepare(matrix, seed=0)
    ours = fit_linear(prepared.design, prepared.x, matrix, strength=strength, directed=False)
    peer = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-9, max_iter=500)
    peer.fit(prepared.x, matrix.label, sample_weight=matrix.weight)
    np.testing.assert_allclose(ours.margin(prepared.x), peer.decision_function(prepared.x), atol=0.05)


def test_a_direction_is_kept_even_where_the_data_say_otherwise() -> None:
    matrix = drawn(4_000, (0.8, -0.8, 0.8), (1, 1, -1))
    prepared = prepare(matrix, seed=0)
    fit = fit_linear(prepared.design, prepared.x, matrix, strength=1.0)
    first, second, third = fit.coefficients[:3]
    assert first > 0.5
    assert second == 0.0
    assert third == 0.0


def test_the_bounded_optimum_is_not_improved_by_any_allowed_step() -> None:
    """First-order condition, computed here from the definition of the loss."""
    matrix = drawn(3_000, (0.6, -0.4, 0.2), (1, 1, 0))
    prepared = prepare(matrix, seed=0)
    fit = fit_linear(prepared.design, prepared.x, matrix, strength=0.3)
    probability = 1 / (1 + np.exp(-fit.margin(prepared.x)))
    gradient = prepared.x.T @ (matrix.weight * (probability - matrix.label)) + fit.coefficients / 0.3
    bounded = fit.coefficients == 0.0
    assert np.abs(gradient[~bounded]).max() < 1.0
    assert bounded[1]
    assert gradient[1] > 0
