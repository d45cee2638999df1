"""Tabled contributions against LightGBM's own, and against brute force over every coalition."""

from __future__ import annotations

import itertools
from math import factorial

import lightgbm
import numpy as np
import pytest

from training.native import row_contributions
from training.shapley import TreeTables, can_be_tabled, read_trees

WIDTH = 6


def booster(seed: int, *, leaves: int = 8, missing: float = 0.1, trees: int = 12, **more: object) -> lightgbm.Booster:
    rng = np.random.default_rng(seed)
    table = rows(seed, 1_200, missing)
    known = np.nan_to_num(table)
    label = (known[:, 0] + known[:, 1] * known[:, 2] + rng.normal(0, 0.5, len(table)) > 0.3).astype(float)
    parameters = {"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 15, "verbose": -1, "num_threads": 1}
    return lightgbm.train(parameters | more, lightgbm.Dataset(table, label), trees)


def rows(seed: int, count: int, missing: float) -> np.ndarray:
    """Numbers, whole numbers and a constant, some missing."""
    rng = np.random.default_rng(seed + 1)
    table = rng.normal(size=(count, WIDTH))
    table[:, 3] = rng.poisson(1.5, count)
    table[:, 5] = 1.0
    table[rng.random(table.shape) < missing] = np.nan
    return table


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("leaves", [2, 4, 8])
def test_tables_give_lightgbm_s_contributions(seed: int, missing: float, leaves: int) -> None:
    made = booster(seed, leaves=leaves, missing=missing, extra_trees=seed % 2 == 1)
    trees = read_trees(made.model_to_string())
    tables = TreeTables(trees, [1.0] * len(trees), WIDTH)
    asked = rows(seed + 50, 300, 0.2)
    expected = made.predict(asked, pred_contrib=True, num_threads=1)
    assert tables.rows(asked) == pytest.approx(expected[:, :-1], abs=1e-12)
    assert tables.expected == pytest.approx(expected[0, -1], abs=1e-12)


def test_one_row_and_many_agree_to_the_last_bit() -> None:
    trees = read_trees(booster(1, trees=40).model_to_string())
    tables = TreeTables(trees, [0.37] * len(trees), WIDTH)
    asked = rows(9, 200, 0.2)
    together = tables.rows(asked)
    for row, found in zip(asked, together, strict=True):
        assert tables.row(row).tolist() == found.tolist()


def test_factors_scale_and_models_add_up() -> None:
    first, second = (read_trees(booster(seed).model_to_string()) for seed in (1, 2))
    asked = rows(3, 50, 0.2)
    both = TreeTables([*first, *second], [0.5] * len(first) + [2.0] * len(second), WIDTH)
    alone = [TreeTables(t, [1.0] * len(t), WIDTH) for t in (first, second)]
    assert both.rows(asked) == pytest.approx(0.5 * alone[0].rows(asked) + 2.0 * alone[1].rows(asked), abs=1e-12)
    assert both.expected == pytest.approx(0.5 * alone[0].expected + 2.0 * alone[1].expected)


@pytest.mark.parametrize(("leaves", "expected"), [(8, True), (9, False)])
def test_only_small_trees_of_numbers_are_tabled(leaves: int, expected: bool) -> None:
    assert can_be_tabled(read_trees(booster(1, leaves=leaves).model_to_string())) is expected


def test_zero_as_missing_is_left_to_lightgbm() -> None:
    assert not can_be_tabled(read_trees(booster(1, zero_as_missing=True).model_to_string()))


def test_nothing_learned_gives_nothing() -> None:
    made = booster(1, trees=2, min_data_in_leaf=5_000)
    trees = read_trees(made.model_to_string())
    tables = TreeTables(trees, [1.0] * len(trees), WIDTH)
    assert not tables.row(np.zeros(WIDTH)).any()
    assert tables.expected == pytest.approx(made.predict(np.zeros((1, WIDTH)), raw_score=True)[0])


def shapley_by_brute_force(tree: dict, row: np.ndarray, features: int) -> np.ndarray:
    """Shapley values over cover-weighted conditional expectations, every coalition of features in turn."""

    def expectation(node: dict, known: frozenset[int]) -> float:
        if "leaf_value" in node:
            return node["leaf_value"]
        left, right = node["left_child"], node["right_child"]
        feature = node["split_feature"]
        if feature in known:
            value = row[feature]
            down = value <= node["threshold"] if not np.isnan(value) else node["default_left"]
            return expectation(left if down else right, known)
        share = cover(left) / (cover(left) + cover(right))
        return share * expectation(left, known) + (1 - share) * expectation(right, known)

    def cover(node: dict) -> float:
        return node["leaf_count"] if "leaf_count" in node else node["internal_count"]

    everyone = range(features)
    values = np.zeros(features)
    for feature in everyone:
        rest = [f for f in everyone if f != feature]
        for size in range(features):
            weight = factorial(size) * factorial(features - size - 1) / factorial(features)
            for coalition in itertools.combinations(rest, size):
                known = frozenset(coalition)
                values[feature] += weight * (expectation(tree, known | {feature}) - expectation(tree, known))
    return values


@pytest.mark.parametrize("leaves", [6, 12])
def test_contributions_are_shapley_values(leaves: int) -> None:
    made = booster(7, leaves=leaves, trees=3)
    trees = read_trees(made.model_to_string())
    explain = row_contributions(made)
    dumped = [info["tree_structure"] for info in made.dump_model()["tree_info"]]
    for row in rows(8, 10, 0.1):
        expected = sum(shapley_by_brute_force(tree, row, WIDTH) for tree in dumped)
        assert explain(row.copy())[:-1] == pytest.approx(expected, abs=1e-9)
        if can_be_tabled(trees):
            assert TreeTables(trees, [1.0] * len(trees), WIDTH).row(row) == pytest.approx(expected, abs=1e-9)
